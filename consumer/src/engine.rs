//! The engine: messages from the queue through the handler to their confirmed end.
//!
//! | part | its job |
//! | --- | --- |
//! | [`permits`] | room for messages and bytes, taken before a receive |
//! | [`poll`] | receives, and takes deliveries in |
//! | [`in_flight`] | the one table of messages in our hands |
//! | [`handle`] | runs the handler and decides what becomes of the message |
//! | [`lease`] | keeps messages invisible to others meanwhile |
//! | [`settle`] | tells the queue, in batches, until it has confirmed |
//! | [`call`] | a limit and a watch around each call to the queue |
//! | [`counts`] | what [`Summary`] is made of |
//! | [`meter`] | what metrics are made of, and [`depth`], which asks how many messages wait |
//! | [`spans`] | what traces are made of |

mod call;
mod counts;
mod depth;
mod handle;
mod in_flight;
mod lease;
mod meter;
mod permits;
mod poll;
mod settle;
mod spans;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use upbeat_service::breaker::Breaker;
use upbeat_service::metrics::Source;
use upbeat_service::traces::TraceContext;
use upbeat_service::{Backoff, Health, Metrics, Readiness, Traces};

use crate::handler::Handler;
use crate::message::{CancelReason, Payload};
use crate::options::Options;
use crate::queue::{Queue, QueueInfo};
use call::{CALL_TIMEOUT, Calls};
use counts::Counts;
pub use counts::Summary;
use in_flight::{InFlight, Job, MessageId, Phase, Settlement};
use meter::{Held, Look, Meter, Settled};
use permits::Permits;
use settle::Order;
use spans::Spans;

/// The last part of the drain time, kept for releasing what is still in flight.
const RELEASE_TIME: Duration = Duration::from_secs(2);

/// While the consumer stops, what the queue is to be told is tried again at least this often.
const LONGEST_WAIT_WHILE_STOPPING: Duration = Duration::from_millis(500);

/// How long tasks that were told to end may take to do so.
const QUIT_TIME: Duration = Duration::from_secs(1);

/// What all parts share.
#[derive(Debug)]
struct Engine<Q, H> {
    queue: Q,
    handler: H,
    options: Options,
    info: QueueInfo,
    lease: Duration,
    health: Health,
    calls: Calls,
    permits: Permits,
    in_flight: InFlight,
    breaker: Breaker,
    counts: Counts,
    meter: Meter,
    spans: Spans,
    orders: mpsc::Sender<Order>,
    tasks: TaskTracker,
    /// Fires when the consumer is to stop: no more receives.
    stop: CancellationToken,
    /// Fires when the drain is over: nothing goes on.
    quit: CancellationToken,
}

/// Consumes the queue until `stop` fires, then drains.
#[expect(clippy::too_many_arguments, reason = "what the builder was given, once")]
pub(crate) async fn run<Q: Queue, H: Handler>(
    queue: Q,
    handler: H,
    options: Options,
    health: Health,
    readiness: &Readiness,
    metrics: Option<&Metrics>,
    traces: Traces,
    stop: CancellationToken,
) -> Summary {
    let mut calls = Calls::new(&health, readiness);
    let Some(info) = stop.run_until_cancelled(read_info(&queue, &calls)).await else {
        return Summary::default();
    };
    calls.count(metrics, &info.name);
    let lease = whole_seconds(options.lease.min(info.visibility_timeout));
    let (orders, ordered) = mpsc::channel(options.concurrency + 1);
    info!(queue = %info.name, fifo = info.fifo, concurrency = options.concurrency, ?lease, "consuming");
    let engine = Arc::new(Engine {
        permits: Permits::new(options.concurrency, options.max_in_flight_bytes, options.max_batch_wait),
        breaker: Breaker::new(options.breaker_threshold),
        in_flight: InFlight::default(),
        counts: Counts::default(),
        meter: Meter::new(metrics, &info.name),
        spans: Spans::new(traces, &info.name),
        tasks: TaskTracker::new(),
        quit: CancellationToken::new(),
        queue,
        handler,
        options,
        info,
        lease,
        health,
        calls,
        orders,
        stop,
    });
    engine.spawn(settle::settle(Arc::clone(&engine), ordered));
    engine.spawn(lease::keep(Arc::clone(&engine)));
    if engine.meter.is_on() {
        let source: Arc<dyn Source<Look>> = Arc::clone(&engine) as _;
        engine.meter.watch(Arc::downgrade(&source));
        engine.spawn(depth::watch(Arc::clone(&engine)));
    }
    let poller = engine.spawn(poll::poll(Arc::clone(&engine)));
    // Whoever drops this future leaves nothing running.
    let _quit = engine.quit.clone().drop_guard();

    engine.stop.cancelled().await;
    let deadline = Instant::now() + engine.options.drain_timeout;
    engine.release_waiting().await;
    let drained = async {
        // A poller that panicked has received nothing more; liveness tells of it.
        drop(poller.await);
        engine.release_waiting().await;
        engine.in_flight.empty().await;
    };
    let mut drained = std::pin::pin!(drained);
    let handlers_until = deadline - RELEASE_TIME.min(engine.options.drain_timeout / 2);
    if timeout_at(handlers_until, &mut drained).await.is_err() {
        warn!(in_flight = engine.in_flight.len(), "the drain time is used up, handlers are cancelled");
        engine.in_flight.cancel_all(CancelReason::Shutdown);
        // What is still in flight then is counted as abandoned below.
        let _ = timeout_at(deadline, drained).await;
    }
    engine.meter.settled_all(Settled::Abandoned, engine.in_flight.len());
    for (id, phase) in engine.in_flight.phases() {
        warn!(message_id = %id, ?phase, "abandoned: it comes back when its lease ends");
    }
    engine.quit.cancel();
    engine.tasks.close();
    if timeout(QUIT_TIME, engine.tasks.wait()).await.is_err() {
        warn!("a handler blocks its thread and can't be ended");
        return engine.counts.summary(engine.in_flight.len());
    }
    let summary = engine.counts.summary(engine.in_flight.len());
    debug_assert!(!summary.is_clean() || engine.permits.all_free(), "a permit has not come back: {:?}", engine.permits);
    summary
}

