//! What answers of a server are made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::cluster::commands::Put;
use crate::cluster::model::{Admission, LogRule, Node, Partition, ProbeRule, Reach};
use crate::cluster::server::View;
use crate::cluster::sight::Standing;
use crate::cluster::state::{Entry, Name, Placed, current};
use crate::cluster::values::written;
use crate::cluster::wire::Seen;
use crate::container::{Health, State};
use crate::http::views::HoldView;
use crate::picture::time;
use crate::redact;

/// A service, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServiceView {
    pub(super) name: String,
    image: String,
    /// Counted up by every change; `If-Match` takes it.
    pub(super) revision: u64,
    /// How many there are to be.
    replicas: u32,
    /// How many do their work.
    ready: usize,
    /// How many are of the newest revision.
    updated: usize,
    partition: Partition,
    /// Labels that a node must have.
    placement: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<LogRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<ProbeView>,
    /// The names of its variables; their values are nobody's business.
    environment: Vec<String>,
    /// Of all that its containers are created from.
    hash: String,
    /// Somebody asked to have it left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldView>,
    /// It is gone once its last replica has.
    removing: bool,
    /// Why replicas are not placed, by slot.
    #[schema(value_type = BTreeMap<String, String>)]
    waiting: BTreeMap<u32, String>,
}

/// How containers are asked whether they are well.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProbeView {
    port: u16,
    path: String,
    interval: String,
    timeout: String,
}

impl ProbeView {
    fn of(rule: &ProbeRule) -> Self {
        let ProbeRule { port, path, interval, timeout } = rule;
        Self { port: *port, path: redact::text(path), interval: written(*interval), timeout: written(*timeout) }
    }
}

/// One replica.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplicaView {
    /// Its container's name: `service.slot.epoch`.
    pub(super) name: String,
    pub(super) service: String,
    slot: u32,
    /// The highest of a slot stays.
    epoch: u64,
    pub(super) node: String,
    pub(super) image: String,
    /// The service's revision of which it is.
    revision: u64,
    /// What its container is doing, when its node last told; null if there is none.
    pub(super) state: Option<State>,
    health: Health,
    /// Whether it does its work.
    ready: bool,
    /// It is to go, or has a newer one in its slot.
    leaving: bool,
    /// The engine's id; empty if there is none.
    pub(super) id: String,
    exit_code: Option<i64>,
    /// How often it ended by itself, or could not be started, in the last ten minutes.
    troubles: usize,
    /// How often it was restarted for its health in the last ten minutes.
    restarts: usize,
    /// Restarts have not helped it.
    degraded: bool,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// A node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NodeView {
    pub(super) name: String,
    pub(super) status: Standing,
    /// How it is reached: `agent`, or the engine's address.
    reach: String,
    /// How many containers it may run.
    capacity: u32,
    /// How many it has.
    replicas: usize,
    labels: BTreeMap<String, String>,
    admission: Admission,
    /// For how many seconds it has not told; null if it never has.
    silent: Option<f64>,
    /// It was lost together with many others: nothing of its own is begun elsewhere.
    stormed: bool,
    /// Why its engine can't be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<String>,
}

/// How the cluster is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatusView {
    /// The cluster's id.
    pub(super) cluster: String,
    /// How many nodes are up, suspect or lost.
    pub(super) nodes: BTreeMap<String, usize>,
    /// Over a third of the nodes were lost at once.
    pub(super) storm: bool,
    /// By name: `ready/wanted`.
    pub(super) services: BTreeMap<String, String>,
    /// How many replicas no node takes.
    pub(super) waiting: usize,
}

/// What became of a service that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PutView {
    pub(super) service: String,
    pub(super) revision: u64,
    pub(super) replicas: u32,
    pub(super) result: Put,
}

/// How many there are to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScaleRequest {
    #[schema(maximum = 10_000)]
    pub(super) replicas: u32,
}

/// A node whose engine is asked from the server.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeRequest {
    /// What it is called.
    #[schema(example = "host-7")]
    pub(super) name: String,
    /// Its engine: `https://host:port` by TLS, or `tcp://host:port` without it.
    #[schema(example = "https://10.0.0.7:2376")]
    pub(super) engine: String,
    /// How many containers it may run.
    #[serde(default = "hundred")]
    #[schema(default = 100, minimum = 1)]
    pub(super) capacity: u32,
    /// What it has that others have not.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// What a node says of itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// How many containers it may run, unless who let it in said so.
    pub capacity: u32,
    /// What it has that others have not, besides what who let it in said.
    pub labels: BTreeMap<String, String>,
}

