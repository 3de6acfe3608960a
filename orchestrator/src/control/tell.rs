//! Telling what is done and why, in the log and to whoever listens: each thing once, not at every pass.

use std::collections::BTreeMap;

use tracing::{error, info, warn};

use super::Control;
use crate::desired::Scope;
use crate::history::Down;
use crate::moment::Moment;
use crate::picture::Event;
use crate::plan::{Deed, Plan, Standing, Step};
use crate::store::StoreError;

impl Control {
    /// Tells what would be done if it were enforced, and what has been given up.
    pub(super) fn tell_of(&mut self, plan: &Plan) {
        let mut news = Vec::new();
        for verdict in &plan.verdicts {
            let (event, deed, why) = match &verdict.step {
                Step::Act(deed, why) | Step::Wait(deed, why, _) if !self.options.enforce => ("would", Some(*deed), why),
                Step::GiveUp(why) => ("degraded", None, why),
                _ => continue,
            };
            news.push((verdict.name.clone(), event, deed, why.clone()));
        }
        let told: BTreeMap<_, _> =
            news.iter().map(|(name, event, deed, why)| (name.clone(), format!("{event} {deed:?} {why}"))).collect();
        for (name, event, deed, why) in news {
            if self.told.get(&name) != told.get(&name) {
                self.tell(Event::now(event, &name, deed, why));
            }
        }
        self.told = told;
    }

    /// Tells that a container has ended, or is gone, that must run.
    pub(super) fn tell_down(&self, name: &str, down: &Down, now: Moment) {
        match &self.desired.scope {
            Scope::Snapshot(snapshot) if snapshot.originals.contains_key(name) => {}
            Scope::Assigned(assigned) if assigned.replicas.contains_key(name) => {}
            _ => return,
        }
        let how = match self.observed.containers.get(name) {
            None => "gone".to_owned(),
            Some(container) => match (container.exit_code, container.ran_for) {
                (Some(code), Some(ran_for)) => format!("ended with {code} after {:.1} s", ran_for.as_secs_f64()),
                _ => container.state.word().to_owned(),
            },
        };
        let wait = down.due.since(now).as_secs_f64();
        let held = if self.desired.held.contains(name) { ", but it is held" } else { "" };
        self.tell(Event::now("down", name, None, format!("{how}; due in {wait:.1} s{held}")));
    }

    /// The engine answers again, or does not any more.
    pub(super) fn see_engine(&mut self, engine: Result<(), String>) {
        if engine != self.engine {
            match &engine {
                Ok(()) => {
                    info!("the engine answers");
                    self.send(Event::now("engine", "", None, "it answers"));
                }
                Err(why) => {
                    if self.engine.is_ok() {
                        self.tell(Event::now("engine", "", None, why));
                    }
                    if let Some(conditions) = &self.conditions {
                        conditions.engine.unmet(why);
                    }
                }
            }
        }
        if engine.is_err() {
            self.seen = false;
            // What was asked of it may hang for as long as a cut connection does. Done or not, it is looked at again.
            self.acting.abort_all();
            self.observed.busy.clear();
        }
        self.engine = engine;
    }

    /// The store works, or does not.
    pub(super) fn see_store(&mut self, works: Result<(), &StoreError>) {
        self.store_works = works.is_ok();
        if let (Err(error), Some(conditions)) = (works, &self.conditions) {
            conditions.store.unmet(error);
        }
    }

    /// Tells something.
    pub(super) fn tell(&self, event: Event) {
        let Event { event: name, container, action, why, .. } = &event;
        match (*name, action) {
            ("would", Some(deed)) => info!(%container, %why, "would {}", word(*deed)),
            ("failed", Some(deed)) => warn!(%container, %why, "cannot {}", word(*deed)),
            ("degraded", _) => error!(%container, %why, "degraded"),
            ("unprobed", _) => warn!(%container, %why, "not probed"),
            ("down", _) => warn!(%container, %why, "down"),
            ("engine", _) => warn!(%why, "the engine does not answer"),
            ("snapshot", _) => info!(%why, "snapshot"),
            _ => info!(%container, %why, "{name}"),
        }
        self.send(event);
    }

    fn send(&self, event: Event) {
        // Nobody has to be listening.
        let _ = self.shared.events.send(event);
    }
}

/// What an action is called.
pub(crate) const fn word(deed: Deed) -> &'static str {
    match deed {
        Deed::Start => "start",
        Deed::Create => "create",
        Deed::Stop => "stop",
        Deed::Restart => "restart",
        Deed::Remove => "remove",
    }
}

/// Whether a container's restarts are ours to decide.
pub(crate) const fn is_ours(standing: Standing) -> bool {
    matches!(standing, Standing::Original | Standing::Allowed | Standing::Replica)
}