/// Waits for the queue, with backoff: it may not be there yet.
async fn read_info<Q: Queue>(queue: &Q, calls: &Calls) -> QueueInfo {
    let mut backoff = Backoff::default();
    loop {
        match calls.info.make(CALL_TIMEOUT, queue.info()).await {
            Ok(info) => return info,
            Err(_) => sleep(backoff.next_wait()).await,
        }
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs().max(1))
}

impl<Q: Queue, H: Handler> Engine<Q, H> {
    /// Runs a part of the work, to be dropped when the drain is over.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<Option<()>> {
        self.tasks.spawn(self.quit.clone().run_until_cancelled_owned(work))
    }

    /// Waits before another try to tell the queue something. A stop leaves no time for long waits.
    async fn wait_to_retry(&self, backoff: &mut Backoff) {
        let wait = backoff.next_wait();
        if self.stop.run_until_cancelled(sleep(wait)).await.is_none() {
            sleep(wait.min(LONGEST_WAIT_WHILE_STOPPING)).await;
        }
    }

    fn start(self: &Arc<Self>, job: Job) {
        self.spawn(handle::handle(Arc::clone(self), job));
    }

    /// The handler has ended, or will not begin. Those that wait behind a message which comes again come
    /// again behind it.
    async fn settle(&self, id: MessageId, settlement: Settlement) {
        let handled = matches!(settlement, Settlement::Delete | Settlement::Reject { .. });
        let ours = self.in_flight.enter(&id, if handled { Phase::Deleting } else { Phase::GivingBack });
        let settlement = if ours || handled { settlement } else { Settlement::Forget };
        if matches!(settlement, Settlement::Release | Settlement::Forget) {
            for waiting in self.in_flight.take_waiting_behind(&id) {
                self.order(waiting, Settlement::Release).await;
            }
        }
        self.order(id, settlement).await;
    }

    async fn release_waiting(&self) {
        for id in self.in_flight.take_all_waiting() {
            self.order(id, Settlement::Release).await;
        }
    }

    async fn order(&self, id: MessageId, settlement: Settlement) {
        // The settler only ends after the drain; what is left in flight then is counted as abandoned.
        let _ = self.orders.send(Order { id, settlement }).await;
    }

    /// A message leaves our hands, and the next of its group has its turn.
    fn leave(self: &Arc<Self>, id: &str) -> Option<(Arc<Payload>, Option<TraceContext>)> {
        let removed = self.in_flight.remove(id)?;
        if let Some(next) = removed.next {
            self.start(next);
        }
        Some((removed.payload, removed.span))
    }
}

impl<Q: Queue, H: Handler> Source<Look> for Engine<Q, H> {
    fn look(&self) -> Option<Look> {
        let (messages, oldest) = self.in_flight.look();
        self.meter.look(Held {
            messages,
            oldest,
            concurrency: self.options.concurrency,
            bytes: self.permits.bytes_taken(),
            most_bytes: self.permits.most_bytes(),
            breaker_open: self.breaker.is_open(),
        })
    }
}
