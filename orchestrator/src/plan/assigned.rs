//! The plan of a cluster's node.

use std::collections::BTreeSet;

use super::{Deed, Observed, Standing, Step, Verdict, brake as brake_all, cure, start};
use crate::container::{CLUSTER, Container, State};
use crate::desired::{Assigned, Desired, Replica, Scope};
use crate::moment::Moment;

/// What a container is to the cluster.
pub(super) fn standing(assigned: &Assigned, container: &Container) -> Standing {
    if container.labels.get(CLUSTER) != Some(&assigned.cluster) {
        Standing::Foreign
    } else if assigned.replicas.contains_key(&container.name) {
        Standing::Replica
    } else {
        Standing::Stray
    }
}

/// The names of what must run here.
pub(super) fn must_run(assigned: &Assigned) -> impl Iterator<Item = &String> {
    assigned.replicas.iter().filter(|(_, replica)| replica.run).map(|(name, _)| name)
}

/// A container that was assigned.
pub(super) fn judge(desired: &Desired, observed: &Observed, container: &Container, now: Moment) -> Step {
    let (Some(replica), Some(history)) = (of(desired, container), observed.history.get(&container.name)) else {
        return Step::Leave;
    };
    if container.state == State::Removing {
        return Step::Leave;
    }
    if container.spec() != Some(&replica.original.spec.hash) {
        return Step::Act(Deed::Remove, "it was made of something else".to_owned());
    }
    match (replica.run, container.state.is_up()) {
        (true, true) => cure(container, history),
        (true, false) if container.state.is_down() => start(Standing::Replica, container, history, now),
        (false, true) => {
            Step::Act(Deed::Stop, "the server has not been heard of, and may have it elsewhere".to_owned())
        }
        _ => Step::Leave,
    }
}

/// Somebody else's container: in the way, if it has a name that is needed.
pub(super) fn foreign(desired: &Desired, container: &Container) -> Step {
    match of(desired, container) {
        Some(_) => Step::GiveUp("its name is taken by a container that is not the cluster's".to_owned()),
        None => Step::Leave,
    }
}

/// Restarts for ill health go ahead where the server says so, or, while it is not heard of, a few of each service.
pub(super) fn brake(assigned: &Assigned, observed: &Observed, verdicts: &mut [Verdict]) {
    if assigned.alone {
        let services: BTreeSet<&str> = assigned.replicas.values().map(|replica| replica.service.as_str()).collect();
        for service in services {
            let is_one =
                |verdict: &Verdict| assigned.replicas.get(&verdict.name).is_some_and(|it| it.service == service);
            brake_all(observed, verdicts, is_one);
        }
        return;
    }
    for verdict in verdicts {
        let Step::Act(Deed::Restart, why) = &verdict.step else { continue };
        if assigned.replicas.get(&verdict.name).is_some_and(|replica| !replica.cure) {
            let why = format!("{why}; not too many of a service are restarted at a time");
            verdict.step = Step::Wait(Deed::Restart, why, None);
        }
    }
}

fn of<'a>(desired: &'a Desired, container: &Container) -> Option<&'a Replica> {
    match &desired.scope {
        Scope::Assigned(assigned) => assigned.replicas.get(&container.name),
        _ => None,
    }
}
