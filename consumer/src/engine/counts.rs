//! What became of the messages.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a consumer did from its start to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Deliveries taken in.
    pub received: u64,
    /// Handled or rejected, and deleted.
    pub handled: u64,
    /// Tries of handlers that did not succeed.
    pub failed: u64,
    /// Sent to the dead-letter queue by us: rejected, or the last try of an ordered message failed.
    pub rejected: u64,
    /// Made visible again, for a later try or another consumer.
    pub released: u64,
    /// Still in flight at the end of the drain time: they come back when their lease ends.
    pub abandoned: u64,
}

impl Summary {
    /// Whether everything that was received was deleted or given back.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.abandoned == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handled, released, abandoned, .. } = self;
        write!(formatter, "handled {handled}, released {released}, abandoned {abandoned}")
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    received: AtomicU64,
    handled: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    released: AtomicU64,
}

impl Counts {
    pub(super) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn handled(&self) {
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn released(&self) {
        self.released.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn summary(&self, abandoned: usize) -> Summary {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Summary {
            received: read(&self.received),
            handled: read(&self.handled),
            failed: read(&self.failed),
            rejected: read(&self.rejected),
            released: read(&self.released),
            abandoned: abandoned as u64,
        }
    }
}
