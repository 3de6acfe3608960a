//! What was sent and what handlers did, as the oracle knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use upbeat_consumer::queue::memory::MemoryQueue;

/// Appended to by the world and its handlers; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    sent: BTreeMap<String, Option<String>>,
    tries: Vec<String>,
    handled: Vec<String>,
    rejected: BTreeSet<String>,
}

impl History {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap()
    }

    pub(crate) fn sent(&self, body: &str, group: Option<&str>) {
        self.log().sent.insert(body.to_owned(), group.map(str::to_owned));
    }

    pub(crate) fn tried(&self, body: &str) {
        self.log().tries.push(body.to_owned());
    }

    pub(crate) fn handled(&self, body: &str) {
        self.log().handled.push(body.to_owned());
    }

    pub(crate) fn rejected(&self, body: &str) {
        self.log().rejected.insert(body.to_owned());
    }

    /// Every try of a handler, in order.
    pub(crate) fn tries(&self) -> Vec<String> {
        self.log().tries.clone()
    }

    /// How often messages were handled with success more than once.
    pub(crate) fn repeated(&self) -> usize {
        let log = self.log();
        log.handled.len() - log.handled.iter().collect::<BTreeSet<_>>().len()
    }

    /// Every message that was sent was handled, or is in the dead-letter queue.
    pub(crate) fn assert_nothing_lost(&self, queue: &MemoryQueue) {
        let log = self.log();
        let handled: BTreeSet<_> = log.handled.iter().collect();
        let dead: BTreeSet<_> = queue.dead_letters().into_iter().map(|letter| letter.body).collect();
        for body in log.sent.keys() {
            assert!(handled.contains(body) || dead.contains(body), "{body} is lost");
        }
        for body in &log.rejected {
            assert!(dead.contains(body) || handled.contains(body), "{body} was rejected and is nowhere");
        }
    }

    /// The first success of each message comes after those of all earlier messages of its group, but for those that
    /// were given up for the dead-letter queue.
    pub(crate) fn assert_order(&self, queue: &MemoryQueue) {
        let log = self.log();
        let dead: BTreeSet<_> = queue.dead_letters().into_iter().map(|letter| letter.body).collect();
        let mut last = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for body in log.handled.iter().filter(|body| !dead.contains(*body)) {
            if !seen.insert(body) {
                continue;
            }
            // Bodies of a group are numbered, and padded so that they sort.
            let group = log.sent[body].clone();
            if let Some(before) = last.insert(group, body) {
                assert!(before < body, "{body} was handled after {before}");
            }
        }
    }
}
