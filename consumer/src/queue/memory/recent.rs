//! What SQS remembers for five minutes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// How long deduplication ids and receive attempt ids are remembered
/// (SQS API reference: `SendMessage`, `MessageDeduplicationId`; `ReceiveMessage`, `ReceiveRequestAttemptId`).
pub(super) const REMEMBERED_FOR: Duration = Duration::from_mins(5);

/// Values by id, each for five minutes since it was last put in.
#[derive(Debug)]
pub(super) struct Recent<T> {
    by_id: BTreeMap<String, (Instant, T)>,
    by_age: VecDeque<(Instant, String)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), by_age: VecDeque::new() }
    }
}

impl<T> Recent<T> {
    pub(super) fn get(&self, id: &str, now: Instant) -> Option<&T> {
        let (at, value) = self.by_id.get(id)?;
        (*at + REMEMBERED_FOR > now).then_some(value)
    }

    pub(super) fn insert(&mut self, id: String, value: T, now: Instant) {
        while let Some((at, id)) = self.by_age.pop_front_if(|(at, _)| *at + REMEMBERED_FOR <= now) {
            // It may have been put in again since.
            if self.by_id.get(&id).is_some_and(|(latest, _)| *latest == at) {
                self.by_id.remove(&id);
            }
        }
        self.by_age.push_back((now, id.clone()));
        self.by_id.insert(id, (now, value));
    }
}
