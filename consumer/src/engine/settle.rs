//! Telling the queue what became of messages: in batches, until it has confirmed each.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::field::display;
use tracing::{debug, error, info, warn};
use upbeat_service::Backoff;

use super::Engine;
use super::call::CALL_TIMEOUT;
use super::in_flight::{MessageId, Phase, Settlement};
use super::meter::Settled;
use crate::handler::Handler;
use crate::queue::{
    Batch, DeadLetter, Delivery, EntryError, EntryResults, ErrorKind, MAX_BATCH, MAX_VISIBILITY, Queue, QueueError,
};

/// SQS counts its limit from the receive, so what is left after a long handler is less than all of it.
const LONGEST_RETRY: Duration = MAX_VISIBILITY.saturating_sub(Duration::from_mins(5));

/// How often the settler shows that it is alive.
const TICK: Duration = Duration::from_secs(5);

/// What one message is to become.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: MessageId,
    pub(super) settlement: Settlement,
}

/// A message in a batch, and when it is to be visible if it is not deleted.
#[derive(Debug)]
struct Item {
    id: MessageId,
    visible_at: Instant,
}

/// Messages in one phase, on their way to a full batch.
#[derive(Debug)]
struct Pending {
    phase: Phase,
    batch: Batch<Item>,
    since: Instant,
}

/// Gathers orders into batches and sends them off, several at a time.
pub(super) async fn settle<Q: Queue, H: Handler>(engine: Arc<Engine<Q, H>>, mut orders: mpsc::Receiver<Order>) {
    // With permits for fewer than two batches, waiting for a full one would leave handlers idle.
    let few_permits = engine.options.concurrency < 2 * MAX_BATCH;
    let enough_when_busy = if engine.info.fifo { 1 } else { (engine.options.concurrency / 2).clamp(1, MAX_BATCH) };
    let beat = engine.health.task("settler", TICK * 2);
    let (mut deletes, mut visibilities) = (Pending::new(Phase::Deleting), Pending::new(Phase::GivingBack));
    let mut received = Vec::with_capacity(MAX_BATCH);
    let mut timer = pin!(sleep_until(Instant::now() + TICK));
    loop {
        beat.beat(TICK * 2);
        let stopping = engine.stop.is_cancelled();
        let longest = engine.options.max_batch_wait;
        let wake = [deletes.flush_at(longest), visibilities.flush_at(longest)].into_iter().flatten();
        let wake = wake.fold(Instant::now() + TICK, Instant::min);
        // To wake too early once in a while costs less than to set the timer for each message.
        if timer.is_elapsed() || wake < timer.deadline() {
            timer.as_mut().reset(wake);
        }
        tokio::select! {
            biased;
            _ = orders.recv_many(&mut received, MAX_BATCH) => {}
            () = &mut timer => {}
            () = engine.stop.cancelled(), if !stopping => {}
        }
        if received.len() < MAX_BATCH {
            // Handlers that are about to end may come along: one turn of this loop for all of them.
            tokio::task::yield_now().await;
            while received.len() < MAX_BATCH
                && let Ok(order) = orders.try_recv()
            {
                received.push(order);
            }
        }
        for Order { id, settlement } in received.drain(..) {
            let now = Instant::now();
            match settlement {
                Settlement::Delete => deletes.push(&engine, Item { id, visible_at: now }),
                Settlement::Retry { at } => visibilities.push(&engine, Item { id, visible_at: at }),
                Settlement::Release => visibilities.push(&engine, Item { id, visible_at: now }),
                Settlement::Reject { reason, otherwise } => {
                    engine.spawn(reject(Arc::clone(&engine), id, reason, otherwise));
                }
                Settlement::Forget => {
                    engine.meter.settled(Settled::Lost);
                    drop(engine.leave(&id));
                }
            }
        }
        // What is left of a batch may hold the permits that the next receive waits for, with no handler to add to it.
        let held_up = || few_permits && engine.permits.are_wanted() && !engine.in_flight.has_work();
        let enough = if engine.stop.is_cancelled() || held_up() { 1 } else { enough_when_busy };
        deletes.flush(&engine, enough);
        visibilities.flush(&engine, enough);
    }
}

impl Pending {
    fn new(phase: Phase) -> Self {
        Self { phase, batch: Batch::new(), since: Instant::now() }
    }

    fn push<Q: Queue, H: Handler>(&mut self, engine: &Arc<Engine<Q, H>>, item: Item) {
        if self.batch.is_empty() {
            self.since = Instant::now();
        }
        self.batch.push(item);
        self.flush(engine, MAX_BATCH);
    }

    fn flush_at(&self, longest: Duration) -> Option<Instant> {
        (!self.batch.is_empty()).then(|| self.since + longest)
    }

    /// Sends the batch off if there is `enough` in it or it has waited long enough.
    fn flush<Q: Queue, H: Handler>(&mut self, engine: &Arc<Engine<Q, H>>, enough: usize) {
        let at = self.flush_at(engine.options.max_batch_wait);
        if at.is_some_and(|at| self.batch.len() >= enough || at <= Instant::now()) {
            engine.spawn(confirm(Arc::clone(engine), self.phase, std::mem::take(&mut self.batch)));
        }
    }
}

