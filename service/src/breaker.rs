//! A circuit breaker: while all that is tried fails, as when something behind it is down, there is a pause, and then a probe.
//!
//! The consumer pauses its receiving by it, so that an outage does not use up the receive count of every message; messages
//! that are tried again without being received anew wait and probe like the poller. Whoever calls an upstream answers at
//! once while it pauses, and can tell for how long.
//!
//! # Why not a library
//! A pause that doubles while probes fail, one probe at a time, and the end of the pause to be told in a `Retry-After`:
//! failsafe lets all calls through at once after its pause, tower-resilience's pauses are all of one length, and neither
//! tells when one ends. Both keep time by the system's clock, which a test in paused time can't advance.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::backoff::exponential;

/// The first pause, unless it is said otherwise; it doubles while probes fail.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Counts failures in a row, and says whether to try.
#[derive(Debug)]
pub struct Breaker {
    threshold: u32,
    longest_pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    pauses: u32,
    until: Instant,
    probing: bool,
}

/// What may be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// As much as there is room for.
    Open,
    /// One, to see whether it succeeds again.
    Probe,
    /// Nothing until then.
    Closed(Instant),
}

/// A try that the breaker has let through. Dropped without an outcome, it counts for nothing.
#[derive(Debug)]
#[must_use = "the breaker is to be told how it ended"]
pub struct Attempt<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

/// What an outcome has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// After so many failures in a row, there is a pause.
    Paused {
        /// How many.
        failures: u32,
    },
    /// The pauses are over.
    Over,
}

impl Breaker {
    /// Pauses after `threshold` failures in a row; 0 is never.
    #[must_use]
    pub fn new(threshold: u32) -> Self {
        Self { threshold, longest_pause: LONGEST_PAUSE, state: Mutex::default() }
    }

    /// No pause is longer than this; a minute if not set.
    #[must_use]
    pub const fn longest_pause(mut self, longest: Duration) -> Self {
        self.longest_pause = longest;
        self
    }

    /// Asked before each try. A probe is given once, until it is [recorded](Self::record) or [in vain](Self::probe_in_vain).
    pub fn gate(&self) -> Gate {
        let mut state = self.lock();
        let Some(open) = &mut state.open else { return Gate::Open };
        let now = Instant::now();
        if now < open.until {
            Gate::Closed(open.until)
        } else if open.probing {
            Gate::Closed(now + FIRST_PAUSE)
        } else {
            open.probing = true;
            Gate::Probe
        }
    }

    /// As [`gate`](Self::gate), for what may be dropped halfway. `Err` says for how long nothing is to be tried.
    pub fn attempt(&self) -> Result<Attempt<'_>, Duration> {
        match self.gate() {
            Gate::Open => Ok(Attempt { breaker: self, probe: false }),
            Gate::Probe => Ok(Attempt { breaker: self, probe: true }),
            Gate::Closed(until) => Err(until.saturating_duration_since(Instant::now())),
        }
    }

    /// Waits until something may be tried, be it as a probe.
    pub async fn pass(&self) {
        while let Gate::Closed(until) = self.gate() {
            sleep_until(until).await;
        }
    }

    /// The probe has had no outcome.
    pub fn probe_in_vain(&self) {
        if let Some(open) = &mut self.lock().open {
            open.probing = false;
        }
    }

    /// How long the pause goes on, if there is one. Takes no probe.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        let state = self.lock();
        let left = state.open.as_ref()?.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Whether there is a pause, or a probe.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lock().open.is_some()
    }

    /// A try has succeeded or failed.
    pub fn record(&self, succeeded: bool) -> Option<Change> {
        let mut state = self.lock();
        if succeeded {
            state.failures = 0;
            return state.open.take().map(|_| Change::Over);
        }
        state.failures = state.failures.saturating_add(1);
        let failures = state.failures;
        let now = Instant::now();
        match &mut state.open {
            Some(open) if now >= open.until => {
                open.pauses += 1;
                open.until = now + exponential(FIRST_PAUSE, self.longest_pause, open.pauses);
                open.probing = false;
                None
            }
            None if self.threshold > 0 && failures >= self.threshold => {
                state.open = Some(Open { pauses: 0, until: now + FIRST_PAUSE.min(self.longest_pause), probing: false });
                Some(Change::Paused { failures })
            }
            // Not enough failures yet, or one that had begun before the pause.
            None | Some(_) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// It has succeeded or failed.
    #[must_use]
    pub fn ended(mut self, succeeded: bool) -> Option<Change> {
        self.probe = false;
        self.breaker.record(succeeded)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.probe_in_vain();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_make_a_pause_and_each_failed_probe_doubles_the_pause() {
        let breaker = Breaker::new(3);
        let mut changed = None;
        for _ in 0..3 {
            assert_eq!(breaker.gate(), Gate::Open);
            assert!(!breaker.is_open());
            changed = breaker.record(false);
        }
        assert_eq!(changed, Some(Change::Paused { failures: 3 }));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(breaker.gate(), Gate::Closed(Instant::now() + pause));
            assert_eq!(breaker.pause(), Some(pause));
            tokio::time::advance(pause).await;
            assert_eq!(breaker.pause(), None);
            assert_eq!(breaker.gate(), Gate::Probe);
            assert!(matches!(breaker.gate(), Gate::Closed(_)), "one probe at a time");
            breaker.record(false);
        }
        tokio::time::advance(LONGEST_PAUSE).await;
        assert_eq!(breaker.gate(), Gate::Probe);
        breaker.probe_in_vain();
        drop(breaker.attempt().unwrap());
        let probe = breaker.attempt().unwrap();
        assert_eq!(breaker.attempt().err(), Some(FIRST_PAUSE));
        assert_eq!(probe.ended(true), Some(Change::Over));
        assert_eq!(breaker.gate(), Gate::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_starts_the_count_anew_and_a_threshold_of_zero_never_pauses() {
        let breaker = Breaker::new(2);
        for _ in 0..10 {
            breaker.record(false);
            breaker.record(true);
        }
        assert_eq!(breaker.gate(), Gate::Open);
        let never = Breaker::new(0);
        (0..100).for_each(|_| assert_eq!(never.record(false), None));
        assert_eq!(never.gate(), Gate::Open);
    }
}
