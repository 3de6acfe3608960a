//! What a node and the server tell each other: the node what it sees, the server what is to run there.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::{LogRule, Partition, ProbeRule, Template};
use crate::container::{Container, Health, State};
use crate::desired::{Assigned, Original, Replica, Spec};

/// What a node tells. It is sent every two seconds, and whenever something has changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The orders by which it goes, if it has any.
    pub stamp: Option<Stamp>,
    /// Why its engine can't be asked; then the rest is what it said last.
    pub engine: Option<String>,
    /// The cluster's containers there, by name, with those that are being made.
    pub replicas: BTreeMap<String, Seen>,
}

/// What a node sees of a container of the cluster's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The engine's id; empty while there is none.
    pub id: String,
    /// What it is doing; nothing while there is none.
    pub state: Option<State>,
    /// What its health check says.
    pub health: Health,
    /// How it ended the last time.
    pub exit_code: Option<i64>,
    /// Why it should be restarted, if it should.
    pub ill: Option<String>,
    /// Its service has a probe, and it has not answered that well since its start.
    #[serde(default)]
    pub awaits: bool,
    /// It was restarted for that, and has not said how it is since.
    pub settling: bool,
    /// How often it ended by itself, or could not be started, in the last ten minutes.
    pub troubles: usize,
    /// How often it was restarted for its health in the last ten minutes.
    pub restarts: usize,
    /// Restarts have not helped it.
    pub degraded: bool,
    /// What was given up, or failed last.
    pub problem: Option<String>,
}

/// Which orders: those of another start of the server are others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// One start of the server.
    pub term: u64,
    /// Counted from 1.
    pub generation: u64,
}

/// What is to run on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// Which orders these are.
    pub stamp: Stamp,
    /// The cluster's id.
    pub cluster: String,
    /// Every replica that is to be there, in the order of their names.
    pub replicas: Vec<Order>,
    /// What they are created from, by hash.
    pub templates: BTreeMap<Arc<str>, Arc<Template>>,
}

/// One replica that is to be on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its container's name.
    pub name: Arc<str>,
    /// Its service's.
    pub service: Arc<str>,
    /// The hash of what it is created from.
    pub template: Arc<str>,
    /// What the node does with it while it can't reach the server.
    pub partition: Partition,
    /// Which log lines restart it.
    pub logs: Option<LogRule>,
    /// How it is asked whether it is well.
    pub probe: Option<ProbeRule>,
    /// Whether it may be restarted for its health now.
    pub cure: bool,
    /// Somebody asked to have it left alone.
    pub held: bool,
}

impl Seen {
    /// Whether it does its work, as far as anybody can tell from outside.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == Some(State::Running)
            && matches!(self.health, Health::None | Health::Healthy)
            && self.ill.is_none()
            && !self.awaits
    }

    /// Whether it has shown that it does not work.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.troubles > 0 || self.ill.is_some() || self.problem.is_some()
    }

    /// What is seen of this container.
    #[must_use]
    pub fn of(container: &Container) -> Self {
        Self {
            id: container.id.clone(),
            state: Some(container.state),
            health: container.health,
            exit_code: container.exit_code,
            ..Self::default()
        }
    }
}

impl Orders {
    /// What the node's loop is to do by them. Without the lease, what may run in one place only does not run; and nothing
    /// does on a node that was taken out.
    #[must_use]
    pub fn assigned(&self, has_lease: bool, taken_out: bool) -> Assigned {
        let replica = |order: &Order| {
            let template = self.templates.get(&order.template)?;
            let original = template.original(&self.cluster);
            let run = !taken_out && (has_lease || order.partition != Partition::Stop);
            let (service, original) = (order.service.to_string(), Arc::new(original));
            let (logs, probe) = (order.logs.clone(), order.probe.clone());
            let replica = Replica { service, original, logs, probe, run, cure: order.cure, held: order.held };
            Some((order.name.to_string(), replica))
        };
        let replicas = self.replicas.iter().filter_map(replica).collect();
        Assigned { cluster: self.cluster.clone(), stamp: self.stamp, replicas, alone: !has_lease }
    }
}

impl Template {
    /// What a container of this cluster is created from.
    #[must_use]
    pub fn original(&self, cluster: &str) -> Original {
        let mut body = self.body.clone();
        if let Some(object) = body.as_object_mut() {
            let labels = object.entry("Labels").or_insert_with(|| serde_json::json!({}));
            if labels.is_null() {
                *labels = serde_json::json!({});
            }
            labels[crate::container::CLUSTER] = cluster.into();
        }
        let spec = Spec { body, networks: self.networks.clone(), hash: self.hash.to_string() };
        Original { image: self.image.clone(), spec }
    }
}
