//! Nodes: who runs it.

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Problem;
use super::super::access::{Asker, unavailable};
use super::super::body::json;
use super::super::join::check_labels;
use super::super::path::Path;
use super::super::refusals::{Refusals, WriteRefusals};
use super::ClusterGateway;
use super::views::{NodeRequest, NodeView, counts, node};
use crate::cluster::commands::removable;
use crate::cluster::model::{Admission, Node, Reach};
use crate::cluster::state::Name;
use crate::pki::node_name;
use crate::settings::is_remote;

/// All nodes
#[utoipa::path(get, path = "/v1/nodes", operation_id = "list_nodes", tag = "nodes", responses(
    (status = 200, description = "in the order of their names", body = Vec<NodeView>),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn list(State(gateway): State<ClusterGateway>, asker: Asker) -> Result<Json<Vec<NodeView>>, Problem> {
    gateway.guard.access.read(&asker).await?;
    let all = gateway.server.read(|view| {
        let counts = counts(view);
        let nodes = view.cluster.nodes.iter();
        nodes.map(|(name, one)| node(view, name, one, counts.get(&**name).copied().unwrap_or_default())).collect()
    });
    Ok(Json(all.await?))
}

/// One node
#[utoipa::path(get, path = "/v1/nodes/{name}", operation_id = "get_node", tag = "nodes",
    params(("name" = String, Path, description = "the node's name")), responses(
    (status = 200, description = "the node", body = NodeView),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn one(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<Name>,
    asker: Asker,
) -> Result<Json<NodeView>, Problem> {
    gateway.guard.access.read(&asker).await?;
    let found = gateway.server.read(move |view| {
        let found = crate::cluster::commands::node(view, &name)?;
        let count = counts(view).get(&*name).copied().unwrap_or_default();
        Ok::<_, crate::cluster::server::Refusal>(node(view, &name, found, count))
    });
    Ok(Json(found.await??))
}

/// Take in a host without an agent
///
/// Its engine is asked from the server. Hosts with an agent join by themselves, with a join token.
#[utoipa::path(post, path = "/v1/nodes", operation_id = "add_node", tag = "nodes", request_body = NodeRequest, responses(
    (status = 201, description = "it is a node"),
    (status = 200, description = "it is one already, and is as this says now"),
    (status = 409, description = "there is one of that name that is reached in another way", body = Problem, content_type = "application/problem+json"),
    WriteRefusals,
), security((), ("token" = [])))]
pub(super) async fn add(State(gateway): State<ClusterGateway>, asker: Asker, body: Body) -> Result<Response, Problem> {
    gateway.guard.access.admin(&asker).await?;
    let NodeRequest { name, engine, capacity, labels } = json(&asker.headers, body).await?;
    let unfit = |why: String| Problem::new(422, why);
    node_name(&name).map_err(unfit)?;
    check_labels(&labels)?;
    if !is_remote(&engine) {
        return Err(unfit("engine: write https://10.0.0.7:2376 or tcp://10.0.0.7:2375".to_owned()));
    }
    if capacity == 0 {
        return Err(unfit("capacity: 1 is the least".to_owned()));
    }
    let admission = Admission::Open;
    let new = gateway.server.put_node(Node { name, reach: Reach::Engine(engine), capacity, labels, admission }).await?;
    Ok(if new { StatusCode::CREATED } else { StatusCode::OK }.into_response())
}

/// How a node is taken out.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Removal {
    /// Though it has replicas: who says so answers for that nothing of them runs there any more.
    #[serde(default)]
    force: bool,
}

/// Take a node out
#[utoipa::path(delete, path = "/v1/nodes/{name}", operation_id = "remove_node", tag = "nodes",
    params(("name" = String, Path, description = "the node's name"), Removal), responses(
    (status = 204, description = "it is a node no longer; its certificate does not count any more"),
    (status = 400, description = "force is true or false", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "it has replicas: drain it first", body = Problem, content_type = "application/problem+json"),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn remove(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<String>,
    removal: Result<Query<Removal>, axum::extract::rejection::QueryRejection>,
    asker: Asker,
) -> Result<StatusCode, Problem> {
    gateway.guard.access.admin(&asker).await?;
    let Query(Removal { force }) = removal.map_err(|_| Problem::new(400, "force: true or false"))?;
    let wanted: Name = name.as_str().into();
    gateway.server.read(move |view| removable(view, &wanted, force)).await??;
    // Its certificate first, or it would say at once that it is a node.
    gateway.guard.credentials.forget_member(&name).await.map_err(|error| unavailable(&error))?;
    gateway.server.remove_node(&name, force).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have what a node has go elsewhere
#[utoipa::path(post, path = "/v1/nodes/{name}/drain", operation_id = "drain_node", tag = "nodes",
    request_body(content = Object, description = "an empty object", content_type = "application/json"),
    params(("name" = String, Path, description = "the node's name")), responses(
    (status = 202, description = "it has begun"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    WriteRefusals,
), security((), ("token" = [])))]
pub(super) async fn drain(
    gateway: State<ClusterGateway>,
    name: Path<String>,
    asker: Asker,
    body: Body,
) -> Result<StatusCode, Problem> {
    admit(gateway, name, asker, body, Admission::Draining).await
}

/// Give a node no more
#[utoipa::path(post, path = "/v1/nodes/{name}/cordon", operation_id = "cordon_node", tag = "nodes",
    request_body(content = Object, description = "an empty object", content_type = "application/json"),
    params(("name" = String, Path, description = "the node's name")), responses(
    (status = 202, description = "it is given no more"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    WriteRefusals,
), security((), ("token" = [])))]
pub(super) async fn cordon(
    gateway: State<ClusterGateway>,
    name: Path<String>,
    asker: Asker,
    body: Body,
) -> Result<StatusCode, Problem> {
    admit(gateway, name, asker, body, Admission::Cordoned).await
}

/// Give a node more again
#[utoipa::path(post, path = "/v1/nodes/{name}/uncordon", operation_id = "uncordon_node", tag = "nodes",
    request_body(content = Object, description = "an empty object", content_type = "application/json"),
    params(("name" = String, Path, description = "the node's name")), responses(
    (status = 202, description = "it may be given more"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    WriteRefusals,
), security((), ("token" = [])))]
pub(super) async fn uncordon(
    gateway: State<ClusterGateway>,
    name: Path<String>,
    asker: Asker,
    body: Body,
) -> Result<StatusCode, Problem> {
    admit(gateway, name, asker, body, Admission::Open).await
}

async fn admit(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<String>,
    asker: Asker,
    body: Body,
    admission: Admission,
) -> Result<StatusCode, Problem> {
    gateway.guard.access.write(&asker).await?;
    let _: serde_json::Map<String, serde_json::Value> = json(&asker.headers, body).await?;
    gateway.server.admit(&name, admission).await?;
    Ok(StatusCode::ACCEPTED)
}
