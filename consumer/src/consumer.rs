//! The consumer as its user sees it: built, then run until it is told to stop.

use tokio_util::sync::CancellationToken;
use upbeat_service::{Health, Metrics, Readiness, Traces};

use crate::engine::{self, Summary};
use crate::handler::{Handler, Log};
use crate::options::{Options, OptionsError};
use crate::queue::Queue;

/// The condition on readiness that is met once the queue has said what it is.
pub const QUEUE: &str = "queue";

/// Consumes a queue: hands each message to a handler, and deletes what was handled.
#[derive(Debug)]
pub struct Consumer<Q, H> {
    queue: Q,
    handler: H,
    options: Options,
    health: Health,
    readiness: Readiness,
    metrics: Option<Metrics>,
    traces: Traces,
}

/// A consumer in the making.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<Q, H>(Consumer<Q, H>);

impl<Q: Queue> Consumer<Q, Log> {
    /// A consumer of this queue that logs each message, with [`Options::default`].
    pub fn builder(queue: Q) -> Builder<Q, Log> {
        Builder(Self {
            queue,
            handler: Log,
            options: Options::default(),
            health: Health::new(),
            readiness: Readiness::default(),
            metrics: None,
            traces: Traces::default(),
        })
    }
}

impl<Q: Queue, H: Handler> Builder<Q, H> {
    /// What is done with each message.
    pub fn handler<N: Handler>(self, handler: N) -> Builder<Q, N> {
        let Consumer { queue, options, health, readiness, metrics, traces, .. } = self.0;
        Builder(Consumer { queue, handler, options, health, readiness, metrics, traces })
    }

    /// How the consumer works.
    pub fn options(mut self, options: Options) -> Self {
        self.0.options = options;
        self
    }

    /// Where the consumer shows that its tasks make progress.
    pub fn health(mut self, health: Health) -> Self {
        self.0.health = health;
        self
    }

    /// Where the consumer shows whether it can reach its queue.
    pub fn readiness(mut self, readiness: Readiness) -> Self {
        self.0.readiness = readiness;
        self
    }

    /// Where the consumer counts what it does; nowhere if not set, which costs nothing.
    ///
    /// ```
    /// use upbeat_consumer::{Consumer, queue::memory::MemoryQueue};
    /// use upbeat_service::Metrics;
    ///
    /// let metrics = Metrics::of("shop", "1.2.3"); // Metrics::prometheus() for an endpoint of your own
    /// let consumer = Consumer::builder(MemoryQueue::new("orders")).metrics(&metrics).build()?;
    /// # Ok::<_, upbeat_consumer::options::OptionsError>(())
    /// ```
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.0.metrics = Some(metrics.clone());
        self
    }

    /// Where the spans of receives, handlers and deletes go; nowhere if not set.
    pub fn traces(mut self, traces: &Traces) -> Self {
        self.0.traces = traces.clone();
        self
    }

    /// `Err` names the option that can't be right, and what would do.
    pub fn build(self) -> Result<Consumer<Q, H>, OptionsError> {
        self.0.options.check()?;
        Ok(self.0)
    }
}

impl<Q: Queue, H: Handler> Consumer<Q, H> {
    /// Consumes until `stop` fires, then drains: handlers run on, what they leave is released, all within the
    /// drain timeout. A queue that is not there, or not now, is waited for.
    pub async fn run(self, stop: CancellationToken) -> Summary {
        let Self { queue, handler, options, health, readiness, metrics, traces } = self;
        engine::run(queue, handler, options, health, &readiness, metrics.as_ref(), traces, stop).await
    }
}
