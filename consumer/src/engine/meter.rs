//! What the engine counts. Each method is called where the thing happens, and does nothing without metrics.

mod families;
mod look;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;
use upbeat_service::Metrics;
use upbeat_service::metrics::{Destination, Requests, Source};
use upbeat_service::page::{Recent, Seen};

use super::in_flight::{Job, Phase};
use crate::message::CancelReason;
use crate::outcome::Outcome;
use crate::queue::{EntryError, ErrorKind, QueueDepth, QueueError, Received};
use families::ConsumerFamilies;
pub(super) use look::{Held, Look};

/// How requests may fail.
const ERRORS: [&str; 6] = [
    ErrorKind::NotFound.as_str(),
    ErrorKind::AccessDenied.as_str(),
    ErrorKind::Throttled.as_str(),
    ErrorKind::Timeout.as_str(),
    ErrorKind::Unavailable.as_str(),
    ErrorKind::Invalid.as_str(),
];

/// What counts, if anything does.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Option<Arc<Counted>>);

/// The counters of one queue, looked up.
#[derive(Debug)]
struct Counted {
    families: Arc<ConsumerFamilies>,
    destination: Destination,
    consumed: Counter,
    age: Histogram,
    recent: Recent,
    receive_count: Histogram,
    processed: Histogram,
    outcomes: [Counter; Ended::ALL.len()],
    deletes: [Counter; Told::ALL.len()],
    extensions: [Counter; Told::ALL.len()],
    settled: [Counter; Settled::ALL.len()],
    redeliveries: [Counter; Redelivered::ALL.len()],
    breaker_trips: Counter,
    polls_open: AtomicUsize,
    /// When the oldest message of the last receive was sent, in milliseconds since 1970; 0 if it brought none.
    last_seen: AtomicI64,
    depth: Mutex<Option<QueueDepth>>,
}

