//! What has happened to a container, as far as it decides what happens to it next: when it may be started again, and
//! whether restarts help it at all.
//!
//! In memory: a restart of the orchestrator forgets it, and a crash loop then begins at one second again.

use std::time::Duration;

use crate::container::{Container, Health, State};
use crate::moment::Moment;

/// A container that ran at least as long is started at once when it ends, the first time.
pub const LONG_ENOUGH: Duration = Duration::from_secs(10);

/// After this long up and well, all is forgiven.
pub const FORGIVEN_AFTER: Duration = Duration::from_mins(10);

/// The waits between starts: 1, 2, 4 … 60 seconds, each a quarter more or less.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest of them, before the quarter.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How long an engine with a restart policy, and whoever makes a container anew under its name, has to act first.
pub const OTHERS_FIRST: Duration = Duration::from_secs(5);

/// So many restarts for ill health within [`FORGIVEN_AFTER`] are enough to see that they don't help.
pub const HEALTH_RESTARTS: usize = 3;

/// A container that was restarted for its health counts as being restarted until it says how it is, or for so long.
pub const SETTLES_WITHIN: Duration = Duration::from_mins(2);

/// The same of one without a health check of its own.
pub const SETTLES_UNCHECKED: Duration = Duration::from_secs(30);

/// So many probes that fail in a row make a container ill.
pub const PROBE_FAILURES: u32 = 3;

/// What has happened to the container of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Since when it is down, and from when on it may be started.
    pub down: Option<Down>,
    /// Since when it is up.
    pub up: Option<Up>,
    /// How many waits there were since it was last well for long.
    steps: u32,
    /// When it was restarted for its health or its logs, lately.
    restarts: Vec<Moment>,
    /// Restarted for its health, and has not said how it is since.
    settling: Option<Moment>,
    /// Restarts don't help it.
    pub degraded: bool,
    /// Probes that failed in a row in this run, and what the last one said.
    probes: (u32, String),
    /// How it is with its probe, if it has one in a cluster.
    probing: Probing,
    /// What its log lines said that asks for a restart.
    pub alarm: Option<String>,
    /// When it was last restarted for its log lines.
    pub alarmed: Option<Moment>,
    /// Nothing is done to it before, since the last thing failed.
    pub retry: Option<Moment>,
    failures: u32,
    /// Why the last thing that was done to it failed, if it did.
    pub failure: Option<String>,
    /// When it ended by itself, or something that was done to it failed, lately.
    troubles: Vec<Moment>,
}

/// How a run is with its probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Probing {
    /// It has none that it is to answer before it counts.
    #[default]
    None,
    /// It has not answered well yet.
    Awaited,
    /// It has.
    Well,
    /// It can't be asked.
    Unasked,
}

/// A container that is down, or gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Down {
    /// When that was seen.
    pub since: Moment,
    /// From when on it may be started.
    pub due: Moment,
    /// The engine's time of its end: another one is another end.
    finished: String,
    state: Option<State>,
}

/// A container that is up.
#[derive(Clone, Debug, PartialEq)]
pub struct Up {
    /// When that was seen.
    pub since: Moment,
    /// The engine's time of its start: another one is another run.
    started: String,
}

impl History {
    /// It must run, and there has never been one: nobody else is about to make it.
    pub fn begin(&mut self, now: Moment) {
        if self.up.is_none() && self.down.is_none() {
            self.down = Some(Down { since: now, due: now, finished: String::new(), state: None });
        }
    }

    /// Takes in what is seen of the container, `None` if it is gone. `jitter` is from −1 to 1.
    pub fn see(&mut self, container: Option<&Container>, now: Moment, jitter: f64) {
        match container {
            Some(container) if container.state.is_up() => self.see_up(container, now),
            Some(container) if container.state == State::Removing => {}
            other => self.see_down(other, now, jitter),
        }
        self.restarts.retain(|restart| now.since(*restart) < FORGIVEN_AFTER);
        self.troubles.retain(|trouble| now.since(*trouble) < FORGIVEN_AFTER);
    }

    fn see_up(&mut self, container: &Container, now: Moment) {
        self.down = None;
        if self.up.as_ref().is_none_or(|up| up.started != container.started) {
            self.up = Some(Up { since: now, started: container.started.clone() });
            self.await_answer();
            self.alarm = None;
            if self.settling.is_none() {
                // Somebody else has started it: it gets a new chance.
                self.degraded = false;
            }
        }
        let up_for = self.up.as_ref().map_or(Duration::ZERO, |up| now.since(up.since));
        let ill = self.illness(container).is_some();
        let says_well = match container.health {
            Health::Healthy => true,
            Health::None => self.probing == Probing::Well && self.probes.0 == 0,
            Health::Starting | Health::Unhealthy => false,
        };
        if says_well && !ill {
            self.degraded = false;
        }
        if up_for >= FORGIVEN_AFTER && !ill {
            self.steps = 0;
        }
        let settled = self.settling.is_some_and(|since| {
            let waited = now.since(since);
            match container.health {
                Health::Healthy | Health::Unhealthy => true,
                Health::Starting => waited >= SETTLES_WITHIN,
                Health::None if self.probing == Probing::Awaited => ill || waited >= SETTLES_WITHIN,
                Health::None => ill || self.probing == Probing::Well || waited >= SETTLES_UNCHECKED,
            }
        });
        if settled {
            self.settling = None;
        }
        if ill && self.restarts.len() >= HEALTH_RESTARTS {
            self.degraded = true;
        }
    }

