//! Doing what was planned, and what follows from how it ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::{AT_ONCE, Control};
use crate::desired::{Assigned, Scope, Spec};
use crate::picture::Event;
use crate::plan::{Action, Deed};
use crate::runtime::{Runtime, RuntimeError};

/// How long a thing may take: longer than the grace period that containers are given to stop.
const LIMIT: Duration = Duration::from_mins(5);

impl Control {
    /// Begins this, unless enough has begun, or something is being done to the same container.
    pub(super) fn begin(&mut self, action: Action) {
        // What a node may not run any more does not wait: others count on its having ended.
        let waits = action.deed != Deed::Stop || self.options.assigned.is_none();
        if (waits && self.observed.busy.len() >= AT_ONCE) || self.observed.busy.contains_key(&action.name) {
            return;
        }
        let target = match (action.deed, &self.desired.scope) {
            (Deed::Create, Scope::Snapshot(snapshot)) => {
                let Some(original) = snapshot.originals.get(&action.name) else { return };
                Target::Spec(original.spec.clone())
            }
            (Deed::Create, Scope::Assigned(assigned)) => {
                let Some(replica) = assigned.replicas.get(&action.name) else { return };
                Target::Spec(replica.original.spec.clone())
            }
            // By id: another container may have the name by then.
            _ => match self.observed.containers.get(&action.name) {
                Some(container) => Target::Id(container.id.clone()),
                None => return,
            },
        };
        self.observed.busy.insert(action.name.clone(), action.deed);
        let (runtime, marks) = (Arc::clone(&self.runtime), Arc::clone(&self.shared.marks));
        let leave = Leave { assigned: self.options.assigned.clone(), name: action.name.clone() };
        self.acting.spawn(async move {
            let ended = timeout(LIMIT, act(&*runtime, &action, &target, &leave)).await;
            let late = || RuntimeError::Unreachable(format!("not done within {LIMIT:?}"));
            let ended = ended.unwrap_or_else(|_| Err(late()));
            marks.leave(|left| left.done.push((action, ended)));
        });
    }

    /// Something that had begun has ended.
    pub(super) fn finish(&mut self, action: &Action, ended: Result<(), RuntimeError>, dirty: &mut BTreeSet<String>) {
        let Action { name, deed, why } = action;
        self.observed.busy.remove(name);
        // It is looked at again before anything else is decided.
        match self.observed.containers.get(name) {
            Some(container) => drop(dirty.insert(container.id.clone())),
            None => self.resync_at = tokio::time::Instant::now(),
        }
        let now = self.now();
        self.meter.done(*deed, ended.is_ok());
        let history = self.observed.history.entry(name.clone()).or_default();
        match ended {
            Ok(()) => {
                history.succeeded(now, *deed == Deed::Restart);
                self.tell(Event::now(done(*deed), name, Some(*deed), why));
            }
            Err(error) => {
                let wait = history.failed(error.to_string(), now, fastrand::f64().mul_add(2.0, -1.0));
                // What there is may be something else than what was seen.
                self.resync_at = tokio::time::Instant::now();
                let why = format!("{error}; again in {:.1} s", wait.as_secs_f64());
                self.tell(Event::now("failed", name, Some(*deed), why));
            }
        }
    }
}

/// What an action is done to.
enum Target {
    Id(String),
    Spec(Spec),
}

/// Whether a container may still be started when what came before has been done: on a cluster's node, it may be assigned
/// elsewhere by then.
struct Leave {
    assigned: Option<watch::Receiver<Option<Arc<Assigned>>>>,
    name: String,
}

impl Leave {
    fn may_run(&self) -> bool {
        let Some(assigned) = &self.assigned else { return true };
        let assigned = assigned.borrow();
        assigned.as_ref().is_some_and(|assigned| assigned.replicas.get(&self.name).is_some_and(|replica| replica.run))
    }

    async fn start(&self, runtime: &dyn Runtime, id: &str) -> Result<(), RuntimeError> {
        if self.may_run() { runtime.start(id).await } else { Ok(()) }
    }
}

async fn act(runtime: &dyn Runtime, action: &Action, target: &Target, leave: &Leave) -> Result<(), RuntimeError> {
    match (action.deed, target) {
        (Deed::Start, Target::Id(id)) => leave.start(runtime, id).await,
        (Deed::Stop, Target::Id(id)) => runtime.stop(id).await,
        (Deed::Restart, Target::Id(id)) if leave.assigned.is_none() => runtime.restart(id).await,
        (Deed::Restart, Target::Id(id)) => {
            runtime.stop(id).await?;
            leave.start(runtime, id).await
        }
        (Deed::Remove, Target::Id(id)) => {
            // Within its own grace period first: taken away at once, it could not end in order.
            match runtime.stop(id).await {
                Ok(()) | Err(RuntimeError::Missing(_)) => runtime.remove(id).await,
                Err(error) => Err(error),
            }
        }
        (Deed::Create, Target::Spec(spec)) => {
            runtime.create(&action.name, spec).await?;
            // If we end here, the next look finds it by its name, created and not started.
            leave.start(runtime, &action.name).await
        }
        _ => Ok(()),
    }
}

/// The event's name.
const fn done(deed: Deed) -> &'static str {
    match deed {
        Deed::Start => "started",
        Deed::Create => "created",
        Deed::Stop => "stopped",
        Deed::Restart => "restarted",
        Deed::Remove => "removed",
    }
}
