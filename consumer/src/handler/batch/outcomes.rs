//! What a function of many messages may return.

use std::fmt::Display;

use crate::outcome::{IntoOutcome, Outcome};

/// What an async function of a batch may return.
///
/// A list of what is [`IntoOutcome`], one for each message in their order; nothing or one [`Outcome`], for all; or a
/// result of any of these, whose error counts as [`Outcome::Failed`] for each.
pub trait IntoOutcomes {
    /// The outcomes of `count` messages. Another number of them is a fault of the function.
    fn into_outcomes(self, count: usize) -> Vec<Outcome>;
}

impl<T: IntoOutcome> IntoOutcomes for Vec<T> {
    fn into_outcomes(self, _count: usize) -> Vec<Outcome> {
        self.into_iter().map(IntoOutcome::into_outcome).collect()
    }
}

impl IntoOutcomes for Outcome {
    fn into_outcomes(self, count: usize) -> Vec<Outcome> {
        vec![self; count]
    }
}

impl IntoOutcomes for () {
    fn into_outcomes(self, count: usize) -> Vec<Outcome> {
        vec![Outcome::Done; count]
    }
}

impl<T: IntoOutcomes, E: Display> IntoOutcomes for Result<T, E> {
    fn into_outcomes(self, count: usize) -> Vec<Outcome> {
        match self {
            Ok(outcomes) => outcomes.into_outcomes(count),
            Err(error) => Err::<(), E>(error).into_outcome().into_outcomes(count),
        }
    }
}
