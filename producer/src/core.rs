//! What the handle, the publish loop and its calls share.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use upbeat_service::metrics::Source;
use upbeat_service::readiness::Condition;
use upbeat_service::{Health, Traces};

use crate::batch::MAX_ENTRIES;
use crate::entry::Entry;
use crate::meter::{Held, Look, Meter};
use crate::producer::OVERHEAD;
use crate::publisher::Description;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) topic: Description,
    pub(crate) options: Options,
    pub(crate) health: Health,
    pub(crate) condition: Condition,
    pub(crate) counters: Counters,
    pub(crate) meter: Meter,
    pub(crate) traces: Traces,
    /// What is taken is on a disk.
    pub(crate) spooled: bool,
    /// The buffer's free bytes. Closed when no more messages are taken.
    pub(crate) room: Arc<Semaphore>,
    /// No more messages are taken, and what is there goes out without linger.
    pub(crate) closing: CancellationToken,
    /// Time is up: what is still there is given up.
    pub(crate) abandon: CancellationToken,
    /// The publish loop, to be waited for.
    pub(crate) tasks: TaskTracker,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) linger: Duration,
    pub(crate) max_in_flight: usize,
    /// `None` is for ever.
    pub(crate) retry_for: Option<Duration>,
    pub(crate) call_timeout: Duration,
    pub(crate) buffer: u32,
    pub(crate) default_group: Option<Arc<str>>,
    pub(crate) group_batch: usize,
    /// Messages a second.
    pub(crate) rate: Option<NonZeroU32>,
}

impl Core {
    /// What a message takes of the buffer; one that is larger than the whole buffer has it for itself.
    pub(crate) fn cost(&self, entry: &Entry) -> u32 {
        let bytes = u32::try_from(entry.bytes()).unwrap_or(u32::MAX);
        bytes.saturating_add(OVERHEAD).min(self.options.buffer)
    }

    /// How many messages can be in the buffer at once: each takes its overhead of room at least.
    pub(crate) const fn max_waiting(&self) -> usize {
        self.options.buffer as usize / OVERHEAD as usize + MAX_ENTRIES
    }
}

impl Source<Look> for Core {
    fn look(&self) -> Option<Look> {
        let buffer = self.options.buffer as usize;
        let buffer_taken = buffer.saturating_sub(self.room.available_permits());
        self.meter.look(Held { messages: self.counters.waiting(), buffer_taken, buffer })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    refused_at_once: Counter,
    taken: Counter,
    published: Counter,
    refused_by_topic: Counter,
    failed: Counter,
    /// Left to the spool by the publish loop.
    left: Counter,
    /// In the spool at the end.
    spooled: Counter,
}

/// What became of every message that was given to a producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The topic holds them.
    pub published: u64,
    /// Their content was refused, by us or by the topic.
    pub refused: u64,
    /// The topic did not take them for as long as they were to be retried.
    pub failed: u64,
    /// Safe in the spool, to be published by the next producer that opens it.
    pub spooled: u64,
    /// Still waiting, or under way without an answer, when time ran out.
    pub abandoned: u64,
}

#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn refused_at_once(&self) {
        self.refused_at_once.add(1);
    }

    pub(crate) fn taken(&self, count: usize) {
        self.taken.add(count);
    }

    pub(crate) fn published(&self) {
        self.published.add(1);
    }

    pub(crate) fn refused_by_topic(&self) {
        self.refused_by_topic.add(1);
    }

    pub(crate) fn failed(&self) {
        self.failed.add(1);
    }

    pub(crate) fn left(&self) {
        self.left.add(1);
    }

    pub(crate) fn spooled(&self, count: u64) {
        self.spooled.0.store(count, Ordering::Relaxed);
    }

    /// Taken by the publish loop and not settled yet, as far as can be seen while it goes on.
    fn waiting(&self) -> u64 {
        let settled = [&self.published, &self.refused_by_topic, &self.failed, &self.left].map(Counter::get);
        self.taken.get().saturating_sub(settled.iter().sum())
    }

    /// Right once the publish loop has ended; what it took and did not settle is abandoned.
    pub(crate) fn summary(&self) -> Summary {
        let (published, refused, failed) = (self.published.get(), self.refused_by_topic.get(), self.failed.get());
        Summary {
            published,
            refused: refused + self.refused_at_once.get(),
            failed,
            spooled: self.spooled.get(),
            abandoned: self.taken.get().saturating_sub(published + refused + failed + self.left.get()),
        }
    }
}