/// Tells the queue until it has confirmed each message, or has said that it never will.
async fn confirm<Q: Queue, H: Handler>(engine: Arc<Engine<Q, H>>, phase: Phase, mut batch: Batch<Item>) {
    let mut backoff = Backoff::default();
    loop {
        // A newer delivery may have brought another receipt handle since the last try, or have begun anew.
        let ours = batch.drain(..);
        let ours = ours.filter_map(|item| engine.in_flight.delivery(&item.id, phase).map(|delivery| (item, delivery)));
        let sent: Batch<_> = ours.collect();
        if sent.is_empty() {
            return;
        }
        let results = engine.tell(phase, &sent).await;
        let mut results = results.unwrap_or_default().into_iter();
        for (item, delivery) in sent {
            let result = results.next();
            engine.meter.told(phase, result.as_ref());
            if !engine.in_flight.is_current(&item.id, phase, &delivery) {
                match phase {
                    Phase::Deleting => batch.push(item),
                    // What is visible at once may have come again before we hear that it is. What is to become of it now
                    // is another order's to tell.
                    _ if matches!(result, Some(Ok(()))) => engine.released(),
                    _ => {}
                }
                continue;
            }
            match result {
                Some(Ok(())) => engine.confirmed(&item.id, phase),
                Some(Err(error)) if error.sender_fault => engine.refused(&item.id, phase, &error),
                Some(Err(_)) | None => batch.push(item),
            }
        }
        if batch.is_empty() {
            return;
        }
        engine.wait_to_retry(&mut backoff).await;
    }
}

/// Sends a message to the dead-letter queue until that is confirmed, then has it deleted. Where it can't be
/// sent, it comes back, and the queue's own redrive policy takes its course.
async fn reject<Q: Queue, H: Handler>(engine: Arc<Engine<Q, H>>, id: MessageId, reason: String, otherwise: Duration) {
    let mut backoff = Backoff::default();
    while let Some((delivery, payload)) = engine.in_flight.message(&id) {
        let letter = DeadLetter { delivery, payload, reason: reason.clone() };
        let sent = engine.calls.dead_letter.make(CALL_TIMEOUT, engine.queue.dead_letter(letter)).await;
        match sent {
            Ok(()) => {
                info!(message_id = %id, %reason, "rejected");
                engine.counts.rejected();
                engine.meter.settled(Settled::Rejected);
                return engine.order(id, Settlement::Delete).await;
            }
            Err(QueueError { kind: ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unavailable, .. }) => {
                engine.wait_to_retry(&mut backoff).await;
            }
            Err(error) => {
                error!(message_id = %id, %reason, %error, "cannot be sent to the dead-letter queue, so it comes back");
                let settlement = if engine.info.fifo {
                    Settlement::Release
                } else {
                    Settlement::Retry { at: Instant::now() + otherwise }
                };
                return engine.settle(id, settlement).await;
            }
        }
    }
}

impl<Q: Queue, H: Handler> Engine<Q, H> {
    async fn tell(&self, phase: Phase, sent: &Batch<(Item, Arc<Delivery>)>) -> Result<EntryResults, QueueError> {
        if phase == Phase::Deleting {
            let receipts = sent.iter().map(|(_, delivery)| delivery.receipt.clone()).collect();
            let began = self.spans.now();
            let spans = began.map(|_| sent.iter().filter_map(|(item, _)| self.in_flight.trace(&item.id)).collect());
            let deleted = self.calls.delete.make(CALL_TIMEOUT, self.queue.delete(receipts)).await;
            self.spans.deleted(began, sent.len(), spans.unwrap_or_default(), &deleted);
            deleted
        } else {
            let entries =
                sent.iter().map(|(item, delivery)| (delivery.receipt.clone(), seconds_until(item.visible_at)));
            let call = self.queue.change_visibility(entries.collect());
            self.calls.change_visibility.make(CALL_TIMEOUT, call).await
        }
    }

    fn confirmed(self: &Arc<Self>, id: &str, phase: Phase) {
        let Some((payload, span)) = self.leave(id) else { return };
        if phase == Phase::Deleting {
            self.counts.handled();
            self.meter.settled(Settled::Handled);
            let trace_id = span.or_else(|| payload.trace_context()).map(|trace| display(trace.trace_id().to_string()));
            info!(id = %payload.id().unwrap_or(id), message_id = %id, trace_id, "deleted");
        } else {
            self.released();
        }
    }

    fn released(&self) {
        self.counts.released();
        self.meter.settled(Settled::Released);
    }

    fn refused(self: &Arc<Self>, id: &MessageId, phase: Phase, error: &EntryError) {
        if phase == Phase::Deleting {
            warn!(message_id = %id, %error, "handled but not deleted: it is when it comes back");
            self.in_flight.remember_handled(id);
        } else {
            debug!(message_id = %id, %error, "no longer ours to give back");
        }
        self.leave(id);
    }
}

/// Whole seconds, rounded up, and no longer than the queue allows.
fn seconds_until(at: Instant) -> Duration {
    let left = at.saturating_duration_since(Instant::now());
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    Duration::from_secs(seconds).min(LONGEST_RETRY)
}
