//! What SNS, and SQS behind it, take as text, attributes, subjects and ids.

use crate::entry::ID;
use crate::message::Attribute;
use crate::refusal::Refusal;

/// The most attributes that survive raw delivery to SQS, `id` included; SNS discards a message with more
/// (SNS developer guide, "Message attributes").
pub(crate) const MAX_ATTRIBUTES: usize = 10;

/// The most characters of a group id or a deduplication id.
pub(crate) const MAX_TOKEN: usize = 128;

/// The most characters of an attribute's name.
const MAX_NAME: usize = 256;

/// How many bytes of a text are looked at before what was found is asked for.
const CHUNK: usize = 1024;

/// The most characters of a subject.
const MAX_SUBJECT: usize = 100;

/// `id` is the message's own id if the sender chose it; it counts as an attribute either way.
pub(crate) fn check_attributes(id: Option<&str>, attributes: &[(String, Attribute)]) -> Result<(), Refusal> {
    let count = attributes.len() + 1;
    if count > MAX_ATTRIBUTES {
        return Err(Refusal::TooManyAttributes { count });
    }
    if let Some(id) = id {
        check_attribute(ID, &Attribute::String(id.to_owned()))?;
    }
    for (name, value) in attributes {
        let wrong_id = (name == ID).then_some("the message's id must be of the type String");
        if let Some(reason) = wrong_id.or_else(|| wrong_name(name)) {
            return Err(Refusal::Attribute { name: name.clone(), reason });
        }
        check_attribute(name, value)?;
    }
    Ok(())
}

/// The rules of the SNS developer guide, "Message attributes".
fn wrong_name(name: &str) -> Option<&'static str> {
    let lower = || name.to_ascii_lowercase();
    if name.is_empty() || name.len() > MAX_NAME {
        Some("the name must be 1 to 256 characters")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
        Some("the name may have letters and digits of ASCII, _, - and . only")
    } else if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        Some("the name must not start or end with a dot or have two in a row")
    } else if lower().starts_with("aws.") || lower().starts_with("amazon.") {
        Some("names that start with AWS. or Amazon. are reserved")
    } else {
        None
    }
}

