//! Messages, receipts and attributes between the SDK's types and ours. Bodies are moved, never copied.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{BatchResultErrorEntry, Message, MessageAttributeValue, MessageSystemAttributeName};
use tracing::warn;

use super::super::{Delivery, EntryError, EntryResults, ErrorKind, QueueError, ReceiptHandle, Received};
use super::failures::entry_failure;
use crate::message::{Attribute, AttributeValue, Payload};

/// What SQS tells of a message besides what its sender said.
pub(super) const SYSTEM_ATTRIBUTES: [MessageSystemAttributeName; 4] = [
    MessageSystemAttributeName::ApproximateFirstReceiveTimestamp,
    MessageSystemAttributeName::ApproximateReceiveCount,
    MessageSystemAttributeName::MessageGroupId,
    MessageSystemAttributeName::SentTimestamp,
];

/// `None` for what no SQS sends: a message without id or receipt handle, with which nothing could be done.
pub(super) fn received(message: Message) -> Option<Received> {
    let Message { message_id, receipt_handle, body, attributes, message_attributes, .. } = message;
    let (Some(message_id), Some(receipt)) = (message_id, receipt_handle) else {
        warn!("a message without id or receipt handle is left alone");
        return None;
    };
    let mut system = attributes.unwrap_or_default();
    let count = system.get(&MessageSystemAttributeName::ApproximateReceiveCount);
    let delivery = Delivery {
        message_id: message_id.into(),
        receipt: ReceiptHandle(receipt),
        receive_count: count.and_then(|count| count.parse().ok()).unwrap_or(1),
        sent_at: time(&system, &MessageSystemAttributeName::SentTimestamp),
        first_received_at: time(&system, &MessageSystemAttributeName::ApproximateFirstReceiveTimestamp),
        group: system.remove(&MessageSystemAttributeName::MessageGroupId).map(Into::into),
    };
    let attributes =
        message_attributes.into_iter().flatten().filter_map(|(name, value)| Some((name, attribute(value)?)));
    Some(Received { delivery, payload: Payload::new(body.unwrap_or_default(), attributes.collect()) })
}

/// In milliseconds since 1970 (SQS API reference, `ReceiveMessage`).
fn time(system: &HashMap<MessageSystemAttributeName, String>, name: &MessageSystemAttributeName) -> Option<SystemTime> {
    let milliseconds = system.get(name)?.parse().ok()?;
    UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))
}

fn attribute(value: MessageAttributeValue) -> Option<Attribute> {
    let MessageAttributeValue { data_type, string_value, binary_value, .. } = value;
    let text = string_value.map(AttributeValue::Text);
    let value = text.or_else(|| Some(AttributeValue::Binary(binary_value?.into_inner())))?;
    Some(Attribute { data_type, value })
}

/// An attribute on its way back to SQS.
pub(super) fn attribute_value(attribute: Attribute) -> Result<MessageAttributeValue, QueueError> {
    let value = MessageAttributeValue::builder().data_type(attribute.data_type);
    let value = match attribute.value {
        AttributeValue::Text(text) => value.string_value(text),
        AttributeValue::Binary(bytes) => value.binary_value(Blob::new(bytes)),
    };
    value.build().map_err(incomplete)
}

/// A time as SQS takes it. A part of a second counts as a whole one: half a second must not become nothing.
pub(super) fn seconds(time: Duration) -> i32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// The id of an entry is its position, so that ids can't collide.
pub(super) fn entry_id(position: usize) -> String {
    position.to_string()
}

/// The result of each of `count` entries, by their ids. An entry that SQS says nothing of may be tried again.
pub(super) fn entry_results(
    count: usize,
    successful: impl IntoIterator<Item = String>,
    failed: Vec<BatchResultErrorEntry>,
) -> EntryResults {
    let unknown = EntryError { sender_fault: false, reason: "the queue's answer does not mention it".to_owned() };
    let mut results: EntryResults = std::iter::repeat_n(Err(unknown), count).collect();
    for id in successful {
        set(&mut results, &id, Ok(()));
    }
    for entry in failed {
        let id = entry.id.clone();
        set(&mut results, &id, Err(entry_failure(entry)));
    }
    results
}

fn set(results: &mut EntryResults, id: &str, result: Result<(), EntryError>) {
    if let Some(slot) = id.parse::<usize>().ok().and_then(|position| results.get_mut(position)) {
        *slot = result;
    }
}

/// A request that lacks what the SDK demands of it; ours have it all.
pub(super) fn incomplete(error: impl std::error::Error) -> QueueError {
    QueueError::new(ErrorKind::Invalid, error.to_string())
}
