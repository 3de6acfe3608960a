//! What a handler says of a message.

use std::fmt::Display;
use std::time::Duration;

/// What is to be done with a message now that its handler has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Handled: delete it.
    Done,
    /// Not handled yet, for no fault of anybody's: try again after this time.
    Retry {
        /// From now; rounded up to whole seconds, and at most the twelve hours for which SQS hides a message.
        after: Duration,
    },
    /// It can never be handled: put it into the dead-letter queue with the reason, then delete it.
    /// Without a dead-letter queue it is tried again as if it had failed.
    Reject {
        /// Why, for whoever looks at the dead-letter queue.
        reason: String,
    },
    /// The handler failed for now: try again after a time that grows with the attempts.
    Failed {
        /// What went wrong, for the log.
        error: String,
    },
}

/// What an async function may return to be a handler: nothing, an [`Outcome`], or a result of either,
/// whose error counts as [`Outcome::Failed`].
pub trait IntoOutcome {
    /// The outcome it stands for.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Done
    }
}

impl<T: IntoOutcome, E: Display> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Outcome {
        // The alternate form of an `anyhow::Error` tells its causes too.
        self.map_or_else(|error| Outcome::Failed { error: format!("{error:#}") }, IntoOutcome::into_outcome)
    }
}
