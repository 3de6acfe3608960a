//! One queue: send, drain, count, purge.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use crate::eventually;
use crate::message::{DEFAULT_GROUP, Incoming, Outgoing, batches, is_fifo};

/// A queue, with a client to reach it. The client belongs to the runtime, and so to the test, that made it.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name, `….fifo` for a FIFO queue.
    pub name: String,
    /// Its URL, on the host that it was asked from.
    pub url: String,
    /// Its ARN.
    pub arn: String,
    /// For what there is no method for.
    pub client: Client,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Can be received.
    pub visible: u32,
    /// Were received and are invisible.
    pub in_flight: u32,
    /// Were sent with a delay that is not over.
    pub delayed: u32,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u32 {
        self.visible + self.in_flight + self.delayed
    }
}

impl Queue {
    /// Makes a queue; a name in `.fifo` makes a FIFO queue with deduplication by content.
    pub async fn make(client: &Client, name: &str, attributes: HashMap<QueueAttributeName, String>) -> Self {
        let mut call = client.create_queue().queue_name(name);
        if is_fifo(name) {
            call = call
                .attributes(QueueAttributeName::FifoQueue, "true")
                .attributes(QueueAttributeName::ContentBasedDeduplication, "true");
        }
        for (attribute, value) in attributes {
            call = call.attributes(attribute, value);
        }
        let made = call.send().await;
        made.unwrap_or_else(|error| panic!("cannot make the queue {name}: {}", DisplayErrorContext(&error)));
        Self::find(client, name).await
    }

    /// The queue of this name, which must exist.
    pub async fn find(client: &Client, name: &str) -> Self {
        let url = client.get_queue_url().queue_name(name).send().await;
        let url = url.unwrap_or_else(|error| panic!("cannot find the queue {name}: {}", DisplayErrorContext(&error)));
        let url = url.queue_url.expect("GetQueueUrl gives a URL");
        let mut queue = Self { name: name.to_owned(), url, arn: String::new(), client: client.clone() };
        queue.arn = queue.attribute(QueueAttributeName::QueueArn).await.expect("a queue has an ARN");
        queue
    }

    /// Sends messages to the queue itself, past any topic, in batches.
    pub async fn send(&self, messages: impl IntoIterator<Item = impl Into<Outgoing>>) {
        for batch in batches(messages) {
            let entries = batch.into_iter().enumerate().map(|(index, message)| self.entry(index, message)).collect();
            let sent = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
            let sent =
                sent.unwrap_or_else(|error| panic!("cannot send to {}: {}", self.name, DisplayErrorContext(&error)));
            assert!(sent.failed.is_empty(), "not all was sent to {}: {:?}", self.name, sent.failed);
        }
    }

    fn entry(&self, index: usize, message: Outgoing) -> SendMessageBatchRequestEntry {
        let attributes = message.attributes.into_iter().map(|(name, value)| {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            (name, value.expect("a type is given"))
        });
        let attributes = Some(attributes.collect()).filter(|attributes: &HashMap<_, _>| !attributes.is_empty());
        let group = message.group.or_else(|| is_fifo(&self.name).then(|| DEFAULT_GROUP.to_owned()));
        SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .message_body(message.body)
            .set_message_attributes(attributes)
            .set_message_group_id(group)
            .set_message_deduplication_id(message.deduplication_id)
            .build()
            .expect("id and body are given")
    }

    /// Receives and deletes what is visible, until there is nothing more.
    pub async fn drain(&self) -> Vec<Incoming> {
        let mut drained = Vec::new();
        loop {
            let received = self.receive(Duration::from_secs(1)).await;
            if received.is_empty() {
                return drained;
            }
            self.delete(&received).await;
            drained.extend(received.into_iter().map(Incoming::from));
        }
    }

    /// Receives and deletes until there are at least `count` messages; panics after `limit`, with what there was.
    pub async fn drain_until(&self, count: usize, limit: Duration) -> Vec<Incoming> {
        let mut drained = Vec::new();
        eventually("full count of messages", limit, async || {
            drained.append(&mut self.drain().await);
            if drained.len() >= count { Ok(()) } else { Err(format!("{} of {count}: {drained:?}", drained.len())) }
        })
        .await;
        drained
    }

    /// Receives up to ten messages, waiting up to `wait` for the first; they are in flight then.
    pub async fn receive(&self, wait: Duration) -> Vec<Message> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(i32::try_from(wait.as_secs()).expect("a wait time is at most 20 s"))
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await;
        let received = received
            .unwrap_or_else(|error| panic!("cannot receive from {}: {}", self.name, DisplayErrorContext(&error)));
        received.messages.unwrap_or_default()
    }

    /// Deletes up to ten messages that were received.
    pub async fn delete(&self, received: &[Message]) {
        let entries = received.iter().enumerate().map(|(index, message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.set_receipt_handle(message.receipt_handle.clone()).build().expect("id and handle are given")
        });
        let entries = Some(entries.collect());
        let deleted = self.client.delete_message_batch().queue_url(&self.url).set_entries(entries).send().await;
        let deleted =
            deleted.unwrap_or_else(|error| panic!("cannot delete from {}: {}", self.name, DisplayErrorContext(&error)));
        assert!(deleted.failed.is_empty(), "not all was deleted from {}: {:?}", self.name, deleted.failed);
    }

    /// How many messages it holds.
    pub async fn counts(&self) -> Counts {
        let attributes = self.attributes().await;
        let count = |name: QueueAttributeName| {
            let count = attributes.get(&name).and_then(|count| count.parse().ok());
            count.unwrap_or_else(|| panic!("{} gave no {name}: {attributes:?}", self.name))
        };
        Counts {
            visible: count(QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
        }
    }

    /// Waits until it holds no message at all.
    pub async fn wait_empty(&self, limit: Duration) {
        eventually(&format!("empty queue {}", self.name), limit, async || {
            let counts = self.counts().await;
            if counts.total() == 0 { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await;
    }

    /// Removes all messages, in flight or not.
    pub async fn purge(&self) {
        let purged = self.client.purge_queue().queue_url(&self.url).send().await;
        purged.unwrap_or_else(|error| panic!("cannot purge {}: {}", self.name, DisplayErrorContext(&error)));
    }

    /// Removes the queue itself.
    pub async fn remove(&self) {
        let removed = self.client.delete_queue().queue_url(&self.url).send().await;
        removed.unwrap_or_else(|error| panic!("cannot remove {}: {}", self.name, DisplayErrorContext(&error)));
    }

    /// One attribute, as it is now.
    pub async fn attribute(&self, name: QueueAttributeName) -> Option<String> {
        self.attributes().await.remove(&name)
    }

    async fn attributes(&self) -> HashMap<QueueAttributeName, String> {
        let all = QueueAttributeName::All;
        let read = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(all).send().await;
        let read = read.unwrap_or_else(|error| {
            panic!("cannot read the attributes of {}: {}", self.name, DisplayErrorContext(&error))
        });
        read.attributes.unwrap_or_default()
    }
}
