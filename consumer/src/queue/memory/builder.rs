//! How an in-memory queue is set up.

use std::time::Duration;

use super::faults::Faults;
use super::{MemoryQueue, Setup};

/// The visibility timeout of a new queue (SQS Developer Guide, "Visibility timeout").
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

/// Sets up a [`MemoryQueue`].
#[derive(Clone, Debug)]
pub struct MemoryQueueBuilder {
    setup: Setup,
    faults: Faults,
    seed: u64,
}

impl MemoryQueueBuilder {
    pub(super) fn new(name: String) -> Self {
        let setup = Setup { name, visibility_timeout: VISIBILITY_TIMEOUT, redrive: None };
        Self { setup, faults: Faults::default(), seed: 0 }
    }

    /// What [`info`](crate::queue::Queue::info) tells of the queue; each receive brings its own lease. 30 s if not set.
    #[must_use]
    pub const fn visibility_timeout(mut self, timeout: Duration) -> Self {
        self.setup.visibility_timeout = timeout;
        self
    }

    /// Puts messages that were received this often into that queue, when they would be received once more.
    #[must_use]
    pub fn dead_letter_queue(mut self, queue: &MemoryQueue, max_receive_count: u32) -> Self {
        self.setup.redrive = Some((queue.clone(), max_receive_count));
        self
    }

    /// What goes wrong from the start; none if not set.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Seeds the dice of the faults and of message ids. 0 if not set.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The queue, empty.
    #[must_use]
    pub fn build(self) -> MemoryQueue {
        MemoryQueue::start(self.setup, self.faults, self.seed)
    }
}
