//! Whether calls may leave: a topic that can't take messages is left alone for a while, then probed by one call.

use std::time::Duration;

use tokio::time::Instant;
use upbeat_service::Backoff;

use super::queued::Pending;

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// How many pauses fit, at least, into the time for which a message is tried, so that none that comes after the end of
/// an outage is given up during the last of them.
const PAUSES: u32 = 3;

/// Closed by a call that failed as a whole, opened by one that did not.
#[derive(Debug)]
pub(crate) struct Gate {
    backoff: Backoff,
    retry_for: Option<Duration>,
    closed: Option<Closed>,
}

#[derive(Debug)]
struct Closed {
    since: Instant,
    until: Instant,
    reason: String,
}

impl Gate {
    /// Open, for messages that are tried for so long; `None` is for ever.
    pub(crate) fn new(retry_for: Option<Duration>) -> Self {
        let longest = retry_for.map_or(LONGEST, |retry_for| LONGEST.min(retry_for / PAUSES));
        Self { backoff: Backoff::new(FIRST, longest), retry_for, closed: None }
    }

    /// A call has failed as a whole.
    pub(crate) fn failed(&mut self, now: Instant, reason: &str) {
        let closed = self.closed.get_or_insert_with(|| Closed { since: now, until: now, reason: String::new() });
        // Calls that left before the gate was closed tell nothing new.
        if now >= closed.until {
            closed.until = now + self.backoff.next_wait();
            reason.clone_into(&mut closed.reason);
        }
    }

    /// A call has been answered. Says whether the gate was closed.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.backoff.reset();
        self.closed.take().is_some()
    }

    /// How many calls may be under way: all, none, or one to see whether the topic is back.
    pub(crate) fn limit(&self, now: Instant, max_in_flight: usize) -> usize {
        match &self.closed {
            None => max_in_flight,
            Some(closed) if now < closed.until => 0,
            Some(_) => 1,
        }
    }

    /// When the next probe may leave, if that is still to come.
    pub(crate) fn opens_at(&self, now: Instant) -> Option<Instant> {
        self.closed.as_ref().map(|closed| closed.until).filter(|until| *until > now)
    }

    /// Whether the topic could not take messages when it was last tried.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Why it is closed.
    pub(crate) fn reason(&self) -> &str {
        self.closed.as_ref().map_or("", |closed| &closed.reason)
    }

    /// Since when a message can't be published, by its own failures or by an outage that came before its turn.
    pub(crate) fn held_up_since(&self, pending: &Pending) -> Option<Instant> {
        let outage = self.closed.as_ref().map(|closed| closed.since.max(pending.taken));
        pending.failing_since.or(outage)
    }

    /// When a message is to be given up. Not while nothing has gone wrong, however long it waits.
    pub(crate) fn gives_up_at(&self, pending: &Pending) -> Option<Instant> {
        self.held_up_since(pending)?.checked_add(self.retry_for?)
    }
}
