//! Messages from one queue to another, as they are: by SQS itself, or received, sent and deleted.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::{
    ListMessageMoveTasksResultEntry, Message, MessageAttributeValue, MessageSystemAttributeName as System,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, SendMessageBatchRequestEntry,
};

use super::super::letter::MAX_SIZE;
use super::super::{EntryResults, MAX_BATCH, QueueError, ReceiptHandle};
use super::messages::{entry_id, entry_results, incomplete, seconds};
use super::{SqsQueue, failure};

/// A message on its way: all that its sender said, and what SQS passes on.
#[derive(Clone, Debug)]
pub(crate) struct InTransit {
    pub(crate) id: String,
    pub(crate) receipt: ReceiptHandle,
    pub(crate) group: Option<String>,
    body: String,
    attributes: Option<HashMap<String, MessageAttributeValue>>,
    trace_header: Option<String>,
}

/// How far SQS is with moving messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MoveTask {
    /// Names the task while it runs; nothing once it has ended.
    pub(crate) handle: Option<String>,
    /// `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED`.
    pub(crate) status: String,
    pub(crate) destination: Option<String>,
    pub(crate) moved: u64,
    pub(crate) to_move: Option<u64>,
    pub(crate) failure: Option<String>,
}

impl InTransit {
    fn of(message: Message) -> Option<Self> {
        let mut system = message.attributes.unwrap_or_default();
        Some(Self {
            id: message.message_id?,
            receipt: ReceiptHandle(message.receipt_handle?),
            group: system.remove(&System::MessageGroupId),
            trace_header: system.remove(&System::AwsTraceHeader),
            body: message.body.unwrap_or_default(),
            attributes: message.message_attributes,
        })
    }

    /// As SQS counts it towards the size of a message.
    fn size(&self) -> usize {
        let size = |(name, value): (&String, &MessageAttributeValue)| {
            let text = value.string_value.as_ref().map_or(0, String::len);
            let binary = value.binary_value.as_ref().map_or(0, |bytes| bytes.as_ref().len());
            name.len() + value.data_type.len() + text + binary
        };
        self.body.len() + self.attributes.iter().flatten().map(size).sum::<usize>()
    }

    fn entry(&self, position: usize, fifo: bool) -> Result<SendMessageBatchRequestEntry, QueueError> {
        let trace_header = self.trace_header.as_ref().map(|header| {
            let value = MessageSystemAttributeValue::builder().data_type("String").string_value(header).build();
            value.map(|value| HashMap::from([(MessageSystemAttributeNameForSends::AwsTraceHeader, value)]))
        });
        // The sender's deduplication id would make SQS take the message for a copy of the original, if that was sent in
        // the last five minutes: it would confirm the send and drop the message. The id of the dead letter is new
        // with every stay in the dead-letter queue, and the same when an interrupted redrive is run again.
        let deduplication_id = fifo.then(|| format!("redrive-{}", self.id));
        SendMessageBatchRequestEntry::builder()
            .id(entry_id(position))
            .message_body(&self.body)
            .set_message_attributes(self.attributes.clone())
            .set_message_system_attributes(trace_header.transpose().map_err(incomplete)?)
            .set_message_group_id(self.group.clone())
            .set_message_deduplication_id(deduplication_id)
            .build()
            .map_err(incomplete)
    }
}

/// How many messages from the first on fit into one request, which may be as large as one message; at least one.
pub(crate) fn fitting(messages: &[InTransit]) -> usize {
    let mut total = 0;
    let fits = |message: &&InTransit| {
        total += message.size();
        total <= MAX_SIZE
    };
    messages.iter().take(MAX_BATCH).take_while(fits).count().max(1)
}

impl SqsQueue {
    /// Receives messages to be moved, hidden for the lease.
    pub(crate) async fn receive_for_transit(
        &self,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<Vec<InTransit>, QueueError> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max).unwrap_or(i32::MAX))
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(lease))
            .message_system_attribute_names(System::MessageGroupId)
            .message_system_attribute_names(System::AwsTraceHeader)
            .message_attribute_names("All");
        let answer = request.send().await.map_err(failure)?;
        Ok(answer.messages.into_iter().flatten().filter_map(InTransit::of).collect())
    }

    /// Sends messages that were received elsewhere, as they were, in one request; see [`fitting`].
    pub(crate) async fn forward(&self, messages: &[InTransit]) -> Result<EntryResults, QueueError> {
        let entries = messages.iter().enumerate().map(|(position, message)| message.entry(position, self.is_fifo()));
        let entries = entries.collect::<Result<_, _>>()?;
        let request = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = request.send().await.map_err(failure)?;
        Ok(entry_results(messages.len(), answer.successful.into_iter().map(|entry| entry.id), answer.failed))
    }

    /// Has SQS move all messages of the queue of one ARN to that of another.
    pub(crate) async fn start_move(&self, from: &str, to: &str) -> Result<(), QueueError> {
        let request = self.client.start_message_move_task().source_arn(from).destination_arn(to);
        request.send().await.map_err(failure).map(drop)
    }

    /// The newest move of messages out of the queue of this ARN.
    pub(crate) async fn newest_move(&self, from: &str) -> Result<Option<MoveTask>, QueueError> {
        let answer = self.client.list_message_move_tasks().source_arn(from).max_results(1).send().await;
        Ok(answer.map_err(failure)?.results.unwrap_or_default().into_iter().next().map(MoveTask::of))
    }

    /// Has SQS stop a move; what it has moved stays moved.
    pub(crate) async fn cancel_move(&self, handle: &str) -> Result<(), QueueError> {
        self.client.cancel_message_move_task().task_handle(handle).send().await.map_err(failure).map(drop)
    }
}

impl MoveTask {
    fn of(entry: ListMessageMoveTasksResultEntry) -> Self {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Self {
            handle: entry.task_handle,
            status: entry.status.unwrap_or_default(),
            destination: entry.destination_arn,
            moved: count(entry.approximate_number_of_messages_moved),
            to_move: entry.approximate_number_of_messages_to_move.map(count),
            failure: entry.failure_reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: usize) -> InTransit {
        InTransit {
            id: "m".to_owned(),
            receipt: ReceiptHandle("r".to_owned()),
            group: Some("g".to_owned()),
            body: "b".repeat(size),
            attributes: None,
            trace_header: Some("Root=1".to_owned()),
        }
    }

    #[test]
    fn a_request_takes_ten_messages_or_one_megabyte_and_always_one() {
        assert_eq!(fitting(&vec![message(10); 12]), 10);
        assert_eq!(fitting(&vec![message(MAX_SIZE / 2); 3]), 2);
        assert_eq!(fitting(&vec![message(MAX_SIZE / 2 + 1); 3]), 1);
        assert_eq!(fitting(&[message(MAX_SIZE + 1)]), 1);
    }

    #[test]
    fn a_message_keeps_its_group_and_trace_and_is_deduplicated_by_its_stay_in_the_dead_letter_queue() {
        let entry = message(1).entry(3, true).unwrap();
        assert_eq!((entry.id(), entry.message_group_id()), ("3", Some("g")));
        assert_eq!(entry.message_deduplication_id(), Some("redrive-m"));
        assert_eq!(entry.message_system_attributes().unwrap().len(), 1);
        assert_eq!(message(1).entry(0, false).unwrap().message_deduplication_id(), None);
    }
}
