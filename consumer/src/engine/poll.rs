//! Receiving: one long poll while the queue is empty, more in parallel while receives come back full.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};
use upbeat_service::Backoff;
use upbeat_service::breaker::Gate;
use uuid::Uuid;

use super::Engine;
use super::call::CALL_TIMEOUT;
use super::in_flight::{Admission, Lease, Settlement};
use super::meter::Redelivered;
use super::permits::Reservation;
use crate::handler::Handler;
use crate::queue::{ErrorKind, MAX_BATCH, Queue, QueueError, Receive, Received};

/// How often the poller shows that it is alive, whatever it waits for.
const TICK: Duration = Duration::from_secs(5);

/// How much longer than its wait a long poll may take.
const POLL_MARGIN: Duration = Duration::from_secs(5);

/// The pause after an empty receive that did not wait itself, which would be a hot loop.
const SHORT_POLL_PAUSE: Duration = Duration::from_secs(1);

/// How one receive ended.
#[derive(Debug)]
enum Polled {
    /// As many messages as were asked for: there are likely more.
    Full,
    /// Some.
    Part,
    /// None within the wait.
    Empty,
    /// The call failed. On a FIFO queue the same attempt id brings back what it may have received.
    Failed { attempt_id: Option<String> },
}

/// Receives until the consumer is to stop, then waits for the polls that are under way.
pub(super) async fn poll<Q: Queue, H: Handler>(engine: Arc<Engine<Q, H>>) {
    let beat = engine.health.task("poller", TICK * 2);
    let most_polls = engine.options.concurrency.div_ceil(MAX_BATCH);
    let mut polls = JoinSet::new();
    let mut wanted_polls = 1;
    let mut backoff = Backoff::default();
    let mut not_before = Instant::now();
    let mut attempt_id = None;
    while !engine.stop.is_cancelled() {
        let now = Instant::now();
        beat.beat(TICK * 2);
        let mut wake = now + TICK;
        while polls.len() < wanted_polls && now >= not_before {
            let max = match engine.breaker.gate() {
                Gate::Open => MAX_BATCH,
                Gate::Probe => 1,
                Gate::Closed(until) => {
                    wake = wake.min(until);
                    break;
                }
            };
            polls.spawn(poll_once(Arc::clone(&engine), max, attempt_id.take()));
        }
        if now < not_before {
            wake = wake.min(not_before);
        }
        tokio::select! {
            biased;
            () = engine.stop.cancelled() => break,
            Some(ended) = polls.join_next() => match ended {
                // Each of them doubles it, so that all are under way after a few round trips.
                Ok(Polled::Full) => wanted_polls = most_polls.min(wanted_polls * 2),
                Ok(Polled::Part) => {}
                Ok(Polled::Empty) => {
                    wanted_polls = 1;
                    if engine.options.wait.is_zero() {
                        not_before = Instant::now() + SHORT_POLL_PAUSE;
                    }
                }
                Ok(Polled::Failed { attempt_id: again }) => {
                    wanted_polls = 1;
                    attempt_id = again;
                    not_before = Instant::now() + backoff.next_wait();
                    continue;
                }
                Err(error) => warn!(%error, "a poll failed"),
            },
            () = sleep_until(wake) => continue,
        }
        backoff.reset();
    }
    // Each of them ends by itself within the poll grace.
    beat.beat(engine.options.poll_grace + CALL_TIMEOUT * 2);
    while polls.join_next().await.is_some() {}
}

async fn poll_once<Q: Queue, H: Handler>(engine: Arc<Engine<Q, H>>, max: usize, attempt_id: Option<String>) -> Polled {
    let Some(mut reservation) = engine.stop.run_until_cancelled(engine.permits.reserve(max)).await else {
        return Polled::Empty;
    };
    let attempt_id = attempt_id.or_else(|| engine.info.fifo.then(|| Uuid::now_v7().to_string()));
    let asked = reservation.messages().min(max);
    let receive =
        Receive { max: asked, wait: engine.options.wait, lease: engine.lease, attempt_id: attempt_id.clone() };
    let receiving = receive_until_grace(&engine, receive).await;
    let received = receiving.as_ref().map_or(0, Vec::len);
    if max == 1 && received == 0 {
        engine.breaker.probe_in_vain();
    }
    match receiving {
        Ok(messages) => {
            engine.take_in(messages, &mut reservation).await;
            match received {
                0 => Polled::Empty,
                some if some == asked => Polled::Full,
                _ => Polled::Part,
            }
        }
        Err(error) => {
            debug!(%error, "receive failed");
            // Only where the messages may have been received is the id of use again.
            let again = matches!(error.kind, ErrorKind::Timeout | ErrorKind::Unavailable);
            Polled::Failed { attempt_id: attempt_id.filter(|_| again) }
        }
    }
}

/// Receives; once the consumer stops, for no longer than the poll grace. A poll that is cut off then may have
/// hidden messages: they come back when their lease ends, and those of a FIFO queue are fetched at once.
async fn receive_until_grace<Q: Queue, H: Handler>(
    engine: &Engine<Q, H>,
    receive: Receive,
) -> Result<Vec<Received>, QueueError> {
    let grace_over = async {
        engine.stop.cancelled().await;
        tokio::time::sleep(engine.options.poll_grace).await;
    };
    let again = Receive { wait: Duration::ZERO, ..receive.clone() };
    tokio::select! {
        biased;
        received = engine.receive(receive) => return received,
        () = grace_over => {}
    }
    // Boxed: the SDK's futures are large, and nearly no poll needs a second one.
    if again.attempt_id.is_some() { Box::pin(engine.receive(again)).await } else { Ok(Vec::new()) }
}

impl<Q: Queue, H: Handler> Engine<Q, H> {
    async fn receive(&self, receive: Receive) -> Result<Vec<Received>, QueueError> {
        let (_polling, began) = (self.meter.polling(), self.spans.now());
        let received = self.calls.receive.make(receive.wait + POLL_MARGIN, self.queue.receive(receive)).await;
        self.spans.received(began, &received);
        received
    }

    /// Takes deliveries in: starts their handlers, or gives them back when the consumer is stopping.
    async fn take_in(self: &Arc<Self>, messages: Vec<Received>, reservation: &mut Reservation) {
        let lease = Lease::new(Instant::now(), self.lease);
        self.meter.received(&messages);
        for received in messages {
            let permit = reservation.permit(&self.permits, received.payload.size());
            let id = Arc::clone(&received.delivery.message_id);
            self.counts.received();
            let stopping = self.stop.is_cancelled();
            match self.in_flight.admit(received, permit, lease, self.info.fifo && !stopping) {
                Admission::Start(_) if stopping => self.settle(id, Settlement::Release).await,
                Admission::Start(job) => self.start(job),
                Admission::Wait => {}
                Admission::Adopted => self.meter.redelivered(Redelivered::Adopted),
                Admission::DeleteAgain => {
                    self.meter.redelivered(Redelivered::DeletedAgain);
                    self.settle(id, Settlement::Delete).await;
                }
            }
        }
    }
}
