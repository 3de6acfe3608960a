//! Messages that were handled but could not be deleted in time.

use std::collections::{HashSet, VecDeque};

use super::MessageId;

/// How many are remembered. Each is one delete that failed for good, which is rare; the oldest are forgotten first.
const CAPACITY: usize = 10_000;

/// The ids of messages that are to be deleted, and not handled again, should they come back.
#[derive(Debug, Default)]
pub(super) struct HandledRecently {
    known: HashSet<MessageId>,
    oldest_first: VecDeque<MessageId>,
}

impl HandledRecently {
    pub(super) fn insert(&mut self, id: MessageId) {
        if self.known.insert(id.clone()) {
            self.oldest_first.push_back(id);
        }
        if self.oldest_first.len() > CAPACITY
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.known.contains(id)
    }
}
