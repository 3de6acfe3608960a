//! What goes into the dead-letter queue with a rejected message.

use super::{DeadLetter, REASON_ATTRIBUTE};
use crate::message::Attribute;

/// Most attributes of a message (SQS Developer Guide, "Message metadata").
pub(super) const MAX_ATTRIBUTES: usize = 10;

/// Largest body and attributes in all (SQS Developer Guide, "Message quotas").
pub(super) const MAX_SIZE: usize = 1024 * 1024;

/// The longest reason that is sent, in bytes; the log has all of it.
const MAX_REASON: usize = 1024;

/// The attributes as they were received, and the reason unless there is no room for it or nothing to say.
/// The reason of an earlier rejection, after which the message was redriven, gives way to the new one.
pub(super) fn attributes(letter: &DeadLetter) -> Vec<(String, Attribute)> {
    let received = letter.payload.received_attributes();
    let reason = Attribute::string(sendable(&letter.reason));
    let others = || received.iter().filter(|(name, _)| *name != REASON_ATTRIBUTE);
    let size: usize = others().map(|(name, attribute)| name.len() + attribute.size()).sum();
    let size = size + letter.payload.received_body().len() + REASON_ATTRIBUTE.len() + reason.size();
    let says_something = reason.text().is_some_and(|text| !text.is_empty());
    if says_something && others().count() < MAX_ATTRIBUTES && size <= MAX_SIZE {
        let others = others().map(|(name, attribute)| (name.to_owned(), attribute.clone()));
        others.chain([(REASON_ATTRIBUTE.to_owned(), reason)]).collect()
    } else {
        received.iter().map(|(name, attribute)| (name.to_owned(), attribute.clone())).collect()
    }
}

/// SQS takes no control characters but tab and line ends (API reference, `SendMessage`).
fn sendable(reason: &str) -> String {
    let allowed = |c: char| match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    };
    let end = reason.floor_char_boundary(MAX_REASON);
    reason[..end].chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Delivery, ReceiptHandle};
    use super::*;
    use crate::message::{Attributes, Payload};

    fn letter(body: String, attributes: impl IntoIterator<Item = (String, Attribute)>, reason: &str) -> DeadLetter {
        let delivery = Delivery {
            message_id: "m".into(),
            receipt: ReceiptHandle("r".to_owned()),
            receive_count: 1,
            group: None,
            sent_at: None,
            first_received_at: None,
        };
        let payload = Arc::new(Payload::new(body, Attributes::from_iter(attributes)));
        DeadLetter { delivery, payload, reason: reason.to_owned() }
    }

    fn numbered(count: usize) -> impl Iterator<Item = (String, Attribute)> {
        (0..count).map(|n| (format!("a{n}"), Attribute::string("value")))
    }

    fn reason(letter: &DeadLetter) -> Option<String> {
        let attributes = Attributes::from_iter(attributes(letter));
        attributes.get(REASON_ATTRIBUTE).and_then(Attribute::text).map(str::to_owned)
    }

    #[test]
    fn the_reason_is_added_while_there_is_room_for_an_attribute() {
        assert_eq!(reason(&letter("b".to_owned(), numbered(9), "bad")).as_deref(), Some("bad"));
        let full = letter("b".to_owned(), numbered(10), "bad");
        assert_eq!(attributes(&full), numbered(10).collect::<Vec<_>>());
    }

    #[test]
    fn the_reason_of_an_earlier_rejection_gives_way() {
        let earlier = (REASON_ATTRIBUTE.to_owned(), Attribute::string("earlier"));
        let again = letter("b".to_owned(), numbered(9).chain([earlier]), "now");
        assert_eq!(reason(&again).as_deref(), Some("now"));
        assert_eq!(attributes(&again).len(), 10);
    }

    #[test]
    fn a_reason_for_which_the_body_leaves_no_room_or_that_is_empty_is_left_out() {
        assert_eq!(reason(&letter("b".repeat(MAX_SIZE), [], "bad")), None);
        assert_eq!(reason(&letter("b".to_owned(), [], "")), None);
    }

    #[test]
    fn a_reason_is_cut_and_cleaned_of_what_sqs_refuses() {
        let long = format!("a\u{0}\u{1b}\tb{}", "ä".repeat(1000));
        let sent = reason(&letter("b".to_owned(), [], &long)).unwrap_or_default();
        assert!(sent.starts_with("a\u{fffd}\u{fffd}\tbä"), "{sent}");
        assert!(sent.chars().count() < 1000);
    }
}
