//! One message in flight.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use upbeat_service::traces::TraceContext;

use super::Lease;
use crate::engine::permits::Permit;
use crate::message::{Cancellation, Payload};
use crate::queue::Delivery;

/// One message in flight. Its permit goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) delivery: Arc<Delivery>,
    pub(super) payload: Arc<Payload>,
    pub(super) received_at: Instant,
    pub(super) phase: Phase,
    pub(super) cancellation: Cancellation,
    /// When to extend the lease; `None` while that is under way.
    pub(super) extend_at: Option<Instant>,
    pub(super) lease_until: Instant,
    /// The lease ended before it was extended: another consumer may have the message.
    pub(super) lost: bool,
    /// The span in which its handler ran last, if that is exported.
    pub(super) span: Option<TraceContext>,
    _permit: Permit,
}

/// What a handler's task needs of an entry.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) payload: Arc<Payload>,
    pub(crate) received_at: Instant,
    pub(crate) cancellation: Cancellation,
}

/// How far a message in flight has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Behind another message of its group.
    Waiting,
    /// Its handler runs.
    Running,
    /// It was handled; the queue is being told.
    Deleting,
    /// It was not handled; the queue is being told.
    GivingBack,
}

/// What the queue is to be told of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// Handled: delete it.
    Delete,
    /// Make it visible again at this time.
    Retry { at: Instant },
    /// Make it visible again now, so that another consumer can have it.
    Release,
    /// Send it to the dead-letter queue, then delete it. Where that can't be, make it visible after `otherwise`.
    Reject { reason: String, otherwise: Duration },
    /// Another consumer has it by now: tell the queue nothing.
    Forget,
}

impl Entry {
    pub(super) fn new(delivery: Delivery, payload: Arc<Payload>, permit: Permit, lease: Lease) -> Self {
        Self {
            delivery: Arc::new(delivery),
            payload,
            received_at: Instant::now(),
            phase: Phase::Running,
            cancellation: Cancellation::default(),
            extend_at: Some(lease.extend_at),
            lease_until: lease.until,
            lost: false,
            span: None,
            _permit: permit,
        }
    }

    /// The message was delivered to us again: from now on the newer delivery is the one that counts.
    pub(super) fn adopt(&mut self, delivery: Delivery, lease: Lease) {
        self.delivery = Arc::new(delivery);
        self.received_at = Instant::now();
        self.extend_at = Some(lease.extend_at);
        self.lease_until = lease.until;
        self.lost = false;
    }

    pub(super) fn job(&self) -> Job {
        Job {
            delivery: Arc::clone(&self.delivery),
            payload: Arc::clone(&self.payload),
            received_at: self.received_at,
            cancellation: self.cancellation.clone(),
        }
    }
}
