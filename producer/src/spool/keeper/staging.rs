//! Messages that are on the disk, and wait in memory for room in the publish loop.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::super::row::cost_of_bytes;
use super::intake::{Mark, Settled};
use crate::core::Core;
use crate::engine::queued::{Pending, Queued, Reply};
use crate::entry::Entry;

/// How much waits here at most, beside one message of any size; less if the buffer is smaller.
const MAX_COST: u64 = 1024 * 1024;

/// The way from the spool to the publish loop, in order.
pub(super) struct Staging {
    /// `None` when no more is to go out.
    engine: Option<mpsc::Sender<Queued>>,
    settled: Option<mpsc::Sender<Settled>>,
    staged: VecDeque<Staged>,
    cost: u64,
    max_cost: u64,
}

struct Staged {
    entry: Entry,
    reply: Option<Reply>,
    number: u64,
    cost: u64,
}

impl Staging {
    pub(super) fn new(engine: mpsc::Sender<Queued>, settled: mpsc::Sender<Settled>, buffer: u32) -> Self {
        let max_cost = MAX_COST.min(buffer.into());
        Self { engine: Some(engine), settled: Some(settled), staged: VecDeque::new(), cost: 0, max_cost }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    /// Whether the publish loop is there.
    pub(super) fn takes_more(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| !engine.is_closed())
    }

    pub(super) fn has_room_for(&self, entry: &Entry) -> bool {
        self.takes_more() && (self.is_empty() || self.cost + cost_of_bytes(entry.bytes()) <= self.max_cost)
    }

    /// How much is read from the disk at a time.
    pub(super) const fn max_cost(&self) -> u64 {
        self.max_cost
    }

    pub(super) fn push(&mut self, number: u64, entry: Entry, reply: Option<Reply>) {
        let cost = cost_of_bytes(entry.bytes());
        self.cost += cost;
        self.staged.push_back(Staged { entry, reply, number, cost });
    }

    /// Hands on what there is room for.
    pub(super) fn forward(&mut self, core: &Core) {
        while let Some(first) = self.staged.front() {
            let room = Arc::clone(&core.room).try_acquire_many_owned(core.cost(&first.entry));
            let Ok(room) = room else { return };
            self.forward_first(room);
        }
    }

    /// Waits for room for the first.
    pub(super) async fn room(&self, core: &Core) -> OwnedSemaphorePermit {
        let cost = self.staged.front().map_or(0, |first| core.cost(&first.entry));
        match Arc::clone(&core.room).acquire_many_owned(cost).await {
            Ok(room) => room,
            // It is never closed with a spool.
            Err(_closed) => std::future::pending().await,
        }
    }

    pub(super) fn forward_first(&mut self, room: OwnedSemaphorePermit) {
        let Some(Staged { entry, reply, number, cost }) = self.staged.pop_front() else { return };
        self.cost -= cost;
        let (Some(engine), Some(settled)) = (&self.engine, &self.settled) else { return };
        let mark = Mark { number, cost, settled: settled.clone() };
        let pending = Pending::new(reply, room, Some(mark));
        // Room was taken, so there is a place, unless the publish loop has ended: then the message stays on the disk.
        if engine.try_send(Queued { entry, pending }).is_err() {
            self.finish();
        }
    }

    /// Hands on nothing more. What is here stays on the disk.
    pub(super) fn finish(&mut self) {
        self.engine = None;
        self.settled = None;
        self.staged.clear();
        self.cost = 0;
    }
}
