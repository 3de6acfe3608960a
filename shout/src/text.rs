//! What is done to a text.
//!
//! # What holds
//!
//! *User-perceived characters* are the extended grapheme clusters of Unicode's UAX #29: a letter with its accents, a family
//! of emoji, a flag, CR LF. [`reversed`] gives the very clusters of the text in reverse order, each as it is inside, with
//! nothing added or lost. [`capitalised`] then goes letter by letter, without a look at its neighbours or at a language. So an
//! answer is the text's clusters in reverse order, each in capitals.
//!
//! Where clusters end depends on their neighbours, so a result that is read anew may have other ones than were put there.
//! That takes one of these in the text, where they have nothing to join, and find it in the reverse order:
//!
//! | in the text | example | reversed, it is read as |
//! | --- | --- | --- |
//! | LF, and CR behind it | `\n` `\r` | one line end, `\r\n` |
//! | half a flag, beside flags | 🇨🇭 🇩 | other pairs, 🇩🇨 🇭 |
//! | a mark or joiner at the beginning, or behind a line end or control character | `\n` ◌́ `a` … | the accent of what is now before it |
//! | a joiner behind the emoji at a cluster's end | 😀 😀+joiner | one emoji |
//! | letters of Hangul that are no syllable yet | ᅡ ᄀ | the syllable ᄀ+ᅡ |
//! | a sign that is written before its number, at the end or before a control character | `1` U+0600 | one with the number |
//! | a letter of an Indic script that ends in a virama | क क् | a conjunct |
//!
//! Of texts without these the result has exactly the clusters of the text, and reversing it again brings the text back.
//!
//! Capitalising is Unicode's full mapping: `ß` becomes `SS`, `ŉ` `ʼN`, `ﬁ` `FI`, two clusters each, in the order in which they
//! are read.

use unicode_segmentation::UnicodeSegmentation;

/// The text's grapheme clusters in reverse order.
///
/// ```
/// use upbeat_shout::text::reversed;
/// assert_eq!(reversed("test"), "tset");
/// assert_eq!(reversed("a\r\n🇨🇭👩‍👩‍👧e\u{301}"), "e\u{301}👩‍👩‍👧🇨🇭\r\na");
/// ```
#[must_use]
pub fn reversed(text: &str) -> String {
    let mut reversed = String::with_capacity(text.len());
    reversed.extend(text.graphemes(true).rev());
    reversed
}

/// The text in capitals.
///
/// ```
/// use upbeat_shout::text::capitalised;
/// assert_eq!(capitalised("straße"), "STRASSE");
/// ```
#[must_use]
pub fn capitalised(text: &str) -> String {
    text.to_uppercase()
}

/// Whether `output` is what capitalising gives of `input`, by whatever tables somebody else has.
///
/// Both are the same but for case, and nothing is left that has a capital of its own. So `ß` may be `SS`, as Unicode's full
/// mapping has it, or stay, as its simple one does; a text that comes back as it went is refused, and so is one in the
/// Turkish way, in which `i` is not `I`.
///
/// ```
/// use upbeat_shout::text::is_capitalised;
/// assert!(is_capitalised("tset", "TSET") && is_capitalised("ß1", "ß1") && is_capitalised("ß1", "SS1"));
/// assert!(!is_capitalised("tset", "tset") && !is_capitalised("tset", "TEST") && !is_capitalised("i", "İ"));
/// ```
#[must_use]
pub fn is_capitalised(input: &str, output: &str) -> bool {
    // Nothing is compared twice where the other has the same tables, which is nearly always.
    let expected = capitalised(input);
    expected == output || (!output.chars().any(has_simple_capital) && expected == capitalised(output))
}

fn has_simple_capital(letter: char) -> bool {
    let mut capital = letter.to_uppercase();
    capital.len() == 1 && capital.next() != Some(letter)
}
