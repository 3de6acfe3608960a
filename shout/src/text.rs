//! What is done to a text.
//!
//! # What holds
//!
//! *User-perceived characters* are the extended grapheme clusters of Unicode's UAX #29: a letter with its accents, a family
//! of emoji, a flag, CR LF. [`reversed`] gives the very clusters of the text in reverse order, each as it was inside: it adds
//! nothing, loses nothing, and of two texts that differ it makes two that differ.
//!
//! Where two clusters that were not neighbours in that order meet, they may become one when the result is read anew, since
//! clusters end where their neighbours say so. These are such pairs, written `a|b` for a text in which they were apart:
//! LF|CR, which becomes CR LF; a cluster at the text's very beginning that is made of marks only, or a lone half flag, jamo,
//! or prepended sign, which joins what is now before or behind it. So reversing twice brings the text back if all clusters of
//! the result are those that were put there, which is so for all texts without such characters; but not in general.
//!
//! Capitalising is Unicode's full mapping, in no language: `ß` becomes `SS`, `ŉ` `ʼN`, `ﬁ` `FI`, so that what was one
//! cluster may be two. It comes after the reversing, and goes cluster by cluster; one case looks at neighbours, the Greek
//! final sigma, and only when making small letters.

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
