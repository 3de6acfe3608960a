//! The messages in our hands, from their receive until the queue has confirmed what became of them.
//!
//! One table, one lock, never held across an `.await`. Every other part of the engine asks it, so that a
//! message can't be running in one place and forgotten in another.

mod entry;
mod groups;
mod handled;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::time::Instant;
use upbeat_service::traces::TraceContext;

use super::permits::Permit;
use crate::message::{CancelReason, Cancellation, Payload};
use crate::queue::{Delivery, ReceiptHandle, Received};
use entry::Entry;
pub(crate) use entry::{Job, Phase, Settlement};
use groups::Groups;
use handled::HandledRecently;

/// The queue's id of a message.
pub(super) type MessageId = Arc<str>;

/// The table of messages in flight.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    table: Mutex<Table>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Table {
    /// Hashed the same way each time, so that a simulated run replays. The ids are the queue's own: nobody can choose them to collide.
    entries: HashMap<MessageId, Entry, BuildHasherDefault<DefaultHasher>>,
    groups: Groups,
    handled: HandledRecently,
}

/// Until when a message is invisible to others, and when to see to it that it stays so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) until: Instant,
    pub(super) extend_at: Instant,
}

/// What is to be done with a delivery that has just come in.
#[derive(Debug)]
pub(super) enum Admission {
    /// Hand it to the handler.
    Start(Job),
    /// It waits behind another message of its group.
    Wait,
    /// We hold this message already, and have adopted its newer receipt handle.
    Adopted,
    /// It was handled before, but the delete came too late: settle it by another.
    DeleteAgain,
}

/// A lease that is to be extended.
#[derive(Clone, Debug)]
pub(super) struct DueLease {
    pub(super) id: MessageId,
    pub(super) receipt: ReceiptHandle,
    pub(super) until: Instant,
}

/// A message that has left our hands, and the next of its group, whose turn is now.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) payload: Arc<Payload>,
    pub(super) next: Option<Job>,
    /// The span in which its handler ran last.
    pub(super) span: Option<TraceContext>,
}

impl InFlight {
    /// Takes a delivery in. `ordered`: the messages of a group wait for one another.
    pub(super) fn admit(&self, received: Received, permit: Permit, lease: Lease, ordered: bool) -> Admission {
        let Received { delivery, payload } = received;
        let id = Arc::clone(&delivery.message_id);
        let group = delivery.group.clone().filter(|_| ordered);
        let mut table = self.lock();
        let Table { entries, groups, handled } = &mut *table;
        let place = match entries.entry(Arc::clone(&id)) {
            Place::Occupied(mut known) if known.get().phase != Phase::GivingBack => {
                known.get_mut().adopt(delivery, lease);
                return Admission::Adopted;
            }
            // Where it is given back, the queue has it already, or its lease has ended: this delivery is to say what comes of it.
            place => place,
        };
        let mut entry = Entry::new(delivery, Arc::new(payload), permit, lease);
        let admission = if handled.contains(&id) {
            entry.phase = Phase::Deleting;
            Admission::DeleteAgain
        } else if group.is_none_or(|group| groups.enter(group, &id)) {
            Admission::Start(entry.job())
        } else {
            entry.phase = Phase::Waiting;
            Admission::Wait
        };
        place.insert_entry(entry);
        admission
    }

    /// The handler has ended, or will not begin. `false`: another consumer may have the message by now.
    pub(super) fn enter(&self, id: &str, phase: Phase) -> bool {
        let mut table = self.lock();
        let Some(entry) = table.entries.get_mut(id) else { return false };
        entry.phase = phase;
        !entry.lost
    }

    /// Tries a message again without giving it back; `None` if another consumer may have it by now.
    pub(super) fn next_attempt(&self, id: &str) -> Option<Cancellation> {
        let mut table = self.lock();
        let entry = table.entries.get_mut(id).filter(|entry| !entry.lost)?;
        if entry.cancellation.reason() == Some(CancelReason::Deadline) {
            entry.cancellation = Cancellation::default();
        }
        Some(entry.cancellation.clone())
    }

    /// The current delivery and the payload of a message in our hands.
    pub(super) fn message(&self, id: &str) -> Option<(Delivery, Arc<Payload>)> {
        let table = self.lock();
        let entry = table.entries.get(id)?;
        Some((Delivery::clone(&entry.delivery), Arc::clone(&entry.payload)))
    }

    /// The current delivery of a message that is in this phase.
    pub(super) fn delivery(&self, id: &str, phase: Phase) -> Option<Arc<Delivery>> {
        let table = self.lock();
        let entry = table.entries.get(id).filter(|entry| entry.phase == phase)?;
        Some(Arc::clone(&entry.delivery))
    }

    /// Whether a message is in this phase, and this still is its delivery.
    pub(super) fn is_current(&self, id: &str, phase: Phase, delivery: &Arc<Delivery>) -> bool {
        let table = self.lock();
        table.entries.get(id).is_some_and(|entry| entry.phase == phase && Arc::ptr_eq(&entry.delivery, delivery))
    }

    /// The message leaves our hands.
    pub(super) fn remove(&self, id: &str) -> Option<Removed> {
        let mut table = self.lock();
        let (entry, next) = table.remove(id)?;
        if table.entries.is_empty() {
            self.emptied.notify_waiters();
        }
        drop(table);
        Some(Removed { payload: entry.payload, next, span: entry.span })
    }

    /// Should this message, which was handled and could not be deleted, come back, it is deleted at once.
    pub(super) fn remember_handled(&self, id: &MessageId) {
        self.lock().handled.insert(Arc::clone(id));
    }