const fn hundred() -> u32 {
    100
}

/// A service and what there is of it.
pub(super) fn service(view: &View<'_>, name: &Name, entry: &Entry) -> ServiceView {
    let slots: Vec<_> = view.cluster.slots_of(name).collect();
    let currents: Vec<&Placed> = slots.iter().filter_map(|(_, placed)| current(placed)).collect();
    let ready = currents.iter().filter(|placed| seen(view, placed).is_some_and(Seen::is_ready)).count();
    let updated = currents.iter().filter(|placed| placed.revision >= entry.rollout).count();
    let body = &entry.service.container.body;
    let variables = body["Env"].as_array().into_iter().flatten().filter_map(|one| one.as_str());
    let waiting = view.waiting.range((name.clone(), 0)..=(name.clone(), u32::MAX));
    ServiceView {
        name: name.to_string(),
        image: entry.service.container.image.clone(),
        revision: entry.revision,
        replicas: entry.wanted(),
        ready,
        updated,
        partition: entry.service.partition,
        placement: entry.service.placement.clone(),
        logs: entry.service.logs.clone(),
        probe: entry.service.probe.as_ref().map(ProbeView::of),
        environment: variables.map(|one| one.split('=').next().unwrap_or_default().to_owned()).collect(),
        hash: entry.service.container.hash.to_string(),
        hold: entry.held.as_ref().map(|hold| HoldView { reason: hold.reason.clone(), since: time(hold.since) }),
        removing: entry.removing,
        waiting: waiting.map(|((_, slot), why)| (*slot, why.clone())).collect(),
    }
}

/// All replicas, in the order of their services and slots.
pub(super) fn replicas(view: &View<'_>) -> Vec<ReplicaView> {
    let mut views = Vec::new();
    for ((service, slot), placed) in &view.cluster.slots {
        let newest = current(placed).map(|replica| replica.epoch);
        for replica in placed {
            let seen = seen(view, replica).cloned().unwrap_or_default();
            let awaits = seen.awaits && seen.state == Some(State::Running);
            let awaits = awaits.then(|| "its probe has not been answered well yet".to_owned());
            views.push(ReplicaView {
                name: replica.name.to_string(),
                service: service.to_string(),
                slot: *slot,
                epoch: replica.epoch,
                node: replica.node.to_string(),
                image: replica.template.image.clone(),
                revision: replica.revision,
                state: seen.state,
                health: seen.health,
                ready: seen.is_ready() && view.sight.standing(&replica.node, view.now) != Standing::Lost,
                leaving: newest != Some(replica.epoch),
                id: seen.id,
                exit_code: seen.exit_code,
                troubles: seen.troubles,
                restarts: seen.restarts,
                degraded: seen.degraded,
                problem: seen.ill.or(seen.problem).or(awaits).map(|why| redact::text(&why)),
            });
        }
    }
    views
}

/// A node and how it is.
pub(super) fn node(view: &View<'_>, name: &Name, node: &Node, replicas: usize) -> NodeView {
    let sight = view.sight.nodes.get(name);
    let silent = sight.and_then(|sight| sight.heard).map(|heard| view.now.since(heard).as_secs_f64());
    NodeView {
        name: name.to_string(),
        status: view.sight.standing(name, view.now),
        reach: match &node.reach {
            Reach::Agent => "agent".to_owned(),
            Reach::Engine(address) => address.clone(),
        },
        capacity: node.capacity,
        replicas,
        labels: node.labels.clone(),
        admission: node.admission,
        silent,
        stormed: view.sight.storm.contains(name),
        engine: sight.and_then(|sight| sight.report.engine.clone()).map(|why| redact::text(&why)),
    }
}

/// How many replicas each node has.
pub(super) fn counts<'a>(view: &View<'a>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for replica in view.cluster.slots.values().flatten() {
        *counts.entry(&*replica.node).or_default() += 1;
    }
    counts
}

pub(super) fn seen<'a>(view: &View<'a>, replica: &Placed) -> Option<&'a Seen> {
    view.sight.seen(&replica.node, &replica.name)
}
