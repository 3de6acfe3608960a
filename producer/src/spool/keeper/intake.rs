//! The way into the spool, and the word back from the publish loop.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};
use upbeat_service::readiness::Condition;

use super::super::row::cost_of_bytes;
use crate::core::Core;
use crate::engine::queued::Reply;
use crate::entry::Entry;
use crate::error::SendError;

/// What handles and the keeper share.
#[derive(Debug)]
pub(crate) struct Intake {
    /// What the disk may still take, in bytes.
    space: Arc<Semaphore>,
    /// What may still wait in memory to be put on the disk, in bytes.
    memory: Arc<Semaphore>,
    /// One message of the largest size.
    largest: usize,
    pub(crate) condition: Condition,
}

/// A share of the limit and of the memory before it, for one message or for several.
#[derive(Debug)]
pub(crate) struct Share {
    space: OwnedSemaphorePermit,
    memory: OwnedSemaphorePermit,
}

/// A message that is to be put on the disk.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) entry: Entry,
    pub(crate) share: Share,
    pub(crate) accepted: oneshot::Sender<Result<(), SendError>>,
    pub(crate) reply: Reply,
}

/// Whoever waits for a message to be on the disk.
#[derive(Debug)]
pub(super) struct Asker {
    share: Share,
    accepted: oneshot::Sender<Result<(), SendError>>,
    reply: Reply,
}

/// A message's place in the spool, which travels with it.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(super) number: u64,
    pub(super) cost: u64,
    pub(super) settled: mpsc::Sender<Settled>,
}

/// What became of a message; its room in the publish loop is free once the keeper has heard of it.
#[derive(Debug)]
pub(crate) enum Settled {
    /// SNS holds it.
    Published {
        /// Its place.
        number: u64,
        /// What it counted against the limit.
        cost: u64,
        _room: OwnedSemaphorePermit,
    },
    /// It was accepted, and can't be published.
    Dead {
        /// Its place.
        number: u64,
        /// Why.
        reason: String,
        _room: Option<OwnedSemaphorePermit>,
    },
}

impl Intake {
    pub(crate) fn new(limit: u64, held: u64, memory: u32, max_bytes: usize, condition: Condition) -> Self {
        let space = usize::try_from(limit.saturating_sub(held)).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            space: Arc::new(Semaphore::new(space)),
            memory: Arc::new(Semaphore::new(memory as usize)),
            largest: usize::try_from(cost_of_bytes(max_bytes)).unwrap_or(usize::MAX),
            condition,
        }
    }

    /// A share for a message, when there is one.
    pub(crate) async fn share(&self, cost: u32, memory: u32) -> Result<Share, SendError> {
        let closed = |_| SendError::Closed;
        let space = Arc::clone(&self.space).acquire_many_owned(cost).await.map_err(closed)?;
        let memory = Arc::clone(&self.memory).acquire_many_owned(memory).await.map_err(closed)?;
        Ok(Share { space, memory })
    }

    /// A share at once, or none.
    pub(crate) fn try_share(&self, cost: u32, memory: u32) -> Result<Share, SendError> {
        let unless_closed = |full: SendError| {
            move |error| match error {
                TryAcquireError::Closed => SendError::Closed,
                TryAcquireError::NoPermits => full,
            }
        };
        let space = Arc::clone(&self.space).try_acquire_many_owned(cost);
        let space = space.map_err(unless_closed(SendError::SpoolFull))?;
        let memory = Arc::clone(&self.memory).try_acquire_many_owned(memory);
        Ok(Share { space, memory: memory.map_err(unless_closed(SendError::Full))? })
    }

    /// No more messages are taken.
    pub(crate) fn close(&self) {
        self.space.close();
        self.memory.close();
    }

    pub(super) fn free(&self, cost: u64) {
        self.space.add_permits(usize::try_from(cost).unwrap_or(usize::MAX));
    }

    /// Shows on readiness whether the largest message would still be taken.
    pub(super) fn show_room(&self) {
        if self.space.is_closed() || self.space.available_permits() >= self.largest {
            self.condition.met();
        } else {
            self.condition.unmet("full, up to its limit");
        }
    }
}

impl Share {
    /// A part of it for one of several messages.
    pub(crate) fn split(&mut self, cost: u32, memory: u32) -> Option<Self> {
        let space = self.space.split(cost as usize)?;
        let memory = self.memory.split((memory as usize).min(self.memory.num_permits()))?;
        Some(Self { space, memory })
    }
}

impl Request {
    pub(super) fn split(self) -> (Entry, Asker) {
        let Self { entry, share, accepted, reply } = self;
        (entry, Asker { share, accepted, reply })
    }

    pub(super) fn refuse(self, core: &Core, reason: &str) {
        self.split().1.refuse(core, reason);
    }
}

impl Asker {
    /// The message is on the disk, and keeps its share of the limit until it leaves.
    pub(super) fn accept(self) -> Reply {
        self.share.space.forget();
        // Whoever dropped the ticket does not want to know.
        drop(self.accepted.send(Ok(())));
        self.reply
    }

    pub(super) fn refuse(self, core: &Core, reason: &str) {
        core.counters.refused_at_once();
        let error = SendError::NotSpooled { reason: reason.to_owned() };
        core.meter.not_taken(&error);
        drop(self.accepted.send(Err(error.clone())));
        drop(self.reply.send(Err(error)));
    }
}

impl Mark {
    /// SNS holds the message.
    pub(crate) fn published(self, room: OwnedSemaphorePermit) {
        let Self { number, cost, settled } = self;
        // There is a place for as many as have room; without a keeper, the message will be published again.
        drop(settled.try_send(Settled::Published { number, cost, _room: room }));
    }

    /// The message can't be published.
    pub(crate) fn dead(self, room: OwnedSemaphorePermit, reason: String) {
        let Self { number, settled, .. } = self;
        drop(settled.try_send(Settled::Dead { number, reason, _room: Some(room) }));
    }
}

impl Settled {
    pub(super) const fn dead(number: u64, reason: String) -> Self {
        Self::Dead { number, reason, _room: None }
    }
}
