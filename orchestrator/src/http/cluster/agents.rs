//! What agents ask, by TLS, with their nodes' certificates. Not for people, and so not in `/openapi.json`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use upbeat_service::http::Quiet;

use super::super::Problem;
use super::super::access::Asker;
use super::super::body::{json, json_within};
use super::super::join::check_labels;
use super::ClusterGateway;
use super::views::Hello;
use crate::cluster::model::{Admission, Node, Reach};
use crate::cluster::wire::Report;

/// The most bytes of a report: of some ten thousand containers.
const MAX_REPORT: usize = 8 * 1024 * 1024;

/// A node says what it is, at its start.
pub(super) async fn hello(
    State(gateway): State<ClusterGateway>,
    asker: Asker,
    body: Body,
) -> Result<StatusCode, Problem> {
    let member = gateway.guard.access.node(&asker).await?;
    let Hello { capacity, mut labels } = json(&asker.headers, body).await?;
    check_labels(&labels)?;
    labels.extend(member.admitted.labels);
    let capacity = member.admitted.capacity.unwrap_or(capacity).max(1);
    let name = member.name.clone();
    let admission = gateway.server.read(move |view| view.cluster.nodes.get(name.as_str()).map(|node| node.admission));
    // Who it is says nothing of whether it may be given more.
    let admission = admission.await?.unwrap_or(Admission::Open);
    gateway.server.put_node(Node { name: member.name, reach: Reach::Agent, capacity, labels, admission }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether a node waits for new orders.
#[derive(Deserialize)]
pub(super) struct Waits {
    #[serde(default)]
    waits: bool,
}

/// A node tells what it sees, and is told what is to run; nothing, if that is what it goes by.
pub(super) async fn exchange(
    State(gateway): State<ClusterGateway>,
    Query(Waits { waits }): Query<Waits>,
    asker: Asker,
    body: Body,
) -> Result<Response, Problem> {
    let member = gateway.guard.access.node(&asker).await?;
    let report: Report = json_within(&asker.headers, body, MAX_REPORT).await?;
    let stamp = report.stamp;
    let orders = gateway.server.exchange(&member.name, report, waits).await?;
    let mut answer = if Some(orders.stamp) == stamp {
        StatusCode::NO_CONTENT.into_response()
    } else {
        Json(&*orders).into_response()
    };
    // Each node asks every two seconds, and more often when something changes: the log would be of nothing else.
    answer.extensions_mut().insert(Quiet);
    Ok(answer)
}
