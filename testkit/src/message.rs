//! Messages on their way in and out.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};

/// The group of a message to a FIFO topic or queue that names none.
pub const DEFAULT_GROUP: &str = "test";

/// The most entries in a batch.
const BATCH_ENTRIES: usize = 10;

/// The most bytes of bodies in a batch, well below AWS's limit, to which attributes count too.
const BATCH_BYTES: usize = 200 * 1024;

/// A message to be published or sent; a string is a body with nothing else.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    pub(crate) body: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) group: Option<String>,
    pub(crate) deduplication_id: Option<String>,
}

impl Outgoing {
    /// A message with this body.
    #[must_use]
    pub fn new(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// With an attribute of type String.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.insert(name.to_owned(), value.to_owned());
        self
    }

    /// In this message group; [`DEFAULT_GROUP`] if none is given and the target is FIFO.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }

    /// With this deduplication id; by its content if none is given and the target is FIFO.
    #[must_use]
    pub fn deduplication_id(mut self, id: &str) -> Self {
        self.deduplication_id = Some(id.to_owned());
        self
    }
}

impl From<String> for Outgoing {
    fn from(body: String) -> Self {
        Self::new(body)
    }
}

impl From<&String> for Outgoing {
    fn from(body: &String) -> Self {
        Self::new(body)
    }
}

impl From<&str> for Outgoing {
    fn from(body: &str) -> Self {
        Self::new(body)
    }
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The queue's id of it.
    pub message_id: String,
    /// Its body, in SNS's envelope unless the subscription is raw.
    pub body: String,
    /// Its attributes, but for binary ones; none if it is in an envelope.
    pub attributes: BTreeMap<String, String>,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// Its message group, if the queue is FIFO.
    pub group: Option<String>,
}

impl From<Message> for Incoming {
    fn from(message: Message) -> Self {
        let system = message.attributes.unwrap_or_default();
        let receive_count = system.get(&MessageSystemAttributeName::ApproximateReceiveCount);
        let attributes = message.message_attributes.unwrap_or_default().into_iter();
        Self {
            message_id: message.message_id.expect("a received message has an id"),
            body: message.body.unwrap_or_default(),
            attributes: attributes.filter_map(|(name, value)| Some((name, value.string_value?))).collect(),
            receive_count: receive_count.and_then(|count| count.parse().ok()).expect("all attributes were asked for"),
            group: system.get(&MessageSystemAttributeName::MessageGroupId).cloned(),
        }
    }
}

/// Whether a topic or queue of this name is FIFO.
pub(crate) fn is_fifo(name: &str) -> bool {
    name.strip_suffix(".fifo").is_some()
}

/// Cuts messages into batches that SNS and SQS take, in order.
pub(crate) fn batches(messages: impl IntoIterator<Item = impl Into<Outgoing>>) -> Vec<Vec<Outgoing>> {
    let mut batches = Vec::new();
    let mut batch: Vec<Outgoing> = Vec::new();
    let mut bytes = 0;
    for message in messages.into_iter().map(Into::into) {
        if !batch.is_empty() && (batch.len() == BATCH_ENTRIES || bytes + message.body.len() > BATCH_BYTES) {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += message.body.len();
        batch.push(message);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_at_ten_messages_or_when_bodies_grow_large() {
        let sizes = |bodies: Vec<String>| batches(bodies).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![]), [] as [usize; 0]);
        assert_eq!(sizes(vec!["x".to_owned(); 25]), [10, 10, 5]);
        assert_eq!(sizes(vec!["x".repeat(64 * 1024); 7]), [3, 3, 1]);
        assert_eq!(sizes(vec!["x".repeat(250 * 1024); 2]), [1, 1]);
    }
}