fn check_attribute(name: &str, value: &Attribute) -> Result<(), Refusal> {
    let wrong = match value {
        _ if value.is_empty() => Some("the value is empty, and SNS takes at least one byte"),
        Attribute::Number(number) if !is_number(number) => Some("the value is not a decimal number"),
        Attribute::StringArray(array) if !is_array(array) => {
            Some("the value is not a JSON array of strings, numbers, booleans or nulls")
        }
        Attribute::String(text) | Attribute::StringArray(text) => {
            return check_text(text, || format!("attribute {name:?}"));
        }
        Attribute::Number(_) | Attribute::Binary(_) => None,
    };
    wrong.map_or(Ok(()), |reason| Err(Refusal::Attribute { name: name.to_owned(), reason }))
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_array(text: &str) -> bool {
    let values = serde_json::from_str::<Vec<serde_json::Value>>(text);
    values.is_ok_and(|values| values.iter().all(|value| !value.is_array() && !value.is_object()))
}

pub(crate) fn check_subject(subject: Option<&str>) -> Result<(), Refusal> {
    let fits = |subject: &str| (1..=MAX_SUBJECT).contains(&subject.chars().count());
    match subject {
        Some(subject) if !fits(subject) || subject.chars().any(char::is_control) => Err(Refusal::Subject),
        _ => Ok(()),
    }
}

pub(crate) fn check_token(field: &'static str, token: Option<&str>) -> Result<(), Refusal> {
    if token.is_none_or(is_token) { Ok(()) } else { Err(Refusal::Token { field }) }
}

pub(crate) fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// XML 1.0 has no place for most control characters and for U+FFFE and U+FFFF, not even escaped; SQS refuses them
/// (SQS API reference, `SendMessage`), and what SNS can't deliver to it is lost without a word.
pub(crate) fn check_text(text: &str, part: impl FnOnce() -> String) -> Result<(), Refusal> {
    // Most text is told good in this one pass over its bytes: U+FFFE and U+FFFF begin with 0xEF. No chunk is left early,
    // so that the compiler can look at many bytes at a time.
    #[expect(clippy::needless_bitwise_bool, reason = "for the same: a lazy operator would be a branch")]
    let suspicious = |byte: u8| (byte == 0xEF) | ((byte < b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r'));
    let mut chunks = text.as_bytes().chunks(CHUNK);
    if !chunks.any(|chunk| chunk.iter().fold(false, |found, byte| found | suspicious(*byte))) {
        return Ok(());
    }
    let forbidden = |character: &char| match character {
        '\t' | '\n' | '\r' => false,
        '\0'..' ' | '\u{FFFE}' | '\u{FFFF}' => true,
        _ => false,
    };
    match text.chars().find(forbidden) {
        Some(character) => Err(Refusal::Character { part: part(), character }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: &str) -> Attribute {
        Attribute::String(value.to_owned())
    }

    fn check(name: &str, value: Attribute) -> Result<(), Refusal> {
        check_attributes(None, &[(name.to_owned(), value)])
    }

    #[test]
    fn ten_attributes_with_the_id_are_taken_and_eleven_are_refused_with_the_limit() {
        let attributes = |count: usize| (0..count).map(|n| (format!("a{n}"), text("x"))).collect::<Vec<_>>();
        assert_eq!(check_attributes(None, &attributes(9)), Ok(()));
        let refusal = check_attributes(None, &attributes(10)).unwrap_err();
        assert_eq!(refusal, Refusal::TooManyAttributes { count: 11 });
        assert!(refusal.to_string().contains("at most 10"));
    }

    #[test]
    fn attribute_names_that_sns_does_not_take_are_refused() {
        for good in ["kind", "a", "A-b_c.9", "aws", &"x".repeat(256)] {
            assert_eq!(check(good, text("x")), Ok(()), "{good}");
        }
        for bad in ["", "a b", "ä", ".a", "a.", "a..b", "AWS.x", "aws.x", "Amazon.x", "id", "a\nb", &"x".repeat(257)] {
            let value = if bad == "id" { Attribute::Number("1".to_owned()) } else { text("x") };
            assert!(matches!(check(bad, value), Err(Refusal::Attribute { .. })), "{bad}");
        }
    }

    #[test]
    fn attribute_values_that_sns_does_not_take_are_refused() {
        let number = |text: &str| Attribute::Number(text.to_owned());
        let array = |text: &str| Attribute::StringArray(text.to_owned());
        for good in [number("-1.5e3"), number("0"), array("[\"a\", 1, true, null]"), Attribute::Binary(vec![0])] {
            assert_eq!(check("a", good.clone()), Ok(()), "{good:?}");
        }
        for bad in [text(""), number("one"), number("NaN"), number("inf"), array("a"), array("[[1]]"), array("{}")] {
            assert!(matches!(check("a", bad.clone()), Err(Refusal::Attribute { .. })), "{bad:?}");
        }
        assert!(matches!(check("a", Attribute::Binary(vec![])), Err(Refusal::Attribute { .. })));
        assert!(matches!(check("a", text("\0")), Err(Refusal::Character { .. })));
        assert!(matches!(check_attributes(Some(""), &[]), Err(Refusal::Attribute { .. })));
        assert!(matches!(check_attributes(Some("\u{1}"), &[]), Err(Refusal::Character { .. })));
    }

    #[test]
    fn subjects_and_ids_are_held_to_their_limits() {
        for good in [None, Some("x"), Some("Grüße!"), Some(&*"ä".repeat(100))] {
            assert_eq!(check_subject(good), Ok(()), "{good:?}");
        }
        for bad in ["", "a\nb", &"x".repeat(101)] {
            assert_eq!(check_subject(Some(bad)), Err(Refusal::Subject), "{bad:?}");
        }
        for good in [None, Some("a-1:/~!"), Some(&*"x".repeat(128))] {
            assert_eq!(check_token("group id", good), Ok(()), "{good:?}");
        }
        for bad in ["", "a b", "ä", "a\n", &"x".repeat(129)] {
            assert_eq!(check_token("group id", Some(bad)), Err(Refusal::Token { field: "group id" }), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn text_is_refused_exactly_for_the_characters_that_xml_has_no_place_for(body in any::<String>()) {
            let fits = |character: char| {
                matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
            };
            let first = body.chars().find(|character| !fits(*character));
            let expected = first.map_or(Ok(()), |character| Err(Refusal::Character { part: "body".into(), character }));
            prop_assert_eq!(check_text(&body, || "body".to_owned()), expected);
        }

        #[test]
        fn a_character_that_xml_has_no_place_for_is_found_wherever_it_is(
            before in "[a-zä\u{FFFD}\u{FEFF}]{0,20}", wrong in "[\0-\x08\x0B\x0C\x0E-\x1F\u{FFFE}\u{FFFF}]", after in "[a-z]{0,20}"
        ) {
            let body = format!("{before}{wrong}{after}");
            prop_assert!(check_text(&body, || "body".to_owned()).is_err());
            let without = before + &after;
            prop_assert!(check_text(&without, || "body".to_owned()).is_ok());
        }
    }
}
