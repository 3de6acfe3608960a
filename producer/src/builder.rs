//! Settings of a producer, and its start.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use upbeat_service::metrics::Source;
use upbeat_service::readiness::Condition;
use upbeat_service::{Health, Metrics, Readiness, Traces};

use crate::batch::MAX_ENTRIES;
use crate::core::{Core, Counters, Options};
use crate::engine;
use crate::meter::{Look, Meter};
use crate::producer::{OVERHEAD, Producer, Way};
use crate::publisher::Publisher;
use crate::spool::{Spool, keep};

/// How long a batch that is not full waits for more messages while other batches are under way.
pub const LINGER: Duration = Duration::from_millis(10);

/// How many batches are under way at most.
pub const MAX_IN_FLIGHT: usize = 16;

/// For how long a message that can't be published is tried again.
pub const RETRY_FOR: Duration = Duration::from_secs(30);

/// How many bytes of messages wait at most, each with 1 KiB on top.
pub const BUFFER: u32 = 16 * 1024 * 1024;

/// How long one call to SNS may take. Publishing takes tens of milliseconds; this leaves room for a slow line.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a [`Producer`]; [`build`](Self::build) starts it.
#[derive(Debug)]
#[must_use = "a producer starts when it is built"]
pub struct Builder<P> {
    publisher: P,
    options: Options,
    health: Health,
    condition: Option<Condition>,
    retry_for: RetryFor,
    spool: Option<Spool>,
    spool_condition: Option<Condition>,
    metrics: Option<Metrics>,
    traces: Traces,
}

/// For how long to try again.
#[derive(Clone, Copy, Debug)]
enum RetryFor {
    /// For ever with a spool, for a while without.
    BySpool,
    Given(Option<Duration>),
}

impl<P: Publisher> Builder<P> {
    pub(crate) fn new(publisher: P) -> Self {
        let options = Options {
            linger: LINGER,
            max_in_flight: MAX_IN_FLIGHT,
            retry_for: None,
            call_timeout: CALL_TIMEOUT,
            buffer: BUFFER,
            default_group: None,
            group_batch: 1,
            rate: None,
        };
        Self {
            publisher,
            options,
            health: Health::default(),
            condition: None,
            retry_for: RetryFor::BySpool,
            spool: None,
            spool_condition: None,
            metrics: None,
            traces: Traces::default(),
        }
    }

    /// How long a batch that is not full waits for more messages while other batches are under way; 10 ms.
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.options.linger = linger;
        self
    }

    /// How many batches are under way at most, at least one; 16.
    pub fn max_in_flight(mut self, batches: usize) -> Self {
        self.options.max_in_flight = batches.max(1);
        self
    }

    /// For how long a message that SNS can't take now is tried again, from its first failure; 30 s, or for
    /// ever with a spool. `None` is for ever, zero is one attempt.
    pub const fn retry_for(mut self, retry_for: Option<Duration>) -> Self {
        self.retry_for = RetryFor::Given(retry_for);
        self
    }

    /// How long one call to the publisher may take; 10 s.
    pub const fn call_timeout(mut self, timeout: Duration) -> Self {
        self.options.call_timeout = timeout;
        self
    }

    /// How many bytes of messages wait or are under way at most, each message with 1 KiB on top; 16 MiB. A message
    /// that is larger than this waits until it has the buffer for itself.
    pub fn buffer(mut self, bytes: u32) -> Self {
        self.options.buffer = bytes.max(OVERHEAD);
        self
    }

    /// On a FIFO topic, the group of messages that name none; without it they are refused.
    pub fn default_group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.options.default_group = Some(group.into());
        self
    }

    /// On a FIFO topic, how many messages of one group share a batch, 1 to 10; 1.
    ///
    /// With 1, a group's order holds whatever fails. With more, a group is published faster; but if SNS takes only
    /// some entries of a batch, the others come after later ones of their group.
    pub fn group_batch(mut self, messages: usize) -> Self {
        self.options.group_batch = messages.clamp(1, MAX_ENTRIES);
        self
    }

    /// How many messages a second are published at most, repetitions counted; as many as can be. They go out in batches
    /// all the same, ten of them and then a pause.
    pub const fn rate(mut self, messages_a_second: NonZeroU32) -> Self {
        self.options.rate = Some(messages_a_second);
        self
    }

    /// Where the publish loop and its calls show that they make progress; nowhere.
    pub fn health(mut self, health: &Health) -> Self {
        self.health = health.clone();
        self
    }

    /// Where to show whether the topic can be reached; nowhere but in the log.
    pub fn condition(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// Keeps messages on disk from their acceptance to SNS's confirmation; in memory alone.
    pub fn spool(mut self, spool: Spool) -> Self {
        self.spool = Some(spool);
        self
    }

    /// Where to show whether the spool takes messages; nowhere but in the log.
    pub fn spool_condition(mut self, condition: Condition) -> Self {
        self.spool_condition = Some(condition);
        self
    }

    /// Where the producer counts what it does; nowhere if not set, which costs nothing.
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Where the spans of messages go; nowhere if not set. Messages carry theirs as the attribute `traceparent`.
    pub fn traces(mut self, traces: &Traces) -> Self {
        self.traces = traces.clone();
        self
    }

    /// Starts the producer.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn build(self) -> Producer {
        let Self { publisher, mut options, health, condition, retry_for, spool, spool_condition, metrics, traces } =
            self;
        options.retry_for = match retry_for {
            RetryFor::Given(retry_for) => retry_for,
            RetryFor::BySpool => spool.is_none().then_some(RETRY_FOR),
        };
        let topic = publisher.describe();
        let core = Arc::new(Core {
            meter: Meter::new(metrics.as_ref(), &topic.name),
            topic,
            traces,
            room: Arc::new(Semaphore::new(options.buffer as usize)),
            options,
            health,
            condition: condition.unwrap_or_else(|| unseen_condition("topic")),
            counters: Counters::default(),
            spooled: spool.is_some(),
            closing: CancellationToken::new(),
            abandon: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let source: Arc<dyn Source<Look>> = Arc::clone(&core) as _;
        core.meter.watch(Arc::downgrade(&source));
        let (engine, inbox) = mpsc::channel(core.max_waiting());
        core.tasks.spawn(engine::run(Arc::clone(&core), publisher, inbox));
        let way = match spool {
            None => Way::Buffer(engine),
            Some(spool) => {
                let condition = spool_condition.unwrap_or_else(|| unseen_condition("spool"));
                let intake = Arc::new(spool.intake(&core, condition));
                let (sender, inbox) = mpsc::channel(core.max_waiting());
                core.tasks.spawn(keep(Arc::clone(&core), spool, Arc::clone(&intake), inbox, engine));
                Way::Spool(intake, sender)
            }
        };
        Producer::new(core, way)
    }
}

/// Its changes are logged all the same.
fn unseen_condition(name: &'static str) -> Condition {
    let condition = Readiness::default().condition(name);
    condition.met();
    condition
}
