//! A message on its way through the engine, and the batch it travels in.

use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;
use tracing::{error, info, warn};
use upbeat_service::Backoff;

use crate::batch::{Batch, MAX_ENTRIES};
use crate::core::Core;
use crate::entry::Entry;
use crate::error::SendError;
use crate::producer::Published;
use crate::publisher::Receipt;
use crate::refusal::Refusal;
use crate::spans;
use crate::spool::Mark;

/// Where a message's outcome is told.
pub(crate) type Reply = oneshot::Sender<Result<Published, SendError>>;

/// A message, and the engine's own notes about it.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) entry: Entry,
    pub(crate) pending: Pending,
}

/// What the engine knows of a message beside its content.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Nobody may want to know any more.
    reply: Option<Reply>,
    pub(crate) taken: Instant,
    /// Since its first failure.
    pub(crate) failing_since: Option<Instant>,
    pub(crate) backoff: Backoff,
    /// A batch was refused whole, so this is to be tried without others.
    pub(crate) alone: bool,
    /// Its place in the buffer; given back when the message is settled.
    room: OwnedSemaphorePermit,
    /// Its place in the spool.
    mark: Option<Mark>,
}

impl Pending {
    /// Which try the last one was.
    const fn attempt(&self) -> u32 {
        self.backoff.failures() + 1
    }
}

/// A batch under way, with the notes of each of its entries.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) batch: Batch,
    pub(crate) pending: ArrayVec<Pending, MAX_ENTRIES>,
}

/// A message that is to be tried again: with the next batch, or not before it has rested.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) queued: Queued,
    pub(crate) not_before: Option<Instant>,
}

impl Pending {
    /// A message that was taken now.
    pub(crate) fn new(reply: Option<Reply>, room: OwnedSemaphorePermit, mark: Option<Mark>) -> Self {
        Self {
            reply,
            taken: Instant::now(),
            failing_since: None,
            backoff: Backoff::default(),
            alone: false,
            room,
            mark,
        }
    }
}

impl Flight {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { batch: Batch::new(max_bytes), pending: ArrayVec::new() }
    }

    /// Whether a message fits, and is one that may go with those already there.
    pub(crate) fn has_room_for(&self, queued: &Queued) -> bool {
        let alone = queued.pending.alone || self.pending.first().is_some_and(|first| first.alone);
        self.batch.has_room_for(queued.entry.bytes()) && (self.batch.is_empty() || !alone)
    }

    /// Takes along a message for which there is room.
    pub(crate) fn push(&mut self, Queued { entry, pending }: Queued) {
        if self.batch.push(entry).is_none() {
            self.pending.push(pending);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn groups(&self) -> ArrayVec<Arc<str>, MAX_ENTRIES> {
        let mut groups = ArrayVec::<Arc<str>, MAX_ENTRIES>::new();
        for group in self.batch.entries().iter().filter_map(Entry::group_id) {
            // A group's entries stand together.
            if groups.last() != Some(group) {
                groups.push(Arc::clone(group));
            }
        }
        groups
    }

    pub(crate) fn into_queued(self) -> impl Iterator<Item = Queued> {
        let entries = self.batch.into_entries().into_iter();
        entries.zip(self.pending).map(|(entry, pending)| Queued { entry, pending })
    }
}

impl Queued {
    /// The topic holds the message.
    pub(crate) fn published(self, core: &Core, receipt: Receipt) {
        let Self { entry, pending } = self;
        spans::published(&core.traces, &core.topic, &entry, &receipt);
        let Receipt { message_id, sequence_number } = receipt;
        let trace_id = entry.trace_id();
        core.counters.published();
        let after = pending.taken.elapsed();
        core.meter.published(&entry, &message_id, after, pending.attempt());
        let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        info!(id = %entry.id(), %message_id, topic = %core.topic.name, bytes = entry.body().len(), ms, trace_id, "published");
        if let Some(mark) = pending.mark {
            mark.published(pending.room);
        }
        tell(pending.reply, Ok(Published { id: entry.into_id(), message_id, sequence_number }));
    }

    /// The message's content was refused by the topic.
    pub(crate) fn refuse(self, core: &Core, reason: String) {
        core.counters.refused_by_topic();
        self.fail(core, SendError::Refused(Refusal::Sns { reason }));
    }

    /// The message was tried for long enough.
    pub(crate) fn give_up(self, core: &Core, reason: String, tried_for: Duration) {
        core.counters.failed();
        self.fail(core, SendError::Unpublished { reason, tried_for });
    }

    /// Time ran out before the message was settled. With a spool it stays there.
    pub(crate) fn abandon(self, core: &Core) {
        if self.pending.mark.is_some() {
            core.counters.left();
            return tell(self.pending.reply, Err(SendError::Spooled));
        }
        self.fail(core, SendError::Abandoned);
    }

    /// It was not published; with a spool, whoever gave it has been told that it would be, so it is put aside there.
    fn fail(self, core: &Core, error: SendError) {
        let Self { entry, pending } = self;
        core.meter.unsent(&entry, &error, pending.taken.elapsed(), pending.attempt());
        spans::failed(&core.traces, &core.topic, &entry, &error);
        let trace_id = entry.trace_id();
        let (id, topic, bytes) = (entry.id(), &core.topic.name, entry.body().len());
        match pending.mark {
            None => warn!(%id, %topic, bytes, trace_id, %error, "not published"),
            Some(mark) => {
                error!(%id, %topic, bytes, trace_id, %error, "put aside");
                mark.dead(pending.room, error.to_string());
            }
        }
        tell(pending.reply, Err(error));
    }
}

/// Whoever dropped the ticket does not want to know.
fn tell(reply: Option<Reply>, outcome: Result<Published, SendError>) {
    if let Some(reply) = reply {
        drop(reply.send(outcome));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::sync::Semaphore;

    use super::*;
    use crate::message::Message;
    use crate::publisher::Description;

    /// A message of so many bytes in all, on a FIFO topic if it has a group.
    pub(crate) fn queued(id: usize, bytes: usize, group: Option<&str>) -> Queued {
        let topic =
            if group.is_some() { Description::fifo("messages.fifo") } else { Description::standard("messages") };
        let id = id.to_string();
        let mut message = Message::new("x".repeat(bytes - "idString".len() - id.len())).id(id);
        message.group_id = group.map(str::to_owned);
        let entry = Entry::check(message, &topic, None).unwrap();
        assert_eq!(entry.bytes(), bytes);
        let pending = Pending::new(None, Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(), None);
        Queued { entry, pending }
    }

    pub(crate) fn id(queued: &Queued) -> usize {
        queued.entry.id().to_string().parse().unwrap()
    }
}
