//! What the producer counts. Each method is called where the thing happens, and does nothing without metrics.

mod families;
mod look;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;
use upbeat_service::Metrics;
use upbeat_service::metrics::{Destination, Requests, Source};
use upbeat_service::page::{Recent, Seen};

use crate::entry::Entry;
use crate::error::SendError;
use crate::publisher::{FaultKind, Receipts};
use crate::refusal::Refusal;
pub(crate) use families::Code;
use families::{HttpFamilies, ProducerFamilies};
pub(crate) use look::{Held, Look};

/// How calls to the topic may fail.
const ERRORS: [&str; 5] =
    [FaultKind::Refused.as_str(), FaultKind::Busy.as_str(), FaultKind::Unavailable.as_str(), TIMEOUT, PANIC];
const TIMEOUT: &str = "timeout";
const PANIC: &str = "panic";

/// How messages that were taken may end unpublished.
const UNSENT: [&str; 3] = ["refused", "given_up", "abandoned"];

/// What counts, if anything does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Option<Arc<Counted>>);

/// The counters of one topic, looked up.
#[derive(Debug)]
struct Counted {
    families: Arc<ProducerFamilies>,
    destination: Destination,
    calls: Requests,
    accepted: Counter,
    published: Counter,
    retried: Counter,
    delay: Histogram,
    batch: Histogram,
    recent: Recent,
    in_flight: AtomicUsize,
    gate_closed: AtomicBool,
    spool: Spool,
}

/// What is on the disk, as it was after the last write.
#[derive(Debug, Default)]
struct Spool {
    there: AtomicBool,
    messages: AtomicU64,
    bytes: AtomicU64,
    limit: AtomicU64,
    dead_letters: AtomicU64,
    /// When the oldest message came, in milliseconds since 1970; 0 if there is none.
    oldest: AtomicI64,
    failing: AtomicBool,
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct Call(Option<(Arc<Counted>, Instant)>);

/// What the spool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OnDisk {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) dead_letters: u64,
    /// When the oldest message came, in milliseconds since 1970.
    pub(crate) oldest: Option<u64>,
}

impl Meter {
    /// Counts for this topic, if there are metrics.
    pub(crate) fn new(metrics: Option<&Metrics>, topic: &str) -> Self {
        Self(metrics.map(|metrics| Arc::new(Counted::new(metrics, topic))))
    }

    /// What is worked out at a scrape is asked of this from now on.
    pub(crate) fn watch(&self, source: Weak<dyn Source<Look>>) {
        if let Some(on) = &self.0 {
            on.families.gauges.0.watch(source);
        }
    }

    /// Messages have been taken: into the buffer or, with a spool, onto the disk.
    pub(crate) fn accepted(&self, count: usize) {
        if let Some(on) = &self.0 {
            on.accepted.inc_by(count as u64);
        }
    }

    /// A message was not taken.
    pub(crate) fn not_taken(&self, error: &SendError) {
        if let Some(on) = &self.0 {
            on.families.refused.get_or_create(&on.destination.error(kind(error))).inc();
        }
    }

    /// A call leaves with so many messages.
    pub(crate) fn call(&self, messages: usize) -> Call {
        Call(self.0.as_ref().map(|on| {
            on.in_flight.fetch_add(1, Ordering::Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "ten at most")]
            on.batch.observe(messages as f64);
            (Arc::clone(on), Instant::now())
        }))
    }

    /// The topic holds a message, so long after it was taken, at this attempt.
    pub(crate) fn published(&self, entry: &Entry, message_id: &str, after: Duration, attempt: u32) {
        let Some(on) = &self.0 else { return };
        on.published.inc();
        on.delay.observe(after.as_secs_f64());
        on.recent.note(entry.body(), || seen(entry, Some(message_id), "published", after, attempt));
    }

    /// A message that was taken will not be published by this process, and is in no spool either.
    pub(crate) fn unsent(&self, entry: &Entry, error: &SendError, after: Duration, attempt: u32) {
        let Some(on) = &self.0 else { return };
        let why = match error {
            SendError::Refused(_) => "refused",
            SendError::Unpublished { .. } => "given_up",
            _ => "abandoned",
        };
        on.families.sent.get_or_create(&on.destination.error(why)).inc();
        on.recent.note(entry.body(), || seen(entry, None, why, after, attempt));
    }

    /// A message is tried again.
    pub(crate) fn retried(&self) {
        if let Some(on) = &self.0 {
            on.retried.inc();
        }
    }

    /// Whether calls are held back, as the topic can't take any.
    pub(crate) fn gate(&self, closed: bool) {
        if let Some(on) = &self.0 {
            on.gate_closed.store(closed, Ordering::Relaxed);
        }
    }

    /// What the spool holds and may hold.
    pub(crate) fn spool(&self, now: OnDisk, limit: u64) {
        let Some(Counted { spool, .. }) = self.0.as_deref() else { return };
        spool.messages.store(now.messages, Ordering::Relaxed);
        spool.bytes.store(now.bytes, Ordering::Relaxed);
        spool.dead_letters.store(now.dead_letters, Ordering::Relaxed);
        spool.oldest.store(now.oldest.map_or(0, |at| i64::try_from(at).unwrap_or(0)), Ordering::Relaxed);
        spool.limit.store(limit, Ordering::Relaxed);
        spool.there.store(true, Ordering::Relaxed);
    }

    /// Whether the disk fails.
    pub(crate) fn spool_fails(&self, failing: bool) {
        if let Some(on) = &self.0 {
            on.spool.failing.store(failing, Ordering::Relaxed);
        }
    }

    /// What is seen at a scrape, by what the producer holds.
    pub(crate) fn look(&self, held: Held) -> Option<Look> {
        let on = self.0.as_ref()?;
        Some(Look {
            destination: on.destination.clone(),
            held,
            in_flight: on.in_flight.load(Ordering::Relaxed),
            gate_closed: on.gate_closed.load(Ordering::Relaxed),
            spool: on.spool.look(),
        })
    }
}