    fn see_down(&mut self, container: Option<&Container>, now: Moment, jitter: f64) {
        let (finished, state) = container.map_or_else(Default::default, |c| (c.finished.clone(), Some(c.state)));
        if self.down.as_ref().is_some_and(|down| down.finished == finished && down.state == state) {
            return;
        }
        let was_up_for = self.up.take().map(|up| now.since(up.since));
        let ran_for = container.and_then(|container| container.ran_for).or(was_up_for).unwrap_or_default();
        let mut wait = match (&self.down, container) {
            // Taken away while it waited for its start, or made and not started yet: no end of another run.
            (Some(down), None) => down.due.since(now),
            (_, Some(Container { state: State::Created, .. })) => Duration::ZERO,
            _ => {
                self.troubles.push(now);
                self.wait_after(ran_for, jitter)
            }
        };
        // Whoever made it is about to start it, if it was not us.
        let made_by_others = container.is_some_and(|c| c.state == State::Created && c.spec().is_none());
        if container.is_none_or(|container| container.engine_restarts) || made_by_others {
            wait = wait.max(OTHERS_FIRST);
        }
        self.settling = None;
        self.down = Some(Down { since: now, due: now + wait, finished, state });
    }

    fn wait_after(&mut self, ran_for: Duration, jitter: f64) -> Duration {
        if self.steps == 0 && ran_for >= LONG_ENOUGH {
            self.steps = 1;
            return Duration::ZERO;
        }
        let step = self.steps.max(1);
        self.steps = step.saturating_add(1);
        spread(step, jitter)
    }

    /// The last thing that was done to it failed, for this reason.
    pub fn failed(&mut self, why: String, now: Moment, jitter: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.troubles.push(now);
        self.failure = Some(why);
        let wait = spread(self.failures, jitter);
        self.retry = Some(now + wait);
        wait
    }

    /// The last thing that was done to it was done; if it was a restart, for its health or its logs.
    pub fn succeeded(&mut self, now: Moment, restarted: bool) {
        (self.failures, self.retry, self.failure) = (0, None, None);
        if restarted {
            if self.alarm.take().is_some() {
                self.alarmed = Some(now);
            }
            self.restarts.push(now);
            self.settling = Some(now);
            self.await_answer();
        }
    }

    /// It has a probe, or none any more. Another one than before does not make it less well than it was.
    pub fn has_probe(&mut self, has: bool) {
        match (has, &self.probing) {
            (true, Probing::None) => self.probing = Probing::Awaited,
            (false, Probing::Awaited | Probing::Well | Probing::Unasked) => {
                (self.probing, self.probes) = (Probing::None, (0, String::new()));
            }
            _ => {}
        }
    }

    /// A new run has to answer anew.
    fn await_answer(&mut self) {
        self.probes = (0, String::new());
        if self.probing != Probing::None {
            self.probing = Probing::Awaited;
        }
    }

    /// This run can't be asked. Whether that is news.
    pub fn unasked(&mut self) -> bool {
        self.probes = (0, String::new());
        std::mem::replace(&mut self.probing, Probing::Unasked) != Probing::Unasked
    }

    /// Whether it has answered its probe well in this run, or can't be asked.
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        matches!(self.probing, Probing::Well | Probing::Unasked)
    }

    /// Whether what is known is of this run of the container.
    #[must_use]
    pub fn is_of_run(&self, container: &Container) -> bool {
        self.up.as_ref().is_some_and(|up| up.started == container.started)
    }

    /// A probe of this container succeeded, or failed with this reason. Those of a container that is down don't count.
    pub fn probed(&mut self, failure: Option<String>) {
        self.probes = match failure {
            Some(reason) if self.up.is_some() => (self.probes.0.saturating_add(1), reason),
            _ => (0, String::new()),
        };
        if self.up.is_some() && self.probes.0 == 0 {
            self.probing = Probing::Well;
        }
    }

    /// Why the container is ill, if it is.
    #[must_use]
    pub fn illness(&self, container: &Container) -> Option<String> {
        if container.state != State::Running {
            None
        } else if container.health == Health::Unhealthy {
            Some("its health check fails".to_owned())
        } else if self.probes.0 >= PROBE_FAILURES {
            Some(format!("its probe fails: {}", self.probes.1))
        } else {
            None
        }
    }

    /// Whether it was restarted for its health or its logs and has not said how it is since.
    #[must_use]
    pub const fn is_settling(&self) -> bool {
        self.settling.is_some()
    }

    /// How often it ended by itself, or could not be started, in the last ten minutes.
    #[must_use]
    pub const fn troubles(&self) -> usize {
        self.troubles.len()
    }

    /// How often it was restarted for its health or its logs in the last ten minutes.
    #[must_use]
    pub const fn restarts(&self) -> usize {
        self.restarts.len()
    }
}

/// The n-th wait, from 1, a quarter more or less.
fn spread(step: u32, jitter: f64) -> Duration {
    let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(step.saturating_sub(1).min(16))).min(LONGEST_WAIT);
    wait.mul_f64(1.0 + jitter.clamp(-1.0, 1.0) / 4.0)
}
