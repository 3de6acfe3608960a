//! What can go wrong between a consumer and its queue, on purpose.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::{ErrorKind, QueueError};

/// Which faults an in-memory queue has, and how often: a chance is between 0 (never) and 1 (always).
///
/// The dice are seeded by the queue's [builder](super::MemoryQueueBuilder::seed), so that a run in which everything
/// else is determined, as on a current-thread runtime with paused time, replays.
///
/// ```
/// use upbeat_consumer::queue::memory::{Faults, MemoryQueue};
///
/// let faults = Faults { throttled: 0.1, lost_answers: 0.01, ..Faults::default() };
/// let queue = MemoryQueue::builder("messages").faults(faults).seed(7).build();
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// How long a request takes; the queue acts on it half-way. On top of the wait of a long poll.
    pub latency: RangeInclusive<Duration>,
    /// Chance of a request to be refused with [`ErrorKind::Throttled`].
    pub throttled: f64,
    /// Chance of a request to fail with [`ErrorKind::Unavailable`], not carried out.
    pub failed: f64,
    /// Chance of a request to be lost on its way: not carried out, never answered.
    pub lost_requests: f64,
    /// Chance of an answer to be lost: the request is carried out, and its caller gets, one as often as the other,
    /// [`ErrorKind::Timeout`] or no answer ever.
    pub lost_answers: f64,
    /// Chance of an entry of a batch to fail with no fault of the sender, not carried out, whatever becomes of the others.
    pub failed_entries: f64,
    /// Chance of a delete to be confirmed and forgotten, so that the message comes back when its lease ends, as when one
    /// of SQS's servers was not reached (SQS API reference, `DeleteMessage`). Standard queues only.
    pub forgotten_deletes: f64,
    /// Chance of a receive to bring, besides, a message that is in flight already. Standard queues only.
    pub duplicates: f64,
    /// Chance of a receive to bring messages in another order than they were sent. Standard queues only.
    pub reordering: f64,
    /// Chance of a receive to bring fewer messages than it could: at least one for a long poll that finds some,
    /// perhaps none for a short one (SQS Developer Guide, "Short and long polling").
    pub few: f64,
    /// Chance of a long poll whose caller has gone to stay open at the queue for the rest of its wait and to take
    /// what comes, which is then hidden until its lease ends.
    pub abandoned_polls: f64,
    /// Every request fails with this kind, open polls too: [`ErrorKind::NotFound`] is a queue that does not exist,
    /// [`ErrorKind::Unavailable`] an outage, [`ErrorKind::AccessDenied`] expired credentials.
    pub down: Option<ErrorKind>,
}

impl Default for Faults {
    /// None at all.
    fn default() -> Self {
        Self {
            latency: Duration::ZERO..=Duration::ZERO,
            throttled: 0.0,
            failed: 0.0,
            lost_requests: 0.0,
            lost_answers: 0.0,
            failed_entries: 0.0,
            forgotten_deletes: 0.0,
            duplicates: 0.0,
            reordering: 0.0,
            few: 0.0,
            abandoned_polls: 0.0,
            down: None,
        }
    }
}

/// What happens to one request.
#[derive(Debug)]
pub(super) struct Fate {
    /// On the way to the queue, and on the way back.
    pub(super) half_latency: Duration,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Answered,
    Refused(QueueError),
    RequestLost,
    AnswerLate,
    AnswerLost,
}

impl Faults {
    /// The same number of dice whatever they show, so that one fault more does not shift all others.
    pub(super) fn decide(&self, random: &mut fastrand::Rng) -> Fate {
        let (shortest, longest) = self.latency.clone().into_inner();
        let latency = shortest + longest.saturating_sub(shortest).mul_f64(random.f64());
        let [throttled, failed, request_lost, answer_lost] =
            [self.throttled, self.failed, self.lost_requests, self.lost_answers].map(|chance| random.f64() < chance);
        let answers_late = random.bool();
        let outcome = if throttled {
            Outcome::Refused(QueueError::new(ErrorKind::Throttled, "ThrottlingException: too many requests"))
        } else if failed {
            Outcome::Refused(QueueError::new(ErrorKind::Unavailable, "InternalError: the request failed"))
        } else if request_lost {
            Outcome::RequestLost
        } else if answer_lost && answers_late {
            Outcome::AnswerLate
        } else if answer_lost {
            Outcome::AnswerLost
        } else {
            Outcome::Answered
        };
        Fate { half_latency: latency / 2, outcome }
    }

    /// The error of every request while the queue is down.
    pub(super) fn check_up(&self) -> Result<(), QueueError> {
        let Some(kind) = self.down else { return Ok(()) };
        let message = match kind {
            ErrorKind::NotFound => "QueueDoesNotExist: the queue does not exist",
            ErrorKind::AccessDenied => "AccessDenied: access to the queue is denied",
            ErrorKind::Throttled => "ThrottlingException: too many requests",
            ErrorKind::Timeout => "no answer in time",
            ErrorKind::Unavailable => "ServiceUnavailable: the queue is down",
            ErrorKind::Invalid => "InvalidParameterValue: the request is refused",
        };
        Err(QueueError::new(kind, message))
    }
}
