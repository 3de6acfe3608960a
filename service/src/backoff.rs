//! How long to wait after a failure.

use std::time::Duration;

/// Exponential backoff with full jitter: the n-th wait is anywhere between 0 and `first` × 2ⁿ, at most `longest`.
///
/// Full jitter spreads callers that failed together the most, at the price of some short waits; the
/// ceiling still doubles, so a lasting outage never becomes a hot loop
/// (AWS Architecture Blog, "Exponential Backoff And Jitter").
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from `first` up to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// How long to wait after one more failure.
    #[must_use]
    pub fn next_wait(&mut self) -> Duration {
        let ceiling = exponential(self.first, self.longest, self.failures);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(fastrand::f64())
    }

    /// How many failures there were since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// After a success the next wait starts from `first` again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

impl Default for Backoff {
    /// 100 ms doubling to 30 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(30))
    }
}

/// `first` × 2ⁿ, at most `longest`.
#[must_use]
pub fn exponential(first: Duration, longest: Duration, n: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(n)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_longest_wait_and_falls_back_after_a_success() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(30));
        let mut backoff = Backoff::new(first, longest);
        for n in 0..2000 {
            assert!(backoff.next_wait() <= exponential(first, longest, n));
        }
        assert_eq!(exponential(first, longest, 3), Duration::from_millis(800));
        assert_eq!(exponential(first, longest, 9), longest);
        backoff.reset();
        assert!(backoff.next_wait() <= first);
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let waits: Vec<_> = (0..1000).map(|_| backoff.next_wait()).collect();
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(200)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_millis(800)));
    }
}
