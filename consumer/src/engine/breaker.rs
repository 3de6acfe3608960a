//! The circuit breaker: while every handler fails, as when something behind them is down, receiving pauses,
//! so that the outage does not use up the receive count of every message. Messages that are tried again without being
//! received anew wait and probe like the poller.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use upbeat_service::backoff::exponential;

/// The first pause; it doubles while probes fail.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Counts failures in a row, and says whether to receive.
#[derive(Debug)]
pub(super) struct Breaker {
    threshold: u32,
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

/// What may be received now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// As much as there is room for.
    Open,
    /// One message, to see whether it can be handled again.
    Probe,
    /// Nothing until then.
    Closed(Instant),
}

impl Breaker {
    /// Pauses after `threshold` failures in a row; 0 is never.
    pub(super) fn new(threshold: u32) -> Self {
        Self { threshold, state: Mutex::default() }
    }

    /// Asked before each receive. A probe is given once, until it is [recorded](Self::record) or [in vain](Self::probe_in_vain).
    pub(super) fn gate(&self) -> Gate {
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

    /// Waits until something may be tried, be it as a probe.
    pub(super) async fn pass(&self) {
        while let Gate::Closed(until) = self.gate() {
            sleep_until(until).await;
        }
    }

    /// The probe has brought no message.
    pub(super) fn probe_in_vain(&self) {
        if let Some(open) = &mut self.lock().open {
            open.probing = false;
        }
    }

    /// Whether receiving pauses, or probes.
    pub(super) fn is_open(&self) -> bool {
        self.lock().open.is_some()
    }

    /// A handler has ended. Says whether this makes receiving pause.
    pub(super) fn record(&self, handled: bool) -> bool {
        let mut state = self.lock();
        if handled {
            state.failures = 0;
            if state.open.take().is_some() {
                info!("handlers succeed again, receiving goes on");
            }
            return false;
        }
        state.failures = state.failures.saturating_add(1);
        let failures = state.failures;
        let now = Instant::now();
        match &mut state.open {
            Some(open) if now >= open.until => {
                open.pauses += 1;
                open.until = now + exponential(FIRST_PAUSE, LONGEST_PAUSE, open.pauses);
                open.probing = false;
                false
            }
            None if self.threshold > 0 && failures >= self.threshold => {
                warn!(failures, "every handler fails, receiving pauses");
                state.open = Some(Open { pauses: 0, until: now + FIRST_PAUSE, probing: false });
                true
            }
            // Not enough failures yet, or a handler that had begun before the pause.
            None | Some(_) => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_pause_receiving_and_each_failed_probe_doubles_the_pause() {
        let breaker = Breaker::new(3);
        for _ in 0..3 {
            assert_eq!(breaker.gate(), Gate::Open);
            breaker.record(false);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(breaker.gate(), Gate::Closed(Instant::now() + pause));
            tokio::time::advance(pause).await;
            assert_eq!(breaker.gate(), Gate::Probe);
            assert!(matches!(breaker.gate(), Gate::Closed(_)), "one probe at a time");
            breaker.record(false);
        }
        tokio::time::advance(LONGEST_PAUSE).await;
        assert_eq!(breaker.gate(), Gate::Probe);
        breaker.probe_in_vain();
        assert_eq!(breaker.gate(), Gate::Probe);
        breaker.record(true);
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
        (0..100).for_each(|_| assert!(!never.record(false)));
        assert_eq!(never.gate(), Gate::Open);
    }
}
