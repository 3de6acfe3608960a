//! One message and its handler, from the start of the handler to the settlement.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::field::display;
use tracing::{error, info, warn};
use upbeat_service::backoff::exponential;
use upbeat_service::breaker::Change;

use super::Engine;
use super::in_flight::{Job, Settlement};
use super::meter::Ended;
use crate::handler::{Handler, panic_text};
use crate::message::{CancelReason, Cancellation, Message};
use crate::outcome::Outcome;
use crate::queue::{MAX_VISIBILITY, Queue};

/// How long a cancelled handler may go on to end by itself before it is dropped.
pub(super) const CANCEL_GRACE: Duration = Duration::from_millis(500);

/// A message that is held through its retries is given back this long before SQS would take it back.
const HOLD_MARGIN: Duration = Duration::from_mins(5);

/// Runs the handler and decides what becomes of the message.
///
/// A message that failed is given back to be delivered again; but one of an ordered group is kept, with all
/// that wait behind it, and tried again here: SQS counts a release as a receive, and messages behind a
/// poison one would reach the dead-letter queue without ever having been handled.
pub(super) async fn handle<Q: Queue, H: Handler>(engine: Arc<Engine<Q, H>>, job: Job) {
    let id = Arc::clone(&job.delivery.message_id);
    let mut attempt = job.delivery.receive_count.max(1);
    let mut cancellation = job.cancellation.clone();
    let settlement = loop {
        let outcome = engine.attempt(&job, attempt, cancellation.clone()).await;
        match engine.breaker.record(matches!(outcome, Outcome::Done | Outcome::Reject { .. })) {
            Some(Change::Paused { failures }) => {
                warn!(failures, "every handler fails, receiving pauses");
                engine.meter.breaker_tripped();
            }
            Some(Change::Over) => info!("handlers succeed again, receiving goes on"),
            None => {}
        }
        let (after, error) = match outcome {
            Outcome::Done => break Settlement::Delete,
            Outcome::Reject { reason } if engine.info.redrive.is_some() => {
                break Settlement::Reject { reason, otherwise: engine.retry_wait(attempt) };
            }
            Outcome::Reject { reason } => {
                error!(message_id = %id, %reason, "rejected, but the queue has no dead-letter queue: it is tried again");
                (engine.retry_wait(attempt), Some(reason))
            }
            // More than the queue can do anyway, and longer than there are instants, is nothing to reckon with.
            Outcome::Retry { after } => (after.min(MAX_VISIBILITY), None),
            Outcome::Failed { error } => (engine.retry_wait(attempt), Some(error)),
        };
        engine.counts.failed();
        let trace_id = engine.in_flight.trace(&id).map(|trace| display(trace.trace_id().to_string()));
        warn!(message_id = %id, attempt, trace_id, retry_in = ?after, error = error.as_deref(), "not handled");
        match cancellation.reason() {
            Some(CancelReason::LockLost) => break Settlement::Forget,
            Some(CancelReason::Shutdown) => break Settlement::Release,
            Some(CancelReason::Deadline) | None => {}
        }
        if !engine.ordered(&job) {
            break Settlement::Retry { at: Instant::now() + after };
        }
        if engine.is_last(attempt) {
            let reason = format!("not handled in {attempt} attempts: {}", error.unwrap_or_default());
            break Settlement::Reject { reason, otherwise: after };
        }
        if job.received_at.elapsed() + after + HOLD_MARGIN > MAX_VISIBILITY {
            break Settlement::Release;
        }
        let pause = async {
            sleep(after).await;
            engine.breaker.pass().await;
        };
        tokio::select! {
            biased;
            () = pause => {}
            () = engine.stop.cancelled() => break Settlement::Release,
            _ = cancellation.cancelled(), if cancellation.reason().is_none() => {}
        }
        match engine.in_flight.next_attempt(&id) {
            Some(fresh) => cancellation = fresh,
            None => break Settlement::Forget,
        }
        attempt = attempt.saturating_add(1);
    };
    engine.settle(id, settlement).await;
}

impl<Q: Queue, H: Handler> Engine<Q, H> {
    /// Runs the handler once.
    async fn attempt(&self, job: &Job, attempt: u32, cancellation: Cancellation) -> Outcome {
        let span = self.spans.process(&job.payload, &job.delivery.message_id);
        if let Some(span) = span.as_ref().filter(|span| span.is_exported()) {
            self.in_flight.traced(&job.delivery.message_id, span.context());
        }
        let started = Instant::now();
        let deadline = started + self.options.handler_timeout;
        let message = Message {
            delivery: Arc::clone(&job.delivery),
            payload: Arc::clone(&job.payload),
            attempt,
            last_attempt: self.is_last(attempt),
            deadline,
            trace: span.as_ref().map(|span| span.context().clone()),
            cancellation: cancellation.clone(),
        };
        let handling = AssertUnwindSafe(async { self.handler.handle(message).await }).catch_unwind();
        let mut handling = std::pin::pin!(handling);
        // The handler is asked first: one that is done at once costs no timer.
        let ended = tokio::select! {
            biased;
            ended = &mut handling => Some(ended),
            _ = cancellation.cancelled() => None,
            () = sleep_until(deadline) => {
                cancellation.cancel(CancelReason::Deadline);
                None
            }
        };
        let ended = match ended {
            Some(ended) => Some(ended),
            None => timeout(CANCEL_GRACE, handling).await.ok(),
        };
        let cancelled = Ended::cancelled(cancellation.reason());
        let (how, outcome) = match (ended, cancellation.reason()) {
            (Some(Ok(outcome)), _) => (Ended::of(&outcome), outcome),
            (Some(Err(panic)), _) => {
                let error = format!("the handler panicked: {}", panic_text(&*panic));
                (Ended::Panicked, Outcome::Failed { error })
            }
            (None, Some(reason)) => {
                (cancelled, Outcome::Failed { error: format!("the handler was cancelled: {reason}") })
            }
            (None, None) => (cancelled, Outcome::Failed { error: "the handler was cancelled".to_owned() }),
        };
        self.meter.attempted(how, started, job, attempt);
        self.spans.processed(span, &job.delivery.message_id, attempt, &outcome, how.as_str());
        outcome
    }

    /// Half of it fixed, half of it chance, doubling with the attempts.
    fn retry_wait(&self, attempt: u32) -> Duration {
        let full = exponential(self.options.retry_first, self.options.retry_longest, attempt.saturating_sub(1));
        full.mul_f64(f64::midpoint(1.0, fastrand::f64()))
    }

    /// Whether the message goes to the dead-letter queue if this attempt fails.
    fn is_last(&self, attempt: u32) -> bool {
        self.info.redrive.as_ref().is_some_and(|redrive| attempt >= redrive.max_receive_count)
    }

    fn ordered(&self, job: &Job) -> bool {
        self.info.fifo && job.delivery.group.is_some()
    }
}
