//! Leases: messages are received for a short time, which is extended for as long as they are in our hands.
//!
//! A crash then costs a message at most that short time, even on a queue whose own visibility timeout is
//! hours, and a fast handler costs no extra request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::Engine;
use super::call::CALL_TIMEOUT;
use super::in_flight::{DueLease, InFlight, Lease, Settlement};
use crate::handler::Handler;
use crate::queue::{Batch, MAX_BATCH, Queue};

/// How long before its end a lease is extended, as a part of it: room for some failed tries.
const MARGIN: u32 = 3;

/// Leases that are due within this time are seen to together: each look is at all messages.
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);

/// What an extension is given to be answered, however near the end of the lease is.
const LEAST_LIMIT: Duration = Duration::from_secs(2);

/// Health is told this much more than a look at the leases can take.
const STUCK_AFTER: Duration = Duration::from_secs(10);

impl Lease {
    /// A lease from `start` on.
    pub(super) fn new(start: Instant, length: Duration) -> Self {
        Self { until: start + length, extend_at: start + length - length / MARGIN }
    }
}

/// Extends leases for as long as it runs.
pub(super) async fn keep<Q: Queue, H: Handler>(engine: Arc<Engine<Q, H>>) {
    // A lease that begins during the sleep is due later than its end.
    let longest_sleep = engine.lease / MARGIN;
    let beat = engine.health.task("lease keeper", longest_sleep + STUCK_AFTER);
    loop {
        beat.beat(longest_sleep + STUCK_AFTER);
        let now = Instant::now();
        let mut due = engine.in_flight.due_leases(now).into_iter();
        loop {
            let batch: Batch<DueLease> = due.by_ref().take(MAX_BATCH).collect();
            if batch.is_empty() {
                break;
            }
            engine.spawn(extend(Arc::clone(&engine), batch));
        }
        let latest = now + longest_sleep;
        let next = engine.in_flight.next_extension().unwrap_or(latest);
        sleep_until(next.clamp(now + SHORTEST_SLEEP, latest)).await;
    }
}

async fn extend<Q: Queue, H: Handler>(engine: Arc<Engine<Q, H>>, batch: Batch<DueLease>) {
    let sent = Instant::now();
    // Past twelve hours from the receive, the queue refuses, and the lock is lost.
    let entries = batch.iter().map(|due| (due.receipt.clone(), engine.lease)).collect();
    // A handler must not run on for the sake of an answer that comes after the lease.
    let left = batch.iter().map(|due| due.until).min().unwrap_or(sent).saturating_duration_since(sent);
    let limit = left.clamp(LEAST_LIMIT, CALL_TIMEOUT);
    let answer = engine.calls.change_visibility.make(limit, engine.queue.change_visibility(entries)).await;
    let answer = answer.map(IntoIterator::into_iter);
    let mut results = answer.ok();
    for due in batch {
        let result = results.as_mut().and_then(Iterator::next);
        engine.meter.extended(result.as_ref());
        match result {
            Some(Ok(())) => engine.in_flight.extended(&due, Lease::new(sent, engine.lease)),
            Some(Err(error)) if error.sender_fault => engine.lose(&due, &error.reason).await,
            Some(Err(_)) | None if Instant::now() < due.until => try_again(&engine.in_flight, &due),
            Some(Err(_)) | None => engine.lose(&due, "the lease could not be extended in time").await,
        }
    }
}

/// Several tries fit into what is left of the lease, further apart the more is left.
fn try_again(in_flight: &InFlight, due: &DueLease) {
    let now = Instant::now();
    let wait = ((due.until - now) / 4).clamp(Duration::from_millis(100), Duration::from_secs(5));
    in_flight
        .extended(due, Lease { until: due.until, extend_at: now + wait.mul_f64(f64::midpoint(1.0, fastrand::f64())) });
}

impl<Q: Queue, H: Handler> Engine<Q, H> {
    async fn lose(&self, due: &DueLease, reason: &str) {
        warn!(message_id = %due.id, reason, "lock lost");
        for id in self.in_flight.lose(due) {
            self.order(id, Settlement::Release).await;
        }
    }
}
