//! How a handler learns that going on is of no use.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

/// Fires once, with the reason. Clones fire together.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reason: OnceLock<CancelReason>,
    // Not a `CancellationToken`, which costs each message an allocation more.
    fired: Notify,
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
        loop {
            // Listens before it looks, so that no word is missed in between.
            let fired = self.0.fired.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            fired.await;
        }
    }

    /// The reason, once it has fired.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        self.0.reason.get().copied()
    }

    /// The first reason is the one that counts.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        let _ = self.0.reason.set(reason);
        self.0.fired.notify_waiters();
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
