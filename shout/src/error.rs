//! Why a text was not shouted.

use std::time::Duration;

/// What went wrong between a text and its answer, and what whoever asked can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShoutError {
    /// The upstream can't or won't, and has not within the tries. Ask again after some time.
    #[error("the upstream fails: {0}")]
    Failed(String),
    /// The upstream answered, and that is not the text in capitals. Asking again will hardly help.
    #[error("the upstream's answer is no use: {0}")]
    Wrong(String),
    /// The upstream did not answer in time. Ask again after some time.
    #[error("the upstream has not answered in time: {0}")]
    Late(String),
    /// The upstream asks for a pause that is longer than this request may take.
    #[error("the upstream asks to come again in {} s", seconds(*.0))]
    Postponed(Duration),
    /// The upstream has failed so often that it is not asked for now.
    #[error("the upstream fails, and is not asked again for {} s", seconds(*.0))]
    Paused(Duration),
    /// As many requests wait for the upstream as may.
    #[error("too many requests wait for the upstream")]
    Full,
}

impl ShoutError {
    /// When to ask again.
    #[must_use]
    pub const fn retry_after(&self) -> Duration {
        match self {
            Self::Postponed(after) | Self::Paused(after) => *after,
            Self::Failed(_) | Self::Wrong(_) | Self::Late(_) | Self::Full => Duration::from_secs(1),
        }
    }
}

/// In whole seconds, rounded up: who comes back has waited long enough.
#[must_use]
pub const fn seconds(time: Duration) -> u64 {
    let up = if time.subsec_nanos() > 0 { 1 } else { 0 };
    let seconds = time.as_secs().saturating_add(up);
    if seconds == 0 { 1 } else { seconds }
}
