//! Asking a cluster's replicas how they are: one task for each run of a container whose service has a probe.
//!
//! Until the first good word of a run it is asked every second, so that a replica is ready soon after it can be; a failure
//! counts once an interval, and the first of them a whole interval after the run was seen. What can't be asked from here
//! counts as one without a probe.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::cluster::model::ProbeRule;
use crate::container::{Container, State};
use crate::desired::{Desired, Scope};
use crate::marks::{Answer, Marks};
use crate::plan::Observed;
use crate::runtime::{NoAnswer, Runtime};

/// How often a run is asked that has not given a good word yet, if that is more often than its interval.
const EAGER: Duration = Duration::from_secs(1);

/// Which run is asked, and how.
#[derive(Clone, Debug)]
struct Asked {
    container: Container,
    rule: ProbeRule,
}

/// One task for each run that is to be asked.
#[derive(Debug, Default)]
pub struct Probers {
    asking: BTreeMap<String, (Asked, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Probers {
    /// Begins and ends tasks, so that there is one for each run that is to be asked.
    pub fn follow(&mut self, runtime: &Arc<dyn Runtime>, marks: &Arc<Marks>, desired: &Desired, observed: &Observed) {
        while self.tasks.try_join_next().is_some() {}
        let Scope::Assigned(assigned) = &desired.scope else { return };
        let wanted = |name: &str| {
            let rule = assigned.replicas.get(name)?.probe.as_ref()?;
            let container = observed.containers.get(name).filter(|container| container.state == State::Running)?;
            // What is being done to it may be its end, and a run that is not in its history yet would forget the answer.
            let is_seen = observed.history.get(name).is_some_and(|history| history.is_of_run(container));
            (is_seen && !observed.busy.contains_key(name)).then_some((container, rule))
        };
        self.asking.retain(|name, (asked, task)| {
            let keep = wanted(name).is_some_and(|(container, rule)| asked.is_same(container, rule));
            if !keep {
                task.abort();
            }
            keep
        });
        for name in assigned.replicas.keys() {
            let Some((container, rule)) = wanted(name).filter(|_| !self.asking.contains_key(name)) else { continue };
            let asked = Asked { container: container.clone(), rule: rule.clone() };
            let (runtime, marks, asks) = (Arc::clone(runtime), Arc::clone(marks), asked.clone());
            let task = self.tasks.spawn(async move { ask_again(&*runtime, &marks, &asks).await });
            self.asking.insert(name.clone(), (asked, task));
        }
    }

    /// Ends all.
    pub fn stop(&mut self) {
        self.tasks.abort_all();
        self.asking.clear();
    }
}

impl Asked {
    /// Whether it is the same run, asked the same way; its health and the like may be another.
    fn is_same(&self, container: &Container, rule: &ProbeRule) -> bool {
        let known = &self.container;
        known.id == container.id
            && known.started == container.started
            && known.ways == container.ways
            && self.rule == *rule
    }
}

/// Asks one run again and again, until it is aborted, and leaves a mark of whatever is news.
async fn ask_again(runtime: &dyn Runtime, marks: &Marks, Asked { container, rule }: &Asked) {
    let leave = |answer| {
        let run = (container.id.clone(), container.started.clone());
        marks.leave(|left| {
            left.answers.retain(|(of, _)| *of != run);
            left.answers.push((run, answer));
        });
    };
    let (mut well, mut proven, mut counted) = (false, false, Instant::now());
    loop {
        let began = Instant::now();
        let answer = timeout(rule.timeout, runtime.ask(container, rule)).await;
        match answer.unwrap_or_else(|_| Err(NoAnswer::Failed(format!("no answer within {:?}", rule.timeout)))) {
            Ok(()) => {
                if !well {
                    leave(Answer::Well);
                }
                (well, proven, counted) = (true, true, began);
            }
            Err(NoAnswer::Failed(why)) => {
                if began.duration_since(counted) >= rule.interval {
                    leave(Answer::Failed(why));
                    (well, counted) = (false, began);
                }
            }
            Err(NoAnswer::Unasked(why)) => {
                leave(Answer::Unasked(why));
                return;
            }
        }
        let wait = if proven { rule.interval } else { rule.interval.min(EAGER) };
        sleep_until(began + wait).await;
    }
}