    /// Takes the messages that wait behind this one of its group, for the caller to release them.
    pub(super) fn take_waiting_behind(&self, id: &str) -> Vec<MessageId> {
        let mut table = self.lock();
        let group = table.entries.get(id).and_then(|entry| entry.delivery.group.clone());
        let waiting = group.map(|group| table.groups.take_waiting(&group)).unwrap_or_default();
        table.giving_back(waiting)
    }

    /// Takes all messages that wait for their turn, for the caller to release them.
    pub(super) fn take_all_waiting(&self) -> Vec<MessageId> {
        let mut table = self.lock();
        let waiting = table.groups.take_all_waiting();
        table.giving_back(waiting)
    }

    /// When the next lease is to be extended. Looks at all: leases are seen to far more rarely than messages come and go,
    /// so it is those that must cost nothing.
    pub(super) fn next_extension(&self) -> Option<Instant> {
        self.lock().entries.values().filter_map(|entry| entry.extend_at).min()
    }

    /// The leases that are to be extended by now, the most urgent first. Each is given once, and planned again by
    /// [`extended`](Self::extended).
    pub(super) fn due_leases(&self, now: Instant) -> Vec<DueLease> {
        let mut table = self.lock();
        let mut due = Vec::new();
        for (id, entry) in &mut table.entries {
            if entry.extend_at.take_if(|at| *at <= now).is_some() {
                let (receipt, until) = (entry.delivery.receipt.clone(), entry.lease_until);
                due.push(DueLease { id: Arc::clone(id), receipt, until });
            }
        }
        due.sort_by(|one, other| (one.until, &one.id).cmp(&(other.until, &other.id)));
        due
    }

    /// A lease was extended, or is to be tried again at `lease.extend_at`.
    pub(super) fn extended(&self, due: &DueLease, lease: Lease) {
        let mut table = self.lock();
        // Not of another delivery, which has a lease of its own.
        if let Some(entry) = table.entries.get_mut(&due.id).filter(|entry| entry.delivery.receipt == due.receipt) {
            entry.extend_at = Some(lease.extend_at);
            entry.lease_until = lease.until;
        }
    }

    /// Another consumer may have the message by now: its handler is cancelled. Where it waits for its turn,
    /// it and its group's others that wait will come again in order: the caller releases them.
    pub(super) fn lose(&self, due: &DueLease) -> Vec<MessageId> {
        let mut table = self.lock();
        let entry = table.entries.get_mut(&due.id).filter(|entry| entry.delivery.receipt == due.receipt);
        let Some(entry) = entry else { return Vec::new() };
        entry.lost = true;
        entry.cancellation.cancel(CancelReason::LockLost);
        let waits = entry.phase == Phase::Waiting;
        let group = entry.delivery.group.clone().filter(|_| waits);
        let waiting = group.map(|group| table.groups.take_waiting(&group)).unwrap_or_default();
        table.giving_back(waiting)
    }

    /// Every handler that is still running is told to stop.
    pub(super) fn cancel_all(&self, reason: CancelReason) {
        for entry in self.lock().entries.values() {
            entry.cancellation.cancel(reason);
        }
    }

    /// Every message in our hands, and how far it has come.
    pub(super) fn phases(&self) -> Vec<(MessageId, Phase)> {
        self.lock().entries.iter().map(|(id, entry)| (Arc::clone(id), entry.phase)).collect()
    }

    /// A message's handler runs in this span, which is exported.
    pub(super) fn traced(&self, id: &str, span: &TraceContext) {
        if let Some(entry) = self.lock().entries.get_mut(id) {
            entry.span = Some(span.clone());
        }
    }

    /// The span in which a message's handler ran last, if there are traces; else the one that it came with.
    pub(super) fn trace(&self, id: &str) -> Option<TraceContext> {
        let table = self.lock();
        let entry = table.entries.get(id)?;
        entry.span.clone().or_else(|| entry.payload.trace_context())
    }

    /// How many messages run, wait, are being deleted and given back, and when the oldest of all was sent.
    pub(super) fn look(&self) -> ([usize; 4], Option<SystemTime>) {
        let mut counts = [0; 4];
        let mut oldest = None;
        for Entry { phase, delivery, .. } in self.lock().entries.values() {
            counts[match phase {
                Phase::Running => 0,
                Phase::Waiting => 1,
                Phase::Deleting => 2,
                Phase::GivingBack => 3,
            }] += 1;
            oldest = [oldest, delivery.sent_at].into_iter().flatten().min();
        }
        (counts, oldest)
    }

    /// Whether a handler runs, or is to run.
    pub(super) fn has_work(&self) -> bool {
        self.lock().entries.values().any(|entry| matches!(entry.phase, Phase::Running | Phase::Waiting))
    }

    /// How many messages are in our hands.
    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Waits until there are none.
    pub(super) async fn empty(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            // Listens before it looks, so that no word is missed in between.
            emptied.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, id: &str) -> Option<(Entry, Option<Job>)> {
        let entry = self.entries.remove(id)?;
        let next = entry.delivery.group.as_ref().and_then(|group| self.groups.leave(group, id));
        let next = next.and_then(|next| self.entries.get_mut(&next)).map(|next| {
            next.phase = Phase::Running;
            next.job()
        });
        Some((entry, next))
    }

    fn giving_back(&mut self, ids: Vec<MessageId>) -> Vec<MessageId> {
        for id in &ids {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.phase = Phase::GivingBack;
            }
        }
        ids
    }
}