/// Declares a closed set of label values.
macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $value:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::engine) enum $name { $($(#[$what])* $variant),+ }

        impl $name {
            const ALL: [&'static str; [$($value),+].len()] = [$($value),+];

            /// The label's value.
            #[allow(dead_code, reason = "for those that are not looked up beforehand")]
            pub(in crate::engine) const fn as_str(self) -> &'static str {
                Self::ALL[self as usize]
            }
        }
    };
}

label! {
    /// How a try of a handler ended.
    Ended {
        Done = "done",
        Retry = "retry",
        Reject = "reject",
        Failed = "failed",
        Panicked = "panicked",
        LockLost = "lock_lost",
        Deadline = "deadline",
        Shutdown = "shutdown",
    }
}

label! {
    /// What the queue said of one entry of a delete or an extension.
    Told {
        /// It is so.
        Ok = "ok",
        /// Not now; it is tried again.
        Failed = "failed",
        /// Never: the receipt handle does not count any more.
        Refused = "refused",
    }
}

label! {
    /// How a message left our hands.
    Settled {
        /// Handled, and deleted.
        Handled = "handled",
        /// Sent to the dead-letter queue by us, before it is deleted.
        Rejected = "rejected",
        /// Made visible again.
        Released = "released",
        /// Another consumer may have it.
        Lost = "lost",
        /// Neither, when the drain was over.
        Abandoned = "abandoned",
    }
}

label! {
    /// What became of a delivery of a message that we know.
    Redelivered {
        /// We hold it: its newer receipt handle counts.
        Adopted = "adopted",
        /// It was handled before: it is deleted without being handled again.
        DeletedAgain = "deleted_again",
    }
}

/// A long poll that is open.
#[derive(Debug)]
pub(super) struct Polling(Option<Arc<Counted>>);

impl Meter {
    /// Counts for this queue, if there are metrics.
    pub(super) fn new(metrics: Option<&Metrics>, queue: &str) -> Self {
        Self(metrics.map(|metrics| Arc::new(Counted::new(metrics, queue))))
    }

    pub(super) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What is worked out at a scrape is asked of this from now on.
    pub(super) fn watch(&self, source: Weak<dyn Source<Look>>) {
        if let Some(on) = &self.0 {
            on.families.gauges.0.watch(source);
        }
    }

    /// A long poll is open until what this gives back is dropped.
    pub(super) fn polling(&self) -> Polling {
        if let Some(on) = &self.0 {
            on.polls_open.fetch_add(1, Ordering::Relaxed);
        }
        Polling(self.0.clone())
    }

    /// A receive has ended well.
    pub(super) fn received(&self, messages: &[Received]) {
        let Some(on) = &self.0 else { return };
        let now = SystemTime::now();
        on.consumed.inc_by(messages.len() as u64);
        let mut oldest = None;
        for Received { delivery, .. } in messages {
            on.receive_count.observe(f64::from(delivery.receive_count));
            if let Some(sent_at) = delivery.sent_at {
                // By two clocks: what was sent in our future has no age.
                on.age.observe(now.duration_since(sent_at).unwrap_or_default().as_secs_f64());
                oldest = Some(oldest.map_or(sent_at, |oldest: SystemTime| oldest.min(sent_at)));
            }
        }
        on.last_seen.store(oldest.map_or(0, millis), Ordering::Relaxed);
    }

    /// A try of a handler has ended, by itself or cancelled.
    pub(super) fn attempted(&self, ended: Ended, started: Instant, job: &Job, attempt: u32) {
        let Some(on) = &self.0 else { return };
        let took = started.elapsed();
        on.outcomes[ended as usize].inc();
        if ended == Ended::Done {
            on.processed.observe(took.as_secs_f64());
        } else {
            let labels = on.destination.error(ended.as_str());
            on.families.processed.get_or_create(&labels).observe(took.as_secs_f64());
        }
        on.recent.note(job.payload.body(), || {
            let message_id = &*job.delivery.message_id;
            Seen {
                at: SystemTime::now(),
                id: job.payload.id().unwrap_or(message_id).to_owned(),
                message_id: Some(message_id.to_owned()),
                attempt,
                outcome: Ended::ALL[ended as usize],
                took,
                body: None,
            }
        });
    }

    /// The queue was told to delete a message or to give it back.
    pub(super) fn told(&self, phase: Phase, result: Option<&Result<(), EntryError>>) {
        if let Some(on) = &self.0
            && phase == Phase::Deleting
        {
            on.deletes[Told::of(result) as usize].inc();
        }
    }

    /// The queue was told to extend a lease.
    pub(super) fn extended(&self, result: Option<&Result<(), EntryError>>) {
        if let Some(on) = &self.0 {
            on.extensions[Told::of(result) as usize].inc();
        }
    }

    pub(super) fn settled(&self, settled: Settled) {
        self.settled_all(settled, 1);
    }

    pub(super) fn settled_all(&self, settled: Settled, count: usize) {
        if let Some(on) = &self.0 {
            on.settled[settled as usize].inc_by(count as u64);
        }
    }

    pub(super) fn redelivered(&self, redelivered: Redelivered) {
        if let Some(on) = &self.0 {
            on.redeliveries[redelivered as usize].inc();
        }
    }

    /// Every handler has failed for a while, and receiving pauses.
    pub(super) fn breaker_tripped(&self) {
        if let Some(on) = &self.0 {
            on.breaker_trips.inc();
        }
    }

    /// How many messages the queue holds; nothing where that can't be known now.
    pub(super) fn depth(&self, depth: Option<QueueDepth>) {
        if let Some(on) = &self.0 {
            *on.depth.lock().unwrap_or_else(PoisonError::into_inner) = depth;
        }
    }

    /// What is seen at a scrape, by what the engine holds.
    pub(super) fn look(&self, held: Held) -> Option<Look> {
        let on = self.0.as_ref()?;
        let polls_open = on.polls_open.load(Ordering::Relaxed);
        // While nothing is received, what was there last is there still, as far as we know.
        let last_seen = on.last_seen.load(Ordering::Relaxed);
        let left_behind = (polls_open == 0 && last_seen > 0).then_some(last_seen);
        let oldest = held.oldest.map(millis).into_iter().chain(left_behind).min();
        let now = millis(SystemTime::now());
        let depth = *on.depth.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = oldest.map_or(0, |sent_at| now.saturating_sub(sent_at).max(0));
        Some(Look { destination: on.destination.clone(), held, polls_open, oldest_ms: oldest, depth })
    }
}

impl Counted {
    fn new(metrics: &Metrics, queue: &str) -> Self {
        let families = metrics.families::<ConsumerFamilies>();
        let destination = Destination::sqs(queue);
        let labelled = |value| destination.outcome(value);
        Self {
            consumed: families.consumed.get_or_create_owned(&destination),
            age: families.age.get_or_create_owned(&destination),
            receive_count: families.receive_count.get_or_create_owned(&destination),
            processed: families.processed.get_or_create_owned(&destination.error("")),
            outcomes: Ended::ALL.map(|value| families.outcomes.get_or_create_owned(&labelled(value))),
            deletes: Told::ALL.map(|value| families.deletes.get_or_create_owned(&labelled(value))),
            extensions: Told::ALL.map(|value| families.extensions.get_or_create_owned(&labelled(value))),
            settled: Settled::ALL.map(|value| families.settled.get_or_create_owned(&labelled(value))),
            redeliveries: Redelivered::ALL.map(|value| families.redeliveries.get_or_create_owned(&labelled(value))),
            breaker_trips: families.breaker_trips.get_or_create_owned(&destination),
            recent: metrics.recent().clone(),
            polls_open: AtomicUsize::new(0),
            last_seen: AtomicI64::new(0),
            depth: Mutex::default(),
            families,
            destination,
        }
    }
}

impl Ended {
    /// By what the handler said, if it did, or else why it could not.
    pub(super) const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Retry { .. } => Self::Retry,
            Outcome::Reject { .. } => Self::Reject,
            Outcome::Failed { .. } => Self::Failed,
        }
    }

    pub(super) const fn cancelled(reason: Option<CancelReason>) -> Self {
        match reason {
            Some(CancelReason::LockLost) => Self::LockLost,
            Some(CancelReason::Deadline) => Self::Deadline,
            Some(CancelReason::Shutdown) | None => Self::Shutdown,
        }
    }
}

impl Told {
    /// Without a result for it, the whole call has failed.
    const fn of(result: Option<&Result<(), EntryError>>) -> Self {
        match result {
            Some(Ok(())) => Self::Ok,
            Some(Err(error)) if error.sender_fault => Self::Refused,
            Some(Err(_)) | None => Self::Failed,
        }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        if let Some(on) = &self.0 {
            on.polls_open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The requests of one kind, counted.
pub(super) fn requests(metrics: &Metrics, queue: &str, action: &'static str, name: &'static str) -> Requests {
    Requests::new(metrics, &Destination::sqs(queue), action, name, &ERRORS)
}

/// Why a request failed, if it did.
pub(super) fn error_type<T>(result: &Result<T, QueueError>) -> Option<&'static str> {
    result.as_ref().err().map(|error| error.kind.as_str())
}

fn millis(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
