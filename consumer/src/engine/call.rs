//! Calls to the queue: each with a limit, on the list of what liveness watches, and shown on readiness while it fails.

use std::time::Duration;

use tokio::time::timeout;
use upbeat_service::readiness::Condition;
use upbeat_service::{Health, Readiness};

use crate::consumer::QUEUE;
use crate::queue::{ErrorKind, QueueError};

/// How long a call may take, but for the wait of a long poll.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer than its own limit a call may take before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// One kind of call.
#[derive(Debug)]
pub(super) struct Call {
    name: &'static str,
    health: Health,
    condition: Condition,
}

/// Every kind of call that the engine makes.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) info: Call,
    pub(super) receive: Call,
    pub(super) delete: Call,
    pub(super) change_visibility: Call,
    pub(super) dead_letter: Call,
}

impl Calls {
    pub(super) fn new(health: &Health, readiness: &Readiness) -> Self {
        let call = |name| Call { name, health: health.clone(), condition: readiness.met_condition(name) };
        Self {
            info: Call { name: QUEUE, health: health.clone(), condition: readiness.condition(QUEUE) },
            receive: call("receive"),
            delete: call("delete"),
            change_visibility: call("change visibility"),
            dead_letter: call("dead letter"),
        }
    }
}

impl Call {
    /// Makes one try. The SDK has no timeout of its own and can hang for ever
    /// (awslabs/aws-sdk-rust#1094), so none is made without this.
    pub(super) async fn make<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let beat = self.health.task(self.name, limit + STUCK_AFTER);
        let result = timeout(limit, call).await;
        drop(beat);
        let result = result.unwrap_or_else(|_| Err(QueueError::new(ErrorKind::Timeout, "no answer in time")));
        match &result {
            Ok(_) => self.condition.met(),
            Err(error) => self.condition.unmet(error),
        }
        result
    }
}
