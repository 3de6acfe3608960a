//! How many messages wait in the queue and behind it, asked now and then, for whoever watches. Nothing depends on it.

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::Engine;
use super::call::CALL_TIMEOUT;
use crate::handler::Handler;
use crate::queue::{ErrorKind, Queue, QueueError};

/// Asks for as long as it runs. It is no business of liveness or readiness whether there is an answer.
pub(super) async fn watch<Q: Queue, H: Handler>(engine: Arc<Engine<Q, H>>) {
    let interval = engine.options.queue_metrics_interval;
    if interval.is_zero() {
        return;
    }
    loop {
        let started = Instant::now();
        let depth = timeout(CALL_TIMEOUT, engine.queue.depth()).await;
        let depth = depth.unwrap_or_else(|_| Err(QueueError::new(ErrorKind::Timeout, "no answer in time")));
        engine.calls.info.ended(started, &depth);
        if let Err(error) = &depth {
            debug!(%error, "the queue does not say how many messages it holds");
        }
        engine.meter.depth(depth.unwrap_or_default());
        sleep(interval).await;
    }
}
