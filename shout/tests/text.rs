//! Reversing and capitalising, of whatever text.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use unicode_segmentation::UnicodeSegmentation;
use upbeat_shout::text::{capitalised, is_capitalised, reversed};

/// Clusters that stay what they are, whatever is beside them.
const WHOLE: [&str; 22] = [
    "a",
    "ß",
    " ",
    "\t",
    "\r\n",
    "\n",
    "e\u{301}",
    "o\u{308}\u{323}",
    "ﬁ",
    "日",
    "가",
    "각",
    "क",
    "कि",
    "क्ष",
    "🇨🇭",
    "🇩🇪",
    "😀",
    "👍🏽",
    "👩\u{200d}👩\u{200d}👧\u{200d}👦",
    "🏳\u{fe0f}\u{200d}🌈",
    "1\u{fe0f}\u{20e3}",
];

/// What clusters are made of and broken by: one of each kind that UAX #29 knows, and some that have special capitals.
const PARTS: [&str; 24] = [
    "\r", "\n", "\u{1}", "\u{301}", "\u{200d}", "🇨", "\u{600}", "\u{903}", "ᄀ", "ᅡ", "ᆨ", "가", "각", "😀", "a", "क",
    "\u{94d}", "ß", "ŉ", "ΐ", "ﬁ", "ǆ", "ς", "İ",
];

fn clusters(text: &str) -> Vec<&str> {
    text.graphemes(true).collect()
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), vec(select(&PARTS[..]), 0..12).prop_map(|parts| parts.concat())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_answer_is_the_clusters_of_the_text_in_reverse_order_each_in_capitals(text in any_text()) {
        let mut expected = String::new();
        let mut boundaries: Vec<_> = text.grapheme_indices(true).map(|(at, _)| at).collect();
        let mut end = text.len();
        while let Some(start) = boundaries.pop() {
            for letter in text[start..end].chars() {
                expected.extend(letter.to_uppercase());
            }
            end = start;
        }
        prop_assert_eq!(capitalised(&reversed(&text)), expected);
    }

    #[test]
    fn nothing_is_added_or_lost(text in any_text()) {
        let sorted = |text: &str| {
            let mut letters: Vec<_> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        prop_assert_eq!(sorted(&reversed(&text)), sorted(&text));
    }

    #[test]
    fn clusters_that_stand_by_themselves_are_found_again_and_twice_is_the_text(parts in vec(select(&WHOLE[..]), 0..20)) {
        let text = parts.concat();
        prop_assert_eq!(clusters(&text), &parts[..]);
        let result = reversed(&text);
        let expected: Vec<_> = parts.iter().rev().copied().collect();
        prop_assert_eq!(clusters(&result), expected);
        prop_assert_eq!(reversed(&result), text);
    }

    #[test]
    fn what_rust_capitalises_is_capitalised_and_what_is_changed_in_a_letter_is_not(text in any_text(), at: prop::sample::Index) {
        let capitals = capitalised(&text);
        prop_assert!(is_capitalised(&text, &capitals));
        prop_assert!(is_capitalised(&text, &simply(&text)), "{:?}", simply(&text));
        let mut letters: Vec<_> = capitals.chars().collect();
        letters.insert(at.index(letters.len() + 1), 'X');
        prop_assert!(!is_capitalised(&text, &letters.iter().collect::<String>()));
        if text != capitals {
            prop_assert_eq!(is_capitalised(&text, &text), text == simply(&text));
        }
    }
}

/// In capitals letter for letter, as languages have it that know no other mapping.
fn simply(text: &str) -> String {
    let one = |letter: char| {
        let mut capital = letter.to_uppercase();
        if capital.len() == 1 { capital.next().unwrap() } else { letter }
    };
    text.chars().map(one).collect()
}

#[test]
fn known_texts_are_as_a_reader_would_have_them() {
    for (text, answer) in [
        ("", ""),
        ("test", "TSET"),
        ("straße", "ESSARTS"),
        ("e\u{301}a", "AE\u{301}"),
        ("a\r\nb", "B\r\nA"),
        ("hi 🇨🇭🇩🇪", "🇩🇪🇨🇭 IH"),
        ("👩\u{200d}👩\u{200d}👧\u{200d}👦!", "!👩\u{200d}👩\u{200d}👧\u{200d}👦"),
        ("ﬁn", "NFI"),
        ("ΐ", "Ι\u{308}\u{301}"),
        ("ὀδυσσεύς", "ΣΎΕΣΣΥΔὈ"),
    ] {
        assert_eq!(capitalised(&reversed(text)), answer, "{text}");
    }
}

/// The table in the module's docs, row by row.
#[test]
fn what_is_read_anew_is_what_the_table_says() {
    for (text, before, after) in [
        ("\n\r", &["\n", "\r"][..], &["\r\n"][..]),
        ("🇨🇭🇩", &["🇨🇭", "🇩"], &["🇩🇨", "🇭"]),
        ("\n\u{301}a", &["\n", "\u{301}", "a"], &["a\u{301}", "\n"]),
        ("\u{301}a", &["\u{301}", "a"], &["a\u{301}"]),
        ("😀😀\u{200d}", &["😀", "😀\u{200d}"], &["😀\u{200d}😀"]),
        ("\u{1161}\u{1100}", &["\u{1161}", "\u{1100}"], &["\u{1100}\u{1161}"]),
        ("1\u{600}", &["1", "\u{600}"], &["\u{600}1"]),
        ("कक्", &["क", "क्"], &["क्क"]),
    ] {
        assert_eq!(clusters(text), before, "{text:?}");
        let result = reversed(text);
        assert_eq!(clusters(&result), after, "{text:?}");
    }
}
