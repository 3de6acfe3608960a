//! A message as it lies in the spool.

use redb::TableDefinition;

use crate::entry::Entry;
use crate::message::{Attribute, Message};

/// When it was accepted, in milliseconds since 1970; id; body; attributes, each with its name, kind and value; subject;
/// group; deduplication id. All in redb's own types, so that a table of another layout is told apart when it is opened.
pub(super) type Row<'a> =
    (u64, &'a str, &'a str, Vec<(&'a str, u8, &'a [u8])>, Option<&'a str>, Option<&'a str>, Option<&'a str>);

/// By number, in the order in which they were accepted.
pub(super) const MESSAGES: TableDefinition<'_, u64, Row<'static>> = TableDefinition::new("messages-1");

/// Accepted, and not to be published whatever one tries: why not, and the message.
pub(super) const DEAD_LETTERS: TableDefinition<'_, u64, (&str, Row<'static>)> = TableDefinition::new("dead-letters-1");

/// Facts about the spool itself.
pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers-1");

/// What the messages in both tables count against the limit.
pub(super) const COST: &str = "cost";

/// As [`NUMBERS`], in words.
pub(super) const TEXTS: TableDefinition<'_, &str, &str> = TableDefinition::new("texts-1");

/// The topic that the messages are for, in JSON.
pub(super) const TOPIC: &str = "topic";

/// What a spooled message counts beside its own bytes: its keys, and pages that are not full. A page is never less than
/// half full of small messages, so that this is on the safe side for them.
const OVERHEAD: u64 = 1024;

const STRING: u8 = 0;
const NUMBER: u8 = 1;
const BINARY: u8 = 2;
const STRING_ARRAY: u8 = 3;

pub(super) fn row<'a>(entry: &'a Entry, id: &'a str, accepted_at: u64) -> Row<'a> {
    let attributes = entry.attributes().iter().map(|(name, value)| match value {
        Attribute::String(text) => (name.as_str(), STRING, text.as_bytes()),
        Attribute::Number(text) => (name.as_str(), NUMBER, text.as_bytes()),
        Attribute::Binary(bytes) => (name.as_str(), BINARY, bytes.as_slice()),
        Attribute::StringArray(text) => (name.as_str(), STRING_ARRAY, text.as_bytes()),
    });
    (
        accepted_at,
        id,
        entry.body(),
        attributes.collect(),
        entry.subject(),
        entry.group_id().map(AsRef::as_ref),
        entry.deduplication_id(),
    )
}

/// The message, to be checked again: the topic may have been made anew with other limits.
pub(super) fn message((_, id, body, attributes, subject, group_id, deduplication_id): &Row<'_>) -> Message {
    let mut message = Message::new(*body).id(*id);
    for (name, kind, value) in attributes {
        let text = || String::from_utf8_lossy(value).into_owned();
        let value = match *kind {
            NUMBER => Attribute::Number(text()),
            BINARY => Attribute::Binary(value.to_vec()),
            STRING_ARRAY => Attribute::StringArray(text()),
            _ => Attribute::String(text()),
        };
        message.attributes.push(((*name).to_owned(), value));
    }
    message.subject = subject.map(str::to_owned);
    message.group_id = group_id.map(str::to_owned);
    message.deduplication_id = deduplication_id.map(str::to_owned);
    message
}

/// What a message counts against the limit.
pub(super) fn cost(row: &Row<'_>) -> u64 {
    let (_, id, body, attributes, ..) = row;
    let kinds = ["String".len(), "Number".len(), "Binary".len(), "String.Array".len()];
    let kind = |kind: u8| kinds.get(usize::from(kind)).copied().unwrap_or_default();
    let attributes = attributes.iter().map(|(name, of_kind, value)| name.len() + kind(*of_kind) + value.len());
    cost_of_bytes(body.len() + "idString".len() + id.len() + attributes.sum::<usize>())
}

/// The same, of what SNS counts.
pub(crate) const fn cost_of_bytes(bytes: usize) -> u64 {
    bytes as u64 + OVERHEAD
}
