//! What the tools ask of a queue besides what a consumer does.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;

use super::super::{QueueDepth, QueueError, Redrive};
use super::address::name_in_url;
use super::redrive::Policy;
use super::{SqsQueue, failure};

/// The attributes of a queue by the names that SQS gives them (SQS API reference, `GetQueueAttributes`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueAttributes(HashMap<String, String>);

/// How many messages a queue holds; on AWS these lag by up to a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Can be received.
    pub(crate) waiting: u64,
    /// Were received and are invisible.
    pub(crate) in_flight: u64,
    /// Were sent with a delay that is not over.
    pub(crate) delayed: u64,
}

impl Counts {
    pub(crate) const fn total(self) -> u64 {
        self.waiting + self.in_flight + self.delayed
    }
}

impl QueueAttributes {
    /// What SQS says under this name; nothing where it says nothing or an empty text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn seconds(&self, name: &str) -> Option<Duration> {
        Some(Duration::from_secs(self.get(name)?.parse().ok()?))
    }

    pub(crate) fn arn(&self) -> &str {
        self.get("QueueArn").unwrap_or_default()
    }

    pub(crate) fn is_fifo(&self) -> bool {
        self.get("FifoQueue") == Some("true")
    }

    pub(crate) fn redrive(&self) -> Option<Result<Redrive, QueueError>> {
        Some(Policy::parse(self.get("RedrivePolicy")?).map(Policy::into_redrive))
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |name| self.get(name).and_then(|count| count.parse().ok()).unwrap_or(0);
        Counts {
            waiting: count("ApproximateNumberOfMessages"),
            in_flight: count("ApproximateNumberOfMessagesNotVisible"),
            delayed: count("ApproximateNumberOfMessagesDelayed"),
        }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for QueueAttributes {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(attributes: I) -> Self {
        Self(attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl SqsQueue {
    /// The queue's name.
    pub(crate) fn name(&self) -> &str {
        name_in_url(&self.url)
    }

    /// All attributes of the queue.
    pub(crate) async fn all_attributes(&self) -> Result<QueueAttributes, QueueError> {
        self.some_attributes(vec![QueueAttributeName::All]).await
    }

    async fn some_attributes(&self, wanted: Vec<QueueAttributeName>) -> Result<QueueAttributes, QueueError> {
        let request = self.client.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(wanted));
        let attributes = request.send().await.map_err(failure)?.attributes.unwrap_or_default();
        Ok(attributes.into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect())
    }

    /// How many messages wait here and, where that may be looked at, in the dead-letter queue.
    pub(super) async fn depth_with_dead_letters(&self) -> Result<QueueDepth, QueueError> {
        let Counts { waiting, in_flight, delayed } = self.depth_alone().await?;
        let dead_letters = match self.dead_letter_queue().await {
            Ok(queue) => queue.depth_alone().await.ok().map(Counts::total),
            Err(_) => None,
        };
        Ok(QueueDepth { visible: waiting, in_flight, delayed, dead_letters })
    }

    async fn depth_alone(&self) -> Result<Counts, QueueError> {
        let wanted = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        Ok(self.some_attributes(wanted.into()).await?.counts())
    }

    /// The queue to which this one's dead letters go.
    /// An error of kind `NotFound` where there is no redrive policy or no such queue.
    pub(crate) async fn dead_letter_queue(&self) -> Result<Self, QueueError> {
        let found = self.find_dead_letter_queue().await?;
        Ok(Self {
            client: self.client.clone(),
            ways: self.ways.clone(),
            url: found.url,
            dead_letter_queue: std::sync::Mutex::default(),
        })
    }

    /// Another queue, by the same client.
    pub(crate) async fn sibling(&self, address: &super::QueueAddress) -> Result<Self, QueueError> {
        Self::find_by(self.client.clone(), self.ways.clone(), address).await
    }

    /// Removes every message, in flight or not. SQS allows one every 60 s and takes up to 60 s for it.
    pub(crate) async fn purge(&self) -> Result<(), QueueError> {
        self.client.purge_queue().queue_url(&self.url).send().await.map_err(failure).map(drop)
    }
}

/// Whether SQS refused because a purge of the last 60 s still goes on.
pub(crate) fn is_purge_in_progress(error: &QueueError) -> bool {
    error.message.contains("PurgeQueueInProgress")
}
