//! One call to the publisher: limited in time, seen by liveness, and each entry told its own outcome.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use futures_util::FutureExt;
use tokio::time::timeout;

use super::queued::{Flight, Queued};
use crate::batch::{Batch, MAX_ENTRIES};
use crate::core::Core;
use crate::publisher::{Fault, FaultKind, Publisher, Receipts};

/// Liveness is told this much more than a call may take.
const MARGIN: Duration = Duration::from_secs(5);

/// On the heap, since there is nothing in it nearly always, and room for ten would be moved each time.
type Unsettled = Vec<(Queued, String)>;

/// What came of a call, for the publish loop.
#[derive(Debug)]
pub(crate) struct Landed {
    /// How the call as a whole went.
    pub(crate) result: Result<(), Fault>,
    /// What is not settled, in the batch's order, each with what went wrong.
    pub(crate) unsettled: Unsettled,
    /// The groups that the batch was of.
    pub(crate) groups: ArrayVec<Arc<str>, MAX_ENTRIES>,
}

/// Publishes a batch once and tells each caller whose message is settled by that.
pub(crate) async fn publish<P: Publisher>(core: Arc<Core>, publisher: Arc<P>, flight: Box<Flight>) -> Landed {
    let beat = core.health.task("publish call", core.options.call_timeout + MARGIN);
    let attempt = attempt(&core, &*publisher, &flight.batch);
    let answer = core.abandon.run_until_cancelled(attempt).await;
    beat.finish();
    let groups = flight.groups();
    let (result, unsettled) = match answer {
        Some(Ok(receipts)) => (Ok(()), settle(&core, flight, receipts)),
        Some(Err(fault)) => settle_failed_call(&core, flight, fault),
        None => {
            flight.into_queued().for_each(|queued| queued.abandon(&core));
            (Ok(()), Vec::new())
        }
    };
    Landed { result, unsettled, groups }
}

async fn attempt<P: Publisher>(core: &Core, publisher: &P, batch: &Batch) -> Result<Receipts, Fault> {
    let counted = core.meter.call(batch.entries().len());
    // A publisher that panics costs its batch a retry, and must not take the callers of the others with it.
    let call = AssertUnwindSafe(publisher.publish_batch(batch)).catch_unwind();
    match timeout(core.options.call_timeout, call).await {
        Ok(Ok(answer)) => {
            counted.ended(Some(&answer));
            answer
        }
        Ok(Err(_panic)) => {
            counted.panicked();
            Err(Fault::unavailable("the publisher panicked"))
        }
        Err(_elapsed) => {
            counted.ended(None);
            Err(Fault::unavailable(format!("no answer within {:?}", core.options.call_timeout)))
        }
    }
}

fn settle(core: &Core, flight: Box<Flight>, receipts: Receipts) -> Unsettled {
    let mut unsettled = Vec::new();
    let mut receipts = receipts.into_iter();
    for queued in flight.into_queued() {
        match receipts.next() {
            Some(Ok(receipt)) => queued.published(core, receipt),
            Some(Err(Fault { kind: FaultKind::Refused, reason })) => queued.refuse(core, reason),
            Some(Err(fault)) => unsettled.push((queued, fault.reason)),
            None => unsettled.push((queued, "the answer has no result for it".to_owned())),
        }
    }
    unsettled
}

fn settle_failed_call(core: &Core, flight: Box<Flight>, fault: Fault) -> (Result<(), Fault>, Unsettled) {
    let single = flight.pending.len() == 1;
    let mut unsettled = Vec::new();
    for queued in flight.into_queued() {
        if single && fault.kind == FaultKind::Refused {
            queued.refuse(core, fault.reason.clone());
        } else {
            unsettled.push((queued, fault.reason.clone()));
        }
    }
    (Err(fault), unsettled)
}
