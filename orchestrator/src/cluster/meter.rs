//! What is counted of a cluster.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use upbeat_service::Metrics;
use upbeat_service::metrics::{Families, Registry, counters};

use super::server::View;
use super::sight::Standing;
use super::state::{Change, current};
use super::wire::Seen;

/// Where a server counts; nowhere by default.
#[derive(Clone, Debug, Default)]
pub struct ClusterMeter(Option<Arc<ClusterFamilies>>);

#[derive(Clone, Debug)]
struct ClusterFamilies {
    nodes: Family<Statuses, Gauge>,
    replicas: Family<Replicas, Gauge>,
    changes: Family<Changes, Counter>,
    storm: Gauge,
    leads: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Statuses {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Replicas {
    what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Changes {
    change: &'static str,
}

const STATUSES: [(Standing, &str); 3] =
    [(Standing::Up, "up"), (Standing::Suspect, "suspect"), (Standing::Lost, "lost")];

const CHANGES: [&str; 3] = ["placed", "retired", "gone"];

impl Families for ClusterFamilies {
    fn register(registry: &mut Registry) -> Self {
        let families = Self {
            nodes: Family::default(),
            replicas: Family::default(),
            changes: counters(registry, "orchestrator_changes", "What was changed of where replicas are"),
            storm: Gauge::default(),
            leads: Gauge::default(),
        };
        registry.register("orchestrator_nodes", "Nodes by how they are", families.nodes.clone());
        registry.register("orchestrator_replicas", "Replicas of all services", families.replicas.clone());
        registry.register("orchestrator_storm", "Nodes that were lost together with many", families.storm.clone());
        registry.register("orchestrator_leads", "Whether this server is the one that acts", families.leads.clone());
        for change in CHANGES {
            drop(families.changes.get_or_create(&Changes { change }));
        }
        families
    }
}

impl ClusterMeter {
    /// Counts there.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self(Some(metrics.families::<ClusterFamilies>()))
    }

    /// Something was changed.
    pub(super) fn changed(&self, change: &Change) {
        let Some(families) = &self.0 else { return };
        let change = match change {
            Change::Place(..) => "placed",
            Change::Retire(..) => "retired",
            Change::Forget(..) => "gone",
            _ => return,
        };
        families.changes.get_or_create(&Changes { change }).inc();
    }

    /// All that there is.
    pub(super) fn see(&self, view: &View<'_>) {
        let Some(families) = &self.0 else { return };
        let standings: Vec<_> = view.cluster.nodes.keys().map(|node| view.sight.standing(node, view.now)).collect();
        for (standing, status) in STATUSES {
            let count = standings.iter().filter(|one| **one == standing).count();
            families.nodes.get_or_create(&Statuses { status }).set(as_gauge(count));
        }
        let wanted: usize = view.cluster.services.values().map(|entry| entry.wanted() as usize).sum();
        let ready = view.cluster.slots.values().filter_map(|placed| current(placed));
        let ready = ready.filter(|one| view.sight.seen(&one.node, &one.name).is_some_and(Seen::is_ready)).count();
        let placed = view.cluster.slots.values().map(Vec::len).sum();
        for (what, count) in [("wanted", wanted), ("ready", ready), ("placed", placed), ("waiting", view.waiting.len())]
        {
            families.replicas.get_or_create(&Replicas { what }).set(as_gauge(count));
        }
        families.storm.set(as_gauge(view.sight.storm.len()));
        families.leads.set(1);
    }

    /// This server does not act any more: another one knows how everything is.
    pub(super) fn rest(&self) {
        let Some(families) = &self.0 else { return };
        families.nodes.clear();
        families.replicas.clear();
        families.storm.set(0);
        families.leads.set(0);
    }
}

fn as_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
