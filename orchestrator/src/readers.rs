//! Reading what containers print, for lines that ask for a restart: so many at or above a severity within a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::StreamExt;
use regex::Regex;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cluster::model::LogRule;
use crate::container::State;
use crate::control::is_ours;
use crate::desired::{Desired, Scope};
use crate::marks::Marks;
use crate::plan::{Observed, Plan};
use crate::runtime::{LogLine, Runtime};
use crate::severity::{Severity, severity};

/// The wait before a stream that failed is begun again.
const AGAIN: Duration = Duration::from_secs(2);

/// So much of a line is quoted as the reason.
const QUOTED: usize = 120;

/// Which lines ask for a restart.
#[derive(Clone, Debug)]
pub struct LogPolicy {
    /// At or above this.
    pub severity: Severity,
    /// So many of them,
    pub lines: usize,
    /// within this time,
    pub within: Duration,
    /// but no sooner after the last restart for that.
    pub cool_down: Duration,
    /// Where a level is, if not in one of the usual forms.
    pub pattern: Option<Regex>,
}

impl From<&LogRule> for LogPolicy {
    fn from(rule: &LogRule) -> Self {
        Self {
            severity: rule.severity,
            lines: rule.lines.into(),
            within: Duration::from_secs(rule.within.into()),
            cool_down: Duration::from_secs(rule.cool_down.into()),
            pattern: None,
        }
    }
}

/// One reader for each container that may be restarted and runs.
#[derive(Debug, Default)]
pub struct Readers {
    policy: Option<Arc<LogPolicy>>,
    /// By id and start: a restart is another reader.
    reading: BTreeMap<(String, String), AbortHandle>,
    tasks: JoinSet<()>,
}

impl Readers {
    /// By this policy; without one nothing is read.
    #[must_use]
    pub fn new(policy: Option<LogPolicy>) -> Self {
        Self { policy: policy.map(Arc::new), ..Self::default() }
    }

    /// How soon a container may be restarted for its lines again.
    #[must_use]
    pub fn cool_down(&self, name: &str, desired: &Desired) -> Duration {
        self.policy_of(name, desired).map_or(Duration::ZERO, |policy| policy.cool_down)
    }

    /// In a cluster each service has its own.
    fn policy_of(&self, name: &str, desired: &Desired) -> Option<Arc<LogPolicy>> {
        match &desired.scope {
            Scope::Assigned(assigned) => {
                let rule = assigned.replicas.get(name)?.logs.as_ref()?;
                Some(Arc::new(rule.into()))
            }
            _ => self.policy.clone(),
        }
    }

    /// Begins and ends readers, so that there is one for each run that is to be read.
    pub fn follow(
        &mut self,
        runtime: &Arc<dyn Runtime>,
        marks: &Arc<Marks>,
        desired: &Desired,
        plan: &Plan,
        observed: &Observed,
    ) {
        while self.tasks.try_join_next().is_some() {}
        if self.policy.is_none() && !matches!(desired.scope, Scope::Assigned(_)) {
            return;
        }
        let ours = plan.verdicts.iter().filter(|verdict| is_ours(verdict.standing) && !verdict.held);
        let running = ours.filter_map(|verdict| observed.containers.get(&verdict.name));
        let running = running.filter(|container| container.state == State::Running);
        let wanted: BTreeMap<_, _> = running
            .map(|container| ((container.id.clone(), container.started.clone()), container.name.clone()))
            .collect();
        self.reading.retain(|key, reader| {
            let keep = wanted.contains_key(key);
            if !keep {
                reader.abort();
            }
            keep
        });
        for (key, name) in wanted {
            if self.reading.contains_key(&key) {
                continue;
            }
            let Some(policy) = self.policy_of(&name, desired) else { continue };
            let (id, started) = key.clone();
            let (runtime, marks) = (Arc::clone(runtime), Arc::clone(marks));
            let reader = self.tasks.spawn(async move { read(&*runtime, &marks, &policy, &id, &started).await });
            self.reading.insert(key, reader);
        }
    }

    /// Ends all.
    pub fn stop(&mut self) {
        self.tasks.abort_all();
        self.reading.clear();
    }
}

/// Reads one run of a container, until it is aborted.
async fn read(runtime: &dyn Runtime, marks: &Marks, policy: &LogPolicy, id: &str, started: &str) {
    // From the start of the run, and when a stream breaks, from after what was read.
    let mut read_to = i64::MIN;
    loop {
        let (mut window, known) = (Window::default(), read_to);
        let mut lines = runtime.logs(id, started);
        while let Some(Ok(line)) = lines.next().await {
            if line.nanos <= known {
                continue;
            }
            read_to = read_to.max(line.nanos);
            let now = Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX);
            if let Some(why) = window.take(&line, policy, now) {
                marks.leave(|left| {
                    left.alarms.retain(|(of, _)| of != id);
                    left.alarms.push((id.to_owned(), why));
                });
            }
        }
        sleep(AGAIN).await;
    }
}

/// The grave lines of late.
#[derive(Debug, Default)]
struct Window(VecDeque<i64>);

impl Window {
    /// Takes in a line; gives the reason for a restart, if it is one too many. Old lines, read for the first time by an
    /// orchestrator that has just been started, are none.
    fn take(&mut self, line: &LogLine, policy: &LogPolicy, now: i64) -> Option<String> {
        if severity(&line.text, policy.pattern.as_ref())? < policy.severity {
            return None;
        }
        let within = i64::try_from(policy.within.as_nanos()).unwrap_or(i64::MAX);
        if now.saturating_sub(line.nanos) > within {
            return None;
        }
        self.0.push_back(line.nanos);
        while self.0.front().is_some_and(|first| line.nanos.saturating_sub(*first) > within) {
            self.0.pop_front();
        }
        if self.0.len() < policy.lines {
            return None;
        }
        self.0.clear();
        let quoted: String = crate::redact::text(&line.text).chars().take(QUOTED).collect();
        let count = policy.lines;
        let severity = format!("{:?}", policy.severity).to_lowercase();
        Some(format!("it printed {count} lines at {severity} or above within {:?}, the last: {quoted}", policy.within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(lines: usize) -> LogPolicy {
        let within = Duration::from_secs(10);
        LogPolicy { severity: Severity::Error, lines, within, cool_down: Duration::ZERO, pattern: None }
    }

    #[test]
    fn so_many_grave_lines_within_the_time_and_no_fewer() {
        let line = |millis: i64, text: &str| LogLine { nanos: millis * 1_000_000, text: text.to_owned() };
        let mut window = Window::default();
        let mut take = |millis, text| window.take(&line(millis, text), &policy(3), millis * 1_000_000);
        assert_eq!(take(0, "ERROR one"), None);
        assert_eq!(take(1000, "INFO fine"), None);
        assert_eq!(take(9000, "ERROR two"), None);
        assert_eq!(take(10_001, "ERROR the first is too old by now"), None);
        assert!(take(11_000, "ERROR three").is_some_and(|why| why.ends_with("ERROR three")));
        assert_eq!(take(11_001, "ERROR counted anew"), None);
    }

    #[test]
    fn lines_of_long_ago_restart_nothing_now() {
        let mut window = Window::default();
        let line = LogLine { nanos: 0, text: "ERROR".to_owned() };
        assert_eq!(window.take(&line, &policy(1), 10_000_000_001), None);
        assert!(window.take(&line, &policy(1), 10_000_000_000).is_some());
    }
}
