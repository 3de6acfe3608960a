//! Calls to the queue: each with a limit, on the list of what liveness watches, and shown on readiness while it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use upbeat_service::metrics::Requests;
use upbeat_service::readiness::Condition;
use upbeat_service::{Health, Metrics, Readiness};

use super::meter;
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
    outage: Outage,
    /// What is over when this call succeeds: what other kinds of call have met of the outage.
    ends: Vec<(Condition, Outage)>,
    /// Where it is counted, if there are metrics.
    requests: Option<Requests>,
}

/// Whether a kind of call last failed because the queue could not be reached, rather than because of what it asked.
type Outage = Arc<AtomicBool>;

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
        let call = |name, condition| Call {
            name,
            health: health.clone(),
            condition,
            outage: Outage::default(),
            ends: Vec::new(),
            requests: None,
        };
        let held = |name| call(name, readiness.met_condition(name));
        let mut calls = Self {
            info: call(QUEUE, readiness.condition(QUEUE)),
            receive: held("receive"),
            delete: held("delete"),
            change_visibility: held("change visibility"),
            dead_letter: held("dead letter"),
        };
        // These are made when there is a message that needs them: after an outage perhaps not for a long time, and
        // meanwhile they would keep a consumer that works unready. Receives are made all the time.
        let rare = [&calls.delete, &calls.change_visibility, &calls.dead_letter];
        calls.receive.ends = rare.map(|call| (call.condition.clone(), call.outage.clone())).into();
        calls
    }

    /// From here on calls are counted, if there are metrics: as those to the queue of this name.
    pub(super) fn count(&mut self, metrics: Option<&Metrics>, queue: &str) {
        let Some(metrics) = metrics else { return };
        for (call, action, name) in [
            (&mut self.info, "GetQueueAttributes", "get_attributes"),
            (&mut self.receive, "ReceiveMessage", "receive"),
            (&mut self.delete, "DeleteMessageBatch", "delete"),
            (&mut self.change_visibility, "ChangeMessageVisibilityBatch", "change_visibility"),
            (&mut self.dead_letter, "SendMessage", "send"),
        ] {
            call.requests = Some(meter::requests(metrics, queue, action, name));
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
        let started = self.requests.as_ref().map(|_| Instant::now());
        let result = timeout(limit, call).await;
        drop(beat);
        let result = result.unwrap_or_else(|_| Err(QueueError::new(ErrorKind::Timeout, "no answer in time")));
        if let Some(started) = started {
            self.ended(started, &result);
        }
        match &result {
            Ok(_) => {
                self.condition.met();
                for (condition, outage) in &self.ends {
                    if outage.swap(false, Ordering::Relaxed) {
                        condition.met();
                    }
                }
            }
            Err(error) => {
                let outage = matches!(error.kind, ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unavailable);
                self.outage.store(outage, Ordering::Relaxed);
                self.condition.unmet(error);
            }
        }
        result
    }
}

impl Call {
    /// Counts a call that was made without this; liveness and readiness hear nothing of it.
    pub(super) fn ended<T>(&self, started: Instant, result: &Result<T, QueueError>) {
        if let Some(requests) = &self.requests {
            requests.ended(started.elapsed(), meter::error_type(result));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fail(call: &Call, kind: ErrorKind) {
        let error = QueueError::new(kind, "no");
        call.make(CALL_TIMEOUT, async { Err::<(), _>(error) }).await.unwrap_err();
    }

    async fn succeed(call: &Call) {
        call.make(CALL_TIMEOUT, async { Ok(()) }).await.unwrap();
    }

    #[tokio::test]
    async fn a_receive_that_succeeds_ends_the_outage_that_a_rarer_call_has_met() {
        let readiness = Readiness::default();
        let calls = Calls::new(&Health::default(), &readiness);
        succeed(&calls.info).await;
        fail(&calls.change_visibility, ErrorKind::Unavailable).await;
        fail(&calls.receive, ErrorKind::Unavailable).await;
        assert!(readiness.check().is_err());
        succeed(&calls.receive).await;
        assert_eq!(readiness.check(), Ok(()));
    }

    #[tokio::test]
    async fn what_is_not_allowed_stays_so_until_it_succeeds_itself() {
        let readiness = Readiness::default();
        let calls = Calls::new(&Health::default(), &readiness);
        succeed(&calls.info).await;
        fail(&calls.delete, ErrorKind::Unavailable).await;
        fail(&calls.delete, ErrorKind::AccessDenied).await;
        succeed(&calls.receive).await;
        assert_eq!(readiness.check(), Err("delete: no".to_owned()));
        succeed(&calls.delete).await;
        assert_eq!(readiness.check(), Ok(()));
    }
}
