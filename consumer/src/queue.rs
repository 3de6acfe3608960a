//! The boundary to the queue: a small trait that SQS and the in-memory queue implement alike.

mod error;
mod letter;
pub mod memory;
mod name;
pub mod sqs;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrayvec::ArrayVec;

pub use error::{EntryError, ErrorKind, QueueError};

use crate::message::Payload;

/// Most entries in one request (SQS API reference: `ReceiveMessage`, `DeleteMessageBatch`, `ChangeMessageVisibilityBatch`).
pub const MAX_BATCH: usize = 10;

/// Longest wait of a long poll (SQS API reference: `ReceiveMessage`, `WaitTimeSeconds`).
pub const MAX_WAIT: Duration = Duration::from_secs(20);

/// Longest time that a message can be invisible in all, from its receive on (SQS Developer Guide, "Visibility timeout").
pub const MAX_VISIBILITY: Duration = Duration::from_hours(12);

/// At most [`MAX_BATCH`] things, as one request can carry.
pub type Batch<T> = ArrayVec<T, MAX_BATCH>;

/// The result of each entry of a batch, in the order of the entries.
pub type EntryResults = Batch<Result<(), EntryError>>;

/// What proves to the queue that a delivery is ours. Each delivery of a message has its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReceiptHandle(pub String);

/// One delivery of a message, apart from what the message says.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The queue's id of the message, the same in every delivery.
    pub message_id: Arc<str>,
    /// Valid until the message is delivered again (FIFO: until its lease ends).
    pub receipt: ReceiptHandle,
    /// How often the queue has handed this message out, this time included; 1 at first.
    pub receive_count: u32,
    /// Messages of one group are handled in order, one at a time, if the queue is FIFO.
    pub group: Option<Arc<str>>,
    /// When the queue took the message.
    pub sent_at: Option<SystemTime>,
    /// When the queue first handed the message out.
    pub first_received_at: Option<SystemTime>,
}

/// A delivery and what the message says.
#[derive(Clone, Debug)]
pub struct Received {
    /// Which delivery this is.
    pub delivery: Delivery,
    /// What the message says.
    pub payload: Payload,
}

/// What one receive asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receive {
    /// At most this many messages, 1 to [`MAX_BATCH`].
    pub max: usize,
    /// How long to wait for a first message, up to [`MAX_WAIT`]; whole seconds.
    pub wait: Duration,
    /// How long what is received stays invisible to others; whole seconds.
    pub lease: Duration,
    /// FIFO only: a receive repeated with the same id within five minutes, its messages untouched meanwhile,
    /// brings the same messages again, so that an answer that was lost does not block its groups.
    pub attempt_id: Option<String>,
}

/// What the consumer needs to know of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    /// The queue's name.
    pub name: String,
    /// Whether the messages of a group come in order.
    pub fifo: bool,
    /// The queue's own visibility timeout.
    pub visibility_timeout: Duration,
    /// Where messages go that were received too often, if anywhere.
    pub redrive: Option<Redrive>,
}

/// How many messages a queue holds. On AWS these figures are approximate, and lag by up to a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Can be received.
    pub visible: u64,
    /// Were received and are invisible, whoever holds them.
    pub in_flight: u64,
    /// Were sent with a delay that is not over.
    pub delayed: u64,
    /// In the dead-letter queue; `None` where there is none, or it may not be looked at.
    pub dead_letters: Option<u64>,
}

/// A queue's redrive policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The name of the dead-letter queue.
    pub dead_letter_queue: String,
    /// The delivery with this receive count is the last one.
    pub max_receive_count: u32,
}

/// A message to be put into the dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Which delivery it was: the id serves as deduplication id, the group is kept.
    pub delivery: Delivery,
    /// Body and attributes are sent as they were received.
    pub payload: Arc<Payload>,
    /// Why; sent as an attribute unless ten are taken.
    pub reason: String,
}

/// The name of the attribute that says why a message was rejected.
pub const REASON_ATTRIBUTE: &str = "reject_reason";

/// A queue with visibility timeouts and receive counts, such as SQS.
///
/// # Contract
///
/// - `Ok` means that the queue has confirmed it. `Err`, a timeout or a dropped future mean that it may have
///   happened or not: a receive may have hidden messages until their lease ends, a delete may have been done.
/// - An implementation makes one try and does not retry; the caller does, and puts a timeout around every call.
/// - A batch answers entry by entry, in order, with as many results as entries. An empty batch is never given.
/// - Who calls keeps to the limits above (batch size, wait, visibility); an implementation may rely on it.
/// - Who received a message keeps it invisible, by [`change_visibility`](Self::change_visibility) before its lease ends.
pub trait Queue: Send + Sync + 'static {
    /// Reads what the consumer needs to know of the queue.
    fn info(&self) -> impl Future<Output = Result<QueueInfo, QueueError>> + Send;

    /// Waits for messages and hides them for the lease. No messages is an ordinary answer.
    fn receive(&self, receive: Receive) -> impl Future<Output = Result<Vec<Received>, QueueError>> + Send;

    /// Removes messages for good. Deleting one again is not an error.
    fn delete(&self, receipts: Batch<ReceiptHandle>) -> impl Future<Output = Result<EntryResults, QueueError>> + Send;

    /// Makes messages visible after the given time from now, whole seconds; 0 is at once.
    fn change_visibility(
        &self,
        entries: Batch<(ReceiptHandle, Duration)>,
    ) -> impl Future<Output = Result<EntryResults, QueueError>> + Send;

    /// Sends a copy to the dead-letter queue of the redrive policy; the original stays where it is.
    /// An error of kind [`ErrorKind::NotFound`] where there is no redrive policy.
    fn dead_letter(&self, letter: DeadLetter) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// How many messages it holds, for whoever watches it; `None` if it can't tell.
    fn depth(&self) -> impl Future<Output = Result<Option<QueueDepth>, QueueError>> + Send {
        async { Ok(None) }
    }
}

/// A shared queue is a queue.
impl<Q: Queue> Queue for Arc<Q> {
    fn info(&self) -> impl Future<Output = Result<QueueInfo, QueueError>> + Send {
        Q::info(self)
    }

    fn receive(&self, receive: Receive) -> impl Future<Output = Result<Vec<Received>, QueueError>> + Send {
        Q::receive(self, receive)
    }

    fn delete(&self, receipts: Batch<ReceiptHandle>) -> impl Future<Output = Result<EntryResults, QueueError>> + Send {
        Q::delete(self, receipts)
    }

    fn change_visibility(
        &self,
        entries: Batch<(ReceiptHandle, Duration)>,
    ) -> impl Future<Output = Result<EntryResults, QueueError>> + Send {
        Q::change_visibility(self, entries)
    }

    fn dead_letter(&self, letter: DeadLetter) -> impl Future<Output = Result<(), QueueError>> + Send {
        Q::dead_letter(self, letter)
    }

    fn depth(&self) -> impl Future<Output = Result<Option<QueueDepth>, QueueError>> + Send {
        Q::depth(self)
    }
}
