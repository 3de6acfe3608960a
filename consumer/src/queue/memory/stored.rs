//! A message as the in-memory queue keeps it, and how it is asked for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::message::Attributes;

/// A message in the queue.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) message_id: Arc<str>,
    pub(super) body: String,
    pub(super) attributes: Attributes,
    pub(super) group: Option<Arc<str>>,
    pub(super) receive_count: u32,
    pub(super) state: State,
    pub(super) sent_at: SystemTime,
    pub(super) first_received_at: Option<SystemTime>,
    /// The latest one, whether it still lasts or not; 0 before the first.
    pub(super) delivery: u64,
    /// Whether its visibility was changed in that delivery.
    pub(super) touched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Visible,
    Delayed { until: Instant },
    InFlight { since: Instant, until: Instant },
}

/// What a receive takes at the moment it finds something.
#[derive(Clone, Debug)]
pub(super) struct Taking {
    pub(super) max: usize,
    pub(super) lease: Duration,
    pub(super) attempt_id: Option<String>,
    pub(super) reorder: bool,
    pub(super) duplicate: bool,
}

/// A poll whose caller has gone while the queue still waits for something to answer it with.
#[derive(Debug)]
pub(super) struct AbandonedPoll {
    pub(super) until: Instant,
    pub(super) taking: Taking,
}
