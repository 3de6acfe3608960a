//! What is counted: docs/ORCHESTRATOR.md lists it, and a test compares.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use upbeat_service::Metrics;
use upbeat_service::metrics::{Families, Registry, counters};

use crate::container::State;
use crate::control::word;
use crate::plan::{Deed, Observed, Plan, Standing, Step, Verdict};

/// Where the loop counts; without a service, nowhere.
#[derive(Clone, Debug, Default)]
pub struct Meter(Option<Arc<LoopFamilies>>);

#[derive(Debug)]
struct LoopFamilies {
    containers: Family<Standings, Gauge>,
    actions: Family<Actions, Counter>,
    waiting: Family<Waits, Gauge>,
    passes: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standings {
    standing: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Actions {
    action: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Waits {
    what: &'static str,
}

const STANDINGS: [(Standing, &str); 10] = [
    (Standing::Original, "original"),
    (Standing::Newcomer, "newcomer"),
    (Standing::Allowed, "allowed"),
    (Standing::Unlisted, "unlisted"),
    (Standing::Replica, "replica"),
    (Standing::Stray, "stray"),
    (Standing::Foreign, "foreign"),
    (Standing::Protected, "protected"),
    (Standing::Own, "own"),
    (Standing::Unknown, "unknown"),
];

/// `missing` besides: an original of which there is no container.
const STATES: [&str; 3] = ["up", "down", "missing"];

const DEEDS: [Deed; 5] = [Deed::Start, Deed::Create, Deed::Stop, Deed::Restart, Deed::Remove];

impl Families for LoopFamilies {
    fn register(registry: &mut Registry) -> Self {
        let families = Self {
            containers: Family::default(),
            actions: counters(registry, "orchestrator_actions", "What was done to containers"),
            waiting: Family::default(),
            passes: Counter::default(),
        };
        registry.register("orchestrator_containers", "Containers by what they are to us", families.containers.clone());
        registry.register("orchestrator_waiting", "Containers to which something is due", families.waiting.clone());
        registry.register("orchestrator_passes", "Passes of the loop", families.passes.clone());
        for deed in DEEDS {
            for outcome in ["ok", "failed"] {
                drop(families.actions.get_or_create(&Actions { action: word(deed), outcome }));
            }
        }
        // Nothing is seen yet, and all of it can be asked for.
        families.see(&Plan::default(), &Observed::default());
        families
    }
}

impl LoopFamilies {
    fn see(&self, plan: &Plan, observed: &Observed) {
        for (standing, name) in STANDINGS {
            for state in STATES {
                let is_one =
                    |verdict: &&Verdict| verdict.standing == standing && state_of(observed, &verdict.name) == state;
                let labels = Standings { standing: name, state };
                self.containers.get_or_create(&labels).set(as_gauge(plan.verdicts.iter().filter(is_one).count()));
            }
        }
        let count =
            |wanted: fn(&Verdict) -> bool| as_gauge(plan.verdicts.iter().filter(|verdict| wanted(verdict)).count());
        for (what, count) in [
            ("due", count(|verdict| matches!(verdict.step, Step::Act(..)))),
            ("later", count(|verdict| matches!(verdict.step, Step::Wait(..)))),
            ("degraded", count(|verdict| matches!(verdict.step, Step::GiveUp(_)))),
            ("held", count(|verdict| verdict.held)),
        ] {
            self.waiting.get_or_create(&Waits { what }).set(count);
        }
    }
}

impl Meter {
    /// Counts there.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self(Some(metrics.families::<LoopFamilies>()))
    }

    /// Something was done, or not.
    pub(crate) fn done(&self, deed: Deed, ok: bool) {
        let Some(families) = &self.0 else { return };
        let outcome = if ok { "ok" } else { "failed" };
        families.actions.get_or_create(&Actions { action: word(deed), outcome }).inc();
    }

    /// One pass of the loop.
    pub(crate) fn see(&self, plan: &Plan, observed: &Observed) {
        let Some(families) = &self.0 else { return };
        families.passes.inc();
        families.see(plan, observed);
    }
}

fn state_of(observed: &Observed, name: &str) -> &'static str {
    match observed.containers.get(name).map(|container| container.state) {
        None => "missing",
        Some(State::Running | State::Paused | State::Restarting) => "up",
        Some(_) => "down",
    }
}

fn as_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
