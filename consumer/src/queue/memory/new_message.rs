//! A message on its way into the in-memory queue.

use std::sync::Arc;
use std::time::Duration;

use super::super::letter::{MAX_ATTRIBUTES, MAX_SIZE};
use super::super::{ErrorKind, QueueError};
use crate::message::{Attribute, Attributes};

/// Longest delay of a message (SQS API reference, `SendMessage`, `DelaySeconds`).
const MAX_DELAY: Duration = Duration::from_mins(15);

/// What to send to a [`MemoryQueue`](super::MemoryQueue). A string will do where only the body matters.
///
/// ```
/// use upbeat_consumer::message::Attribute;
/// use upbeat_consumer::queue::memory::{MemoryQueue, NewMessage};
///
/// let orders = MemoryQueue::new("orders.fifo");
/// let order = NewMessage::new("two of these").group("customer-7").attribute("kind", Attribute::string("order"));
/// assert!(orders.send(order).is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub(super) body: String,
    pub(super) attributes: Vec<(String, Attribute)>,
    pub(super) group: Option<Arc<str>>,
    pub(super) deduplication_id: Option<String>,
    pub(super) delay: Duration,
}

impl NewMessage {
    /// A message with this body, without attributes, visible at once.
    pub fn new(body: impl Into<String>) -> Self {
        Self { body: body.into(), attributes: Vec::new(), group: None, deduplication_id: None, delay: Duration::ZERO }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, attribute: Attribute) -> Self {
        self.attributes.push((name.into(), attribute));
        self
    }

    /// Sets the message group, which a FIFO queue needs and a standard queue passes on.
    #[must_use]
    pub fn group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// FIFO only: a second message with the same id within five minutes is accepted and dropped.
    ///
    /// A message without one is no duplicate of any other; SQS would refuse it unless the queue makes ids from content.
    #[must_use]
    pub fn deduplication_id(mut self, id: impl Into<String>) -> Self {
        self.deduplication_id = Some(id.into());
        self
    }

    /// Standard queues only: how long after the send the message becomes visible, in whole seconds up to
    /// 15 minutes.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Refuses what SQS would refuse.
    pub(super) fn check(&self, fifo: bool) -> Result<(), QueueError> {
        let size: usize = self.attributes.iter().map(|(name, attribute)| name.len() + attribute.size()).sum();
        let fault = if self.body.is_empty() {
            "the body is empty"
        } else if self.body.len() + size > MAX_SIZE {
            "body and attributes are larger than 1 MiB"
        } else if self.attributes.len() > MAX_ATTRIBUTES {
            "more than ten attributes"
        } else if self.delay > MAX_DELAY || self.delay.subsec_nanos() > 0 {
            "the delay is not in whole seconds up to 15 minutes"
        } else if fifo && self.group.is_none() {
            "a FIFO queue needs a message group"
        } else if fifo && !self.delay.is_zero() {
            "a FIFO queue knows no delay of a single message"
        } else if !fifo && self.deduplication_id.is_some() {
            "a standard queue knows no deduplication id"
        } else {
            return Ok(());
        };
        Err(QueueError::new(ErrorKind::Invalid, fault))
    }

    pub(super) fn take_attributes(&mut self) -> Attributes {
        std::mem::take(&mut self.attributes).into_iter().collect()
    }
}

impl From<&str> for NewMessage {
    fn from(body: &str) -> Self {
        Self::new(body)
    }
}

impl From<String> for NewMessage {
    fn from(body: String) -> Self {
        Self::new(body)
    }
}
