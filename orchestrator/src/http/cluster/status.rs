//! What runs where.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::Problem;
use super::super::access::Asker;
use super::super::refusals::Refusals;
use super::ClusterGateway;
use super::views::{ReplicaView, StatusView, replicas as all_replicas, seen};
use crate::cluster::schedule::decide;
use crate::cluster::sight::Standing;
use crate::cluster::state::{Change, current};
use crate::cluster::wire::Seen;

/// A replica, as `docker ps --format json` writes a container.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Row {
    #[serde(rename = "ID")]
    id: String,
    image: String,
    /// Docker's word, or `missing`.
    state: String,
    names: String,
    /// The node that it is on.
    node: String,
}

/// What is to change, and what waits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClusterPlan {
    /// What is about to change.
    changes: Vec<ChangeView>,
    /// Why replicas are not placed, by `service.slot`.
    waiting: BTreeMap<String, String>,
}

/// Something that is about to change.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeView {
    /// `place`, `retire`, `forget`.
    change: &'static str,
    /// What it is about.
    what: String,
    why: String,
}

/// The inventory: all replicas, in one array
#[utoipa::path(get, path = "/", tag = "status", responses(
    (status = 200, description = "the inventory", body = Vec<Row>),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn inventory(State(gateway): State<ClusterGateway>, asker: Asker) -> Result<Json<Vec<Row>>, Problem> {
    gateway.guard.access.read(&asker).await?;
    let rows = gateway.server.read(|view| {
        let row = |replica: ReplicaView| Row {
            state: replica.state.map_or("missing", |state| state.word()).to_owned(),
            id: replica.id,
            image: replica.image,
            names: replica.name,
            node: replica.node,
        };
        all_replicas(view).into_iter().map(row).collect()
    });
    Ok(Json(rows.await?))
}

/// Every replica, where it is and how
#[utoipa::path(get, path = "/v1/replicas", tag = "status", responses(
    (status = 200, description = "in the order of their services and slots; the same at `/containers`", body = Vec<ReplicaView>),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn replicas(
    State(gateway): State<ClusterGateway>,
    asker: Asker,
) -> Result<Json<Vec<ReplicaView>>, Problem> {
    gateway.guard.access.read(&asker).await?;
    Ok(Json(gateway.server.read(all_replicas).await?))
}

/// How the cluster is
#[utoipa::path(get, path = "/status", tag = "status", responses(
    (status = 200, description = "nodes and services, counted", body = StatusView),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn status(State(gateway): State<ClusterGateway>, asker: Asker) -> Result<Json<StatusView>, Problem> {
    gateway.guard.access.read(&asker).await?;
    let status = gateway.server.read(|view| {
        let words = [(Standing::Up, "up"), (Standing::Suspect, "suspect"), (Standing::Lost, "lost")];
        let standings: Vec<_> = view.cluster.nodes.keys().map(|node| view.sight.standing(node, view.now)).collect();
        let count = |wanted: Standing| standings.iter().filter(|standing| **standing == wanted).count();
        let services = view.cluster.services.iter().map(|(name, entry)| {
            let slots = view.cluster.slots_of(name).filter_map(|(_, placed)| current(placed));
            let ready = slots.filter(|replica| seen(view, replica).is_some_and(Seen::is_ready)).count();
            (name.to_string(), format!("{ready}/{}", entry.wanted()))
        });
        StatusView {
            cluster: view.cluster.id.clone(),
            nodes: words.into_iter().map(|(standing, word)| (word.to_owned(), count(standing))).collect(),
            storm: !view.sight.storm.is_empty(),
            services: services.collect(),
            waiting: view.waiting.len(),
        }
    });
    Ok(Json(status.await?))
}

/// What is about to change, and why what is wanted is not there
#[utoipa::path(get, path = "/v1/plan", tag = "status", responses(
    (status = 200, description = "as a rule nothing: what can be done is done at once", body = ClusterPlan),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn plan(State(gateway): State<ClusterGateway>, asker: Asker) -> Result<Json<ClusterPlan>, Problem> {
    gateway.guard.access.read(&asker).await?;
    let plan = gateway.server.read(|view| {
        let decision = decide(view.cluster, view.sight, view.now);
        let change = |(change, why)| {
            let (word, what) = match change {
                Change::Place(_, _, placed) => ("place", format!("{} on {}", placed.name, placed.node)),
                Change::Retire(service, slot, epoch) => ("retire", format!("{service}.{slot}.{epoch}")),
                Change::Forget(service, slot, epoch) => ("forget", format!("{service}.{slot}.{epoch}")),
                Change::Service(name, _)
                | Change::ForgetService(name)
                | Change::Node(name, _)
                | Change::ForgetNode(name) => ("forget", name.to_string()),
            };
            ChangeView { change: word, what, why }
        };
        let waiting = decision.waiting.into_iter().map(|((service, slot), why)| (format!("{service}.{slot}"), why));
        ClusterPlan { waiting: waiting.collect(), changes: decision.changes.into_iter().map(change).collect() }
    });
    Ok(Json(plan.await?))
}
