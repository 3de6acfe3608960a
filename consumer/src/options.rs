//! How a consumer works: the numbers behind its promises.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::queue::MAX_WAIT;

/// How a consumer works. [`Options::default`] suits most; what contradicts itself is refused by the builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most messages in flight, from the receive to the confirmed delete. 10 × cores.
    pub concurrency: usize,
    /// Most bytes of messages in flight. 64 MiB.
    pub max_in_flight_bytes: u64,
    /// How long a receive waits for a message: whole seconds, 0 to 20. 20 s.
    pub wait: Duration,
    /// How long a message is received for; extended while it is in flight. Whole seconds, at least 1; the queue's
    /// own visibility timeout if that is shorter. 30 s.
    pub lease: Duration,
    /// How long a receive waits for room for ten messages, and a delete for nine others, so that a message costs
    /// as few requests as may be; 0 is not at all. 1 s.
    pub max_batch_wait: Duration,
    /// How long a handler may take. 12 h, the most that SQS allows, less five minutes.
    pub handler_timeout: Duration,
    /// How long a receive that waits may go on after the stop. 1 s.
    pub poll_grace: Duration,
    /// How long the stop may take in all. 30 s.
    pub drain_timeout: Duration,
    /// The wait before the second try of a message that failed; it doubles with the tries. 1 s.
    pub retry_first: Duration,
    /// The longest wait before another try. 15 min.
    pub retry_longest: Duration,
    /// Receiving pauses after so many failures in a row; 0 is never. 10.
    pub breaker_threshold: u32,
    /// With metrics, how often the queue is asked how many messages wait, by two requests; 0 is never. 30 s.
    pub queue_metrics_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 10 * available_parallelism().map_or(1, NonZero::get),
            max_in_flight_bytes: 64 << 20,
            wait: MAX_WAIT,
            lease: Duration::from_secs(30),
            max_batch_wait: Duration::from_secs(1),
            handler_timeout: Duration::from_mins(12 * 60 - 5),
            poll_grace: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(30),
            retry_first: Duration::from_secs(1),
            retry_longest: Duration::from_mins(15),
            breaker_threshold: 10,
            queue_metrics_interval: Duration::from_secs(30),
        }
    }
}

/// Options that contradict each other or SQS. The text names the setting and what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OptionsError(String);

impl Options {
    /// `Err` where the consumer could not keep its promises.
    pub fn check(&self) -> Result<(), OptionsError> {
        let whole_seconds = |duration: Duration| duration.subsec_nanos() == 0;
        let refuse = |text: String| Err(OptionsError(text));
        if self.concurrency == 0 {
            return refuse("--concurrency must be at least 1".to_owned());
        }
        if self.max_in_flight_bytes < 1 << 20 {
            return refuse("--max-in-flight-bytes must be at least 1MiB, the size of the largest message".to_owned());
        }
        if self.wait > MAX_WAIT || !whole_seconds(self.wait) {
            return refuse("--wait-time must be whole seconds from 0s to 20s, which is what SQS takes".to_owned());
        }
        if self.lease < Duration::from_secs(1) || self.lease > Duration::from_hours(12) || !whole_seconds(self.lease) {
            return refuse("--lease must be whole seconds from 1s to 12h, which is what SQS takes".to_owned());
        }
        if self.handler_timeout.is_zero() || self.handler_timeout > Duration::from_hours(12) {
            return refuse(
                "--handler-timeout must be more than 0s and at most 12h, for which SQS hides a message at most"
                    .to_owned(),
            );
        }
        if self.poll_grace >= self.drain_timeout {
            let (grace, drain) = (self.poll_grace, self.drain_timeout);
            return refuse(format!(
                "--poll-grace ({grace:?}) must be shorter than --drain-timeout ({drain:?}), which covers it; such as 1s and 30s, or 20s and 45s"
            ));
        }
        if self.retry_first > self.retry_longest {
            let (first, longest) = (self.retry_first, self.retry_longest);
            return refuse(format!("--retry-first ({first:?}) must not be longer than --retry-longest ({longest:?})"));
        }
        Ok(())
    }
}
