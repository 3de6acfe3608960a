//! The boundary to whatever publishes: SNS, or memory in tests.

use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::batch::{Batch, MAX_ENTRIES};

/// Publishes batches to one topic.
///
/// # Contract
/// - [`describe`](Self::describe) says the same for as long as the publisher lives.
/// - [`publish_batch`](Self::publish_batch) makes one attempt and does not retry; the caller does, since it knows what
///   a repetition costs. An `Ok` has one result for each entry of the batch, in the batch's order, and an entry's `Ok`
///   means that the topic holds it durably. Results that are missing at the end count as failures.
/// - An `Err`, of the call or of an entry, means that nothing is known: the message may have been published all the
///   same, as when the answer was lost. A FIFO topic recognizes the repetition by its deduplication id.
/// - Entries are published in the batch's order.
/// - The caller limits the time. The future may be dropped at any point, with the same meaning as an `Err`.
pub trait Publisher: Send + Sync + 'static {
    /// What the topic is and takes.
    fn describe(&self) -> Description;

    /// Publishes a batch, once.
    fn publish_batch(&self, batch: &Batch) -> impl Future<Output = Result<Receipts, Fault>> + Send;
}

/// One result for each entry of a batch, in its order.
pub type Receipts = ArrayVec<Result<Receipt, Fault>, MAX_ENTRIES>;

/// What a topic is and takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The topic's name, for logs.
    pub name: Arc<str>,
    /// Whether the topic keeps the order within message groups.
    pub fifo: bool,
    /// Whether a FIFO topic derives a missing deduplication id from the body.
    pub content_based_deduplication: bool,
    /// The limit of a message, and of all messages of a batch together, in bytes.
    pub max_bytes: usize,
}

/// SNS's own limit where the topic has no `MaximumMessageSize`: 256 KiB (SNS API reference, `GetTopicAttributes`).
pub const DEFAULT_MAX_BYTES: usize = 256 * 1024;

impl Description {
    /// A standard topic with the default limit.
    #[must_use]
    pub fn standard(name: &str) -> Self {
        Self { name: name.into(), fifo: false, content_based_deduplication: false, max_bytes: DEFAULT_MAX_BYTES }
    }

    /// A FIFO topic with the default limit, without content-based deduplication.
    #[must_use]
    pub fn fifo(name: &str) -> Self {
        Self { fifo: true, ..Self::standard(name) }
    }
}

/// The topic's word that it holds a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The id that the topic gave to the message.
    pub message_id: String,
    /// The place in the order of a FIFO topic.
    pub sequence_number: Option<String>,
}

/// Why a call, or one entry of it, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What to do about it.
    pub kind: FaultKind,
    /// What went wrong, in words that are the same from try to try.
    pub reason: String,
}

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The content is at fault, and trying again can't help. Of a whole call: one entry's content may be, so
    /// each is to be tried alone.
    Refused,
    /// The topic has too much to do; later.
    Busy,
    /// The topic can't be reached, is not there, or denies us: later, and somebody may have to act.
    Unavailable,
}

impl FaultKind {
    /// The kind in one word, for labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Fault {
    /// The content is at fault.
    #[must_use]
    pub fn refused(reason: impl Into<String>) -> Self {
        Self { kind: FaultKind::Refused, reason: reason.into() }
    }

    /// The topic is busy.
    #[must_use]
    pub fn busy(reason: impl Into<String>) -> Self {
        Self { kind: FaultKind::Busy, reason: reason.into() }
    }

    /// The topic is out of reach.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self { kind: FaultKind::Unavailable, reason: reason.into() }
    }
}
