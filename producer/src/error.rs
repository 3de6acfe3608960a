//! What a caller learns when a message is not published.

use std::time::Duration;

use thiserror::Error;

use crate::refusal::Refusal;

/// Why a message was not published. [`can_retry`](Self::can_retry) says whether sending it again can help.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The message itself can't be published. Change it; the same message will be refused again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The buffer has no room, and the caller chose not to wait. Try again a little later.
    #[error("the buffer is full")]
    Full,
    /// What waits on the disk has reached the spool's limit, and the caller chose not to wait. Try again later.
    #[error("the spool is full, up to its limit")]
    SpoolFull,
    /// The spool's disk is full or fails, so the message could not be accepted. Try again later.
    #[error("the spool fails: {reason}")]
    NotSpooled {
        /// What went wrong.
        reason: String,
    },
    /// The message is safe in the spool, and will be published by the next producer that opens it. Nothing is to be
    /// done: sending it again would publish it twice.
    #[error("the producer stopped before the message was published; it stays in the spool")]
    Spooled,
    /// The producer takes no more messages. Another process may.
    #[error("the producer is stopping")]
    Closed,
    /// SNS did not take it for as long as we were to retry. Sending it again later can help; if only the answer was
    /// lost, that publishes it twice on a standard topic.
    #[error("not published after {tried_for:.1?} of trying: {reason}")]
    Unpublished {
        /// What went wrong last.
        reason: String,
        /// How long it could not be published.
        tried_for: Duration,
    },
    /// The producer ended before SNS had confirmed the message. It may have been published all the same.
    #[error("the producer stopped before the message was published")]
    Abandoned,
}

impl SendError {
    /// Whether sending the same message again can help.
    #[must_use]
    pub const fn can_retry(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Spooled)
    }
}
