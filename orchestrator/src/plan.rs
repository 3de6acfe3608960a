//! What is to be done, out of what is wanted and what is seen: a pure function, so that every rule can be tried without
//! an engine, and `orchestrator plan` says exactly what the loop would do.
//!
//! | | an unlisted container | a listed one that is down | one that is missing |
//! | --- | --- | --- | --- |
//! | snapshot | stop | start | create again and start |
//! | allow list | stop | leave | leave |
//! | cluster | leave; one of the cluster's: stop and remove | start | create and start |

mod assigned;

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::container::{Container, State};
use crate::desired::{Desired, Scope, Snapshot};
use crate::history::{HEALTH_RESTARTS, History};
use crate::moment::Moment;

/// One in so many of the containers may be restarted for their health at a time, and one in any case: what all of them
/// depend on being down is no reason to restart all of them.
const ONE_IN: usize = 4;

/// What is seen.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Every container of the engine, by name.
    pub containers: BTreeMap<String, Container>,
    /// What has happened, by name.
    pub history: BTreeMap<String, History>,
    /// Names to which something is being done right now.
    pub busy: BTreeMap<String, Deed>,
}

/// What is to be done, container by container, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One for each container there is, and each that is missing.
    pub verdicts: Vec<Verdict>,
}

/// What is to become of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its name.
    pub name: String,
    /// What it is to us.
    pub standing: Standing,
    /// Whether somebody asked to have it left alone.
    pub held: bool,
    /// What is done to it.
    pub step: Step,
}

/// What a container is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is in the snapshot.
    Original,
    /// It is not in the snapshot.
    Newcomer,
    /// It is on the allow list.
    Allowed,
    /// It is not on the allow list.
    Unlisted,
    /// The cluster has given it to this node.
    Replica,
    /// It is the cluster's, and not for this node, or not any more.
    Stray,
    /// It is not the cluster's.
    Foreign,
    /// It is never stopped.
    Protected,
    /// It is the orchestrator's.
    Own,
    /// What is wanted is not known yet.
    Unknown,
}

/// What is done to a container now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is as it should be, or none of our business.
    Leave,
    /// This, for that reason.
    Act(Deed, String),
    /// This, for that reason, but not before; `None` is once something else has happened.
    Wait(Deed, String, Option<Moment>),
    /// Nothing, though something is wrong; the reason says what.
    GiveUp(String),
}

/// What can be done to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// Start it.
    Start,
    /// Create it from what is stored, and start it.
    Create,
    /// Stop it.
    Stop,
    /// Stop and start it.
    Restart,
    /// Stop it, and take it away.
    Remove,
}

/// Something to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// To which container.
    pub name: String,
    /// What.
    pub deed: Deed,
    /// Why.
    pub why: String,
}

/// What is to be done now.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed, now: Moment) -> Plan {
    let missing = missing(desired, observed);
    let mut verdicts: Vec<_> =
        observed.containers.values().map(|container| judge(desired, observed, container, now)).collect();
    verdicts.extend(missing);
    verdicts.sort_by(|one, other| one.name.cmp(&other.name));
    match &desired.scope {
        Scope::Assigned(assigned) => assigned::brake(assigned, observed, &mut verdicts),
        _ => brake(observed, &mut verdicts, |one| matches!(one.standing, Standing::Original | Standing::Allowed)),
    }
    for verdict in &mut verdicts {
        hold_back(observed, verdict, now);
    }
    Plan { verdicts }
}

impl Plan {
    /// What is to be done now.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        let act = |verdict: &Verdict| match &verdict.step {
            Step::Act(deed, why) => Some(Action { name: verdict.name.clone(), deed: *deed, why: why.clone() }),
            _ => None,
        };
        self.verdicts.iter().filter_map(act).collect()
    }

    /// When there is something to do next, by time alone.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        let due = |verdict: &Verdict| match verdict.step {
            Step::Wait(_, _, due) => due,
            _ => None,
        };
        self.verdicts.iter().filter_map(due).min()
    }
}

/// What a container of this name is to us.
fn standing(desired: &Desired, container: &Container) -> Standing {
    if desired.protected.is_ours(container) {
        return Standing::Own;
    }
    match &desired.scope {
        Scope::Unknown(_) => Standing::Unknown,
        Scope::Snapshot(snapshot) if snapshot.originals.contains_key(&container.name) => Standing::Original,
        Scope::Allow(list) if list.allows(container) => Standing::Allowed,
        Scope::Assigned(assigned) => assigned::standing(assigned, container),
        _ if desired.protected.is_spared(container) => Standing::Protected,
        Scope::Snapshot(_) => Standing::Newcomer,
        Scope::Allow(_) => Standing::Unlisted,
    }
}

/// Why a container that must run must.
const fn wanted(standing: Standing) -> &'static str {
    if matches!(standing, Standing::Replica) { "it is assigned here" } else { "it is in the snapshot" }
}