impl Call {
    /// The call has been answered, or not in time (`None`).
    pub(crate) fn ended(self, answer: Option<&Result<Receipts, crate::Fault>>) {
        self.counted(match answer {
            Some(Ok(_)) => None,
            Some(Err(fault)) => Some(fault.kind.as_str()),
            None => Some(TIMEOUT),
        });
    }

    /// The publisher has panicked.
    pub(crate) fn panicked(self) {
        self.counted(Some(PANIC));
    }

    fn counted(self, error: Option<&'static str>) {
        if let Some((on, started)) = &self.0 {
            on.calls.ended(started.elapsed(), error);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some((on, _)) = &self.0 {
            on.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn seen(entry: &Entry, message_id: Option<&str>, outcome: &'static str, took: Duration, attempt: u32) -> Seen {
    let (id, message_id) = (entry.id().to_string(), message_id.map(str::to_owned));
    Seen { at: SystemTime::now(), id, message_id, attempt, outcome, took, body: None }
}

impl Counted {
    fn new(metrics: &Metrics, topic: &str) -> Self {
        let families = metrics.families::<ProducerFamilies>();
        let destination = Destination::sns(topic);
        for why in UNSENT {
            drop(families.sent.get_or_create(&destination.error(why)));
        }
        for why in REFUSALS {
            drop(families.refused.get_or_create(&destination.error(why)));
        }
        Self {
            calls: Requests::new(metrics, &destination, "PublishBatch", "publish", &ERRORS),
            accepted: families.accepted.get_or_create_owned(&destination),
            published: families.sent.get_or_create_owned(&destination.error("")),
            retried: families.retried.get_or_create_owned(&destination),
            delay: families.delay.get_or_create_owned(&destination),
            batch: families.batch.get_or_create_owned(&destination),
            recent: metrics.recent().clone(),
            in_flight: AtomicUsize::new(0),
            gate_closed: AtomicBool::new(false),
            spool: Spool::default(),
            families,
            destination,
        }
    }
}

impl Spool {
    fn look(&self) -> Option<look::SpoolLook> {
        let get = |number: &AtomicU64| i64::try_from(number.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        if !self.there.load(Ordering::Relaxed) {
            return None;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let oldest = self.oldest.load(Ordering::Relaxed);
        Some(look::SpoolLook {
            messages: get(&self.messages),
            bytes: get(&self.bytes),
            limit: get(&self.limit),
            dead_letters: get(&self.dead_letters),
            oldest_ms: if oldest == 0 { 0 } else { now.saturating_sub(oldest).max(0) },
            failing: self.failing.load(Ordering::Relaxed),
        })
    }
}

/// All that [`kind`] can say.
const REFUSALS: [&str; 15] = [
    "empty",
    "too_large",
    "not_utf8",
    "character",
    "too_many_attributes",
    "attribute",
    "subject",
    "token",
    "no_group",
    "not_fifo",
    "sns",
    "full",
    "spool_full",
    "spool_failed",
    "closed",
];

/// Why a message was not taken, in one word.
const fn kind(error: &SendError) -> &'static str {
    match error {
        SendError::Refused(refusal) => match refusal {
            Refusal::Empty => "empty",
            Refusal::TooLarge { .. } => "too_large",
            Refusal::NotUtf8 { .. } => "not_utf8",
            Refusal::Character { .. } => "character",
            Refusal::TooManyAttributes { .. } => "too_many_attributes",
            Refusal::Attribute { .. } => "attribute",
            Refusal::Subject => "subject",
            Refusal::Token { .. } => "token",
            Refusal::NoGroup => "no_group",
            Refusal::NotFifo => "not_fifo",
            Refusal::Sns { .. } => "sns",
        },
        SendError::Full => "full",
        SendError::SpoolFull => "spool_full",
        SendError::NotSpooled { .. } => "spool_failed",
        SendError::Spooled | SendError::Closed | SendError::Unpublished { .. } | SendError::Abandoned => "closed",
    }
}

/// The answers to `POST /messages`, by their status.
pub(crate) fn answers(metrics: &Metrics) -> Family<Code, Counter> {
    metrics.families::<HttpFamilies>().answers.clone()
}
