//! Why a message can't be published whatever one tries.

use thiserror::Error;

use crate::rules::{MAX_ATTRIBUTES, MAX_TOKEN};

/// What about a message is not acceptable, with the limit. Sending the same message again can't help.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The body is empty.
    #[error("the body is empty, and SNS takes at least one byte")]
    Empty,
    /// The body and its attributes are over the topic's limit.
    #[error("{bytes} bytes with the attributes, and the topic takes at most {limit}")]
    TooLarge {
        /// What SNS would count: the body, and each attribute's name, type and value.
        bytes: usize,
        /// The topic's `MaximumMessageSize`, or SNS's own default.
        limit: usize,
    },
    /// The body is not text.
    #[error("not UTF-8 at byte {at}, and SNS carries text only; base64 would do")]
    NotUtf8 {
        /// The first byte that is not.
        at: usize,
    },
    /// The body, or a value, has a character that SNS and SQS can't carry: XML 1.0 has no place for it.
    #[error(
        "the {part} has the character {character:?}, which SNS and SQS can't carry; a JSON escape or base64 would do"
    )]
    Character {
        /// `body`, or which attribute.
        part: String,
        /// The first such character.
        character: char,
    },
    /// Too many attributes.
    #[error(
        "{count} attributes with `id`, and raw delivery takes at most {MAX_ATTRIBUTES}: SNS would discard the message"
    )]
    TooManyAttributes {
        /// How many there are, `id` included.
        count: usize,
    },
    /// An attribute whose name, type or value SNS does not take.
    #[error("attribute {name:?}: {reason}")]
    Attribute {
        /// The attribute.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The subject is not one that SNS takes.
    #[error("the subject must be 1 to 100 characters, none of them a control character")]
    Subject,
    /// The group id or deduplication id is not one that SNS takes.
    #[error("the {field} must be 1 to {MAX_TOKEN} letters, digits or punctuation marks of ASCII")]
    Token {
        /// `group id` or `deduplication id`.
        field: &'static str,
    },
    /// A FIFO topic keeps order by group, and the message names none.
    #[error("a FIFO topic needs a group id")]
    NoGroup,
    /// A standard topic would refuse the message for its deduplication id.
    #[error("a deduplication id needs a FIFO topic")]
    NotFifo,
    /// SNS said so.
    #[error("SNS refused it: {reason}")]
    Sns {
        /// In SNS's words.
        reason: String,
    },
}
