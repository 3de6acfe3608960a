//! How a handler learns that going on is of no use.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Fires once, with the reason. Clones fire together.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reason: OnceLock<CancelReason>,
    token: CancellationToken,
}

/// Why a handler should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// The message could not be kept invisible: another consumer may be handling it by now.
    LockLost,
    /// The handler timeout has passed.
    Deadline,
    /// The consumer is stopping and its drain time is used up; the message is released.
    Shutdown,
}

impl Cancellation {
    /// Waits until it fires.
    pub async fn cancelled(&self) -> CancelReason {
        self.0.token.cancelled().await;
        // The reason is set before the token fires.
        self.reason().unwrap_or(CancelReason::Shutdown)
    }

    /// The reason, once it has fired.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        self.0.reason.get().copied()
    }

    /// The first reason is the one that counts.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        let _ = self.0.reason.set(reason);
        self.0.token.cancel();
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::LockLost => "lock lost",
            Self::Deadline => "handler timeout passed",
            Self::Shutdown => "shutting down",
        })
    }
}
