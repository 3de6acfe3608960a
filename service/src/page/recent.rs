//! The last messages, for whoever looks at the page.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How many are kept.
const KEPT: usize = 50;

/// How many are taken up between two samples; nobody can read more, and each costs a lock and some memory.
const TAKEN: usize = 20;

/// How much of a body is kept, in characters.
const BODY: usize = 400;

/// Where messages are noted. Clones share the same ones.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    room: AtomicUsize,
    bodies: bool,
    messages: Mutex<VecDeque<Seen>>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it was known.
    pub at: SystemTime,
    /// The sender's own id.
    pub id: String,
    /// The id that SNS or SQS gave it, if it did.
    pub message_id: Option<String>,
    /// Which try it was.
    pub attempt: u32,
    /// How it ended, in a word.
    pub outcome: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What it says, its beginning; filled in if that is asked for.
    pub body: Option<String>,
}

impl Recent {
    /// Notes nothing yet; bodies only if they are asked for.
    #[must_use]
    pub fn new(bodies: bool) -> Self {
        Self(Arc::new(Noted { bodies, ..Noted::default() }))
    }

    /// Notes the message, if there is room for it until the next sample.
    pub fn note(&self, body: &str, message: impl FnOnce() -> Seen) {
        let take = |room: usize| room.checked_sub(1);
        // At full load this load is all that a message costs.
        if self.0.room.load(Ordering::Relaxed) == 0
            || self.0.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err()
        {
            return;
        }
        let body = self.0.bodies.then(|| body.chars().take(BODY).collect());
        let seen = Seen { body, ..message() };
        let mut messages = self.messages();
        messages.truncate(KEPT - 1);
        messages.push_front(seen);
    }

    /// Makes room for more, and gives those that are kept, the last one first.
    pub(super) fn sample(&self) -> Vec<Seen> {
        self.0.room.store(TAKEN, Ordering::Relaxed);
        self.messages().iter().cloned().collect()
    }

    fn messages(&self) -> MutexGuard<'_, VecDeque<Seen>> {
        self.0.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: usize) -> Seen {
        let at = SystemTime::UNIX_EPOCH;
        let (outcome, took) = ("done", Duration::ZERO);
        Seen { at, id: id.to_string(), message_id: None, attempt: 1, outcome, took, body: None }
    }

    #[test]
    fn some_are_kept_between_two_samples_the_last_one_first() {
        let recent = Recent::new(false);
        recent.note("", || unreachable!("nobody has looked yet"));
        for round in 0..10 {
            recent.sample();
            for id in 0..1000 {
                recent.note("a body", || seen(round * 1000 + id));
            }
        }
        let kept: Vec<_> = recent.sample().into_iter().map(|seen| seen.id).collect();
        assert_eq!(kept.len(), KEPT);
        assert_eq!((&*kept[0], &*kept[20], &*kept[49]), ("9019", "8019", "7010"));
    }

    #[test]
    fn a_body_is_kept_only_when_asked_for_and_only_its_beginning() {
        for (asked, kept) in [(false, None), (true, Some("ä".repeat(BODY)))] {
            let recent = Recent::new(asked);
            recent.sample();
            recent.note(&"ä".repeat(1000), || seen(1));
            assert_eq!(recent.sample()[0].body, kept);
        }
    }
}
