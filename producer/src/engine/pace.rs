//! How many messages a second may leave.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// Keeps batches apart, each by the time that its messages are worth.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The time that a message is worth; `None` is no limit.
    each: Option<Duration>,
    next: Option<Instant>,
}

impl Pace {
    /// So many messages a second; `None` is no limit.
    pub(crate) fn new(rate: Option<NonZeroU32>) -> Self {
        Self { each: rate.map(|rate| Duration::from_secs(1) / rate.get()), next: None }
    }

    /// When the next batch may leave, if that is still to come.
    pub(crate) fn opens_at(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| *next > now)
    }

    /// So many messages leave. Time in which nothing left is not made up for.
    pub(crate) fn left(&mut self, now: Instant, messages: usize) {
        let Some(each) = self.each else { return };
        // A batch has ten at most.
        let worth = each * u32::try_from(messages).unwrap_or(u32::MAX);
        // The loop is a little late each time, which would add up if it were counted from now.
        let late = self.next.filter(|next| now.saturating_duration_since(*next) < worth);
        self.next = Some(late.unwrap_or(now) + worth);
    }
}
