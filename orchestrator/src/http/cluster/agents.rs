//! What agents ask, by TLS, with their nodes' certificates. Not for people, and so not in `/openapi.json`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use upbeat_service::http::Quiet;

use super::super::Problem;
use super::super::access::Asker;
use super::super::body::{json, json_within};
use super::super::join::check_labels;
use super::super::path::Path;
use super::ClusterGateway;
use super::views::Hello;
use crate::cluster::model::{Admission, Node, Reach};
use crate::cluster::tails::{Printed, Tail};
use crate::cluster::wire::{Orders, Report};
use crate::runtime::MOST_PRINTED;

/// The most bytes of a report: of some ten thousand containers.
const MAX_REPORT: usize = 8 * 1024 * 1024;

/// The most bytes of what a replica printed, as JSON writes them: each may need six.
const MAX_PRINTED: usize = 6 * MOST_PRINTED + 1024;

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

/// What a node is told.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    orders: &'a Orders,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tails: Vec<Tail>,
}

/// A node tells what it sees, and is told what is to run, and what is wanted of it; nothing, if it goes by the orders
/// already, and nothing is wanted.
pub(super) async fn exchange(
    State(gateway): State<ClusterGateway>,
    Query(Waits { waits }): Query<Waits>,
    asker: Asker,
    body: Body,
) -> Result<Response, Problem> {
    let member = gateway.guard.access.node(&asker).await?;
    let report: Report = json_within(&asker.headers, body, MAX_REPORT).await?;
    let stamp = report.stamp;
    let node = member.name.as_str();
    let orders = if waits {
        tokio::select! {
            biased;
            orders = gateway.server.exchange(node, report.clone(), true) => orders?,
            // What somebody waits for is told at once, with whatever orders there are.
            () = gateway.tails.wanted(node) => gateway.server.exchange(node, report, false).await?,
        }
    } else {
        gateway.server.exchange(node, report, false).await?
    };
    let tails = gateway.tails.take(node);
    let mut answer = if Some(orders.stamp) == stamp && tails.is_empty() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        Json(Told { orders: &orders, tails }).into_response()
    };
    // Each node asks every two seconds, and more often when something changes: the log would be of nothing else.
    answer.extensions_mut().insert(Quiet);
    Ok(answer)
}

/// A node sends what a replica printed, which it was told that somebody wants.
pub(super) async fn printed(
    State(gateway): State<ClusterGateway>,
    Path(id): Path<String>,
    asker: Asker,
    body: Body,
) -> Result<StatusCode, Problem> {
    let member = gateway.guard.access.node(&asker).await?;
    let printed: Printed = json_within(&asker.headers, body, MAX_PRINTED).await?;
    if matches!(&printed, Printed::Text(text) if text.len() > MOST_PRINTED) {
        return Err(Problem::new(413, format!("at most {MOST_PRINTED} bytes are wanted")));
    }
    let is_wanted = id.parse().is_ok_and(|id| gateway.tails.answer(&member.name, id, printed));
    if is_wanted {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(404, "nobody waits for that, or not any more"))
    }
}