fn judge(desired: &Desired, observed: &Observed, container: &Container, now: Moment) -> Verdict {
    let standing = standing(desired, container);
    let held = desired.held.contains(&container.name);
    let step = match standing {
        _ if held => Step::Leave,
        Standing::Original => match observed.history.get(&container.name) {
            Some(history) if container.state.is_down() => start(standing, container, history, now),
            Some(history) => cure(container, history),
            None => Step::Leave,
        },
        Standing::Allowed => match observed.history.get(&container.name) {
            Some(history) if container.state.is_up() => cure(container, history),
            _ => Step::Leave,
        },
        Standing::Replica => assigned::judge(desired, observed, container, now),
        Standing::Stray if container.state == State::Removing => Step::Leave,
        Standing::Stray => Step::Act(Deed::Remove, "it is not assigned here".to_owned()),
        Standing::Foreign => assigned::foreign(desired, container),
        Standing::Newcomer => stop(container, desired, "it is not in the snapshot"),
        Standing::Unlisted => stop(container, desired, "it is not on the allow list"),
        Standing::Protected | Standing::Own | Standing::Unknown => Step::Leave,
    };
    Verdict { name: container.name.clone(), standing, held, step }
}

/// A container that must run, and is down.
fn start(standing: Standing, container: &Container, history: &History, now: Moment) -> Step {
    let Some(down) = &history.down else { return Step::Leave };
    let why = match (container.state, container.exit_code) {
        (State::Created, _) => format!("{}, and was never started", wanted(standing)),
        (_, Some(code)) => format!("{}, and ended with {code}", wanted(standing)),
        _ => format!("{}, and is down", wanted(standing)),
    };
    when_due(Deed::Start, why, down.due, now)
}

/// A container that may run, and does.
fn cure(container: &Container, history: &History) -> Step {
    if container.state != State::Running {
        return Step::Leave;
    }
    let Some(why) = history.illness(container).or_else(|| history.alarm.clone()) else { return Step::Leave };
    if history.degraded || history.restarts() >= HEALTH_RESTARTS {
        return Step::GiveUp(format!("degraded: {why}, and {HEALTH_RESTARTS} restarts in 10 minutes have not helped"));
    }
    Step::Act(Deed::Restart, why)
}

/// A container that may not run.
fn stop(container: &Container, desired: &Desired, why: &str) -> Step {
    if !container.state.is_up() {
        return Step::Leave;
    }
    match &desired.scope {
        Scope::Snapshot(Snapshot { stored: false, .. }) => {
            Step::Wait(Deed::Stop, format!("{why}, but the snapshot could not be stored yet"), None)
        }
        _ => Step::Act(Deed::Stop, why.to_owned()),
    }
}

/// Containers that must run, and that there are not.
fn missing(desired: &Desired, observed: &Observed) -> Vec<Verdict> {
    let (standing, names): (_, Vec<&String>) = match &desired.scope {
        Scope::Snapshot(snapshot) => (Standing::Original, snapshot.originals.keys().collect()),
        Scope::Assigned(assigned) => (Standing::Replica, assigned::must_run(assigned).collect()),
        Scope::Unknown(_) | Scope::Allow(_) => return Vec::new(),
    };
    let missing = names.into_iter().filter(|name| !observed.containers.contains_key(*name));
    let verdict = |name: &String| {
        let held = desired.held.contains(name);
        let due = observed.history.get(name).and_then(|history| history.down.as_ref()).map(|down| down.due);
        let why = format!("{}, and there is none", wanted(standing));
        let step = match due {
            Some(due) if !held => Step::Wait(Deed::Create, why, Some(due)),
            _ => Step::Leave,
        };
        Verdict { name: name.clone(), standing, held, step }
    };
    missing.map(verdict).collect()
}

fn when_due(deed: Deed, why: String, due: Moment, now: Moment) -> Step {
    if due <= now { Step::Act(deed, why) } else { Step::Wait(deed, why, Some(due)) }
}

/// How many of so many may be restarted for their health at a time.
#[must_use]
pub const fn at_once(count: usize) -> usize {
    let some = count / ONE_IN;
    if some == 0 { 1 } else { some }
}

/// Lets only some of the restarts go ahead.
fn brake(observed: &Observed, verdicts: &mut [Verdict], is_one: impl Fn(&Verdict) -> bool) {
    let ours = |verdict: &&Verdict| is_one(verdict);
    let at_once = at_once(verdicts.iter().filter(ours).count());
    let is_settling = |verdict: &&Verdict| {
        let settling = observed.history.get(&verdict.name).is_some_and(History::is_settling);
        let restarting = observed.busy.get(&verdict.name) == Some(&Deed::Restart);
        settling || restarting
    };
    let mut room = at_once.saturating_sub(verdicts.iter().filter(ours).filter(is_settling).count());
    for verdict in verdicts.iter_mut().filter(|verdict| is_one(verdict)) {
        let Step::Act(Deed::Restart, why) = &verdict.step else { continue };
        if observed.busy.contains_key(&verdict.name) {
            continue;
        }
        if room == 0 {
            let why = format!("{why}; at most {at_once} restarted at a time");
            verdict.step = Step::Wait(Deed::Restart, why, None);
        } else {
            room -= 1;
        }
    }
}

/// Not while something is being done to it, nor too soon after something that failed.
fn hold_back(observed: &Observed, verdict: &mut Verdict, now: Moment) {
    let retry = observed.history.get(&verdict.name).and_then(|history| history.retry);
    verdict.step = match std::mem::replace(&mut verdict.step, Step::Leave) {
        Step::Act(..) | Step::Wait(..) if observed.busy.contains_key(&verdict.name) => Step::Leave,
        Step::Act(deed, why) => when_due(deed, why, retry.unwrap_or_default(), now),
        Step::Wait(deed, why, Some(due)) => when_due(deed, why, due.max(retry.unwrap_or_default()), now),
        other => other,
    };
}
