//! How hosts become nodes: `/v1/join-tokens` for who lets them in, `/v1/join` for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::access::{Access, Asker, unavailable};
use super::body::json;
use super::refusals::{Refusals, WriteRefusals};
use super::{Guard, Problem};
use crate::credentials::{Admitted, JoinToken, NotJoined};
use crate::join::{JoinRequest, Joined, Ticket};
use crate::picture::time;
use crate::pki::{Authority, node_name};

/// For how long a join token is good unless it says otherwise, and at most.
const LASTS: Duration = Duration::from_hours(1);
const MAX_LASTS: Duration = Duration::from_hours(7 * 24);

/// The most labels, and characters of one.
const MAX_LABELS: usize = 64;
const MAX_LABEL: usize = 253;

/// What this is answered from.
#[derive(Clone)]
struct Porter {
    guard: Guard,
    authority: Arc<Authority>,
}

/// The routes by which hosts become nodes.
pub fn routes(guard: Guard, authority: Arc<Authority>) -> Router {
    Router::new()
        .route("/v1/join-tokens", post(make))
        .route("/v1/join", post(join))
        .route("/v1/join/renew", post(renew))
        .with_state(Porter { guard, authority })
}

/// What is said of these routes in `/openapi.json`.
#[derive(OpenApi)]
#[openapi(paths(make, join, renew))]
pub struct Interface;

/// A join token that is wanted.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct JoinTokenRequest {
    /// What the node is called. A node of that name is replaced. Without it, the host says its name, which must be new.
    #[schema(nullable = false)]
    node: Option<String>,
    /// How many containers it may run; else, the host says so.
    #[schema(nullable = false, minimum = 1)]
    capacity: Option<u32>,
    /// What it has that others have not.
    labels: BTreeMap<String, String>,
    /// How long the token is good: `10m`, `1h` (without it), `7d` at most.
    #[schema(nullable = false)]
    ttl: Option<String>,
}

/// A join token that was made.
#[derive(Serialize, ToSchema)]
struct NewJoinToken {
    /// The token itself, which is told this once. It works once.
    token: String,
    /// Until when it is good.
    expires: String,
}

/// Make a token with which one host becomes a node
#[utoipa::path(post, path = "/v1/join-tokens", operation_id = "make_join_token", tag = "access", request_body = JoinTokenRequest, responses(
    WriteRefusals,
    (status = 201, description = "it is good from now on, for one host", body = NewJoinToken),
    (status = 422, description = "JSON of another shape, or with values that can't be", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
async fn make(State(porter): State<Porter>, asker: Asker, body: Body) -> Result<Response, Problem> {
    porter.guard.access.admin(&asker).await?;
    let JoinTokenRequest { node, capacity, labels, ttl } = json(&asker.headers, body).await?;
    let unfit = |why: String| Problem::new(422, why);
    node.as_deref().map(node_name).transpose().map_err(unfit)?;
    if capacity == Some(0) {
        return Err(unfit("a node has a capacity of at least 1".to_owned()));
    }
    check_labels(&labels)?;
    let lasts = ttl.as_deref().map_or(Ok(LASTS), humantime::parse_duration);
    let lasts = lasts.ok().filter(|lasts| (Duration::from_secs(1)..=MAX_LASTS).contains(lasts));
    let lasts = lasts.ok_or_else(|| unfit("ttl: give 1s to 7d, such as 10m".to_owned()))?;
    let ticket = Ticket::new(porter.authority.fingerprint()).map_err(|error| internal(&error))?;
    let expires = Utc::now().timestamp().saturating_add(lasts.as_secs().cast_signed());
    let kept = JoinToken { hash: ticket.hash(), node, admitted: Admitted { capacity, labels }, expires };
    porter.guard.credentials.keep_join_token(&kept).await.map_err(|error| unavailable(&error))?;
    tracing::info!(node = kept.node.as_deref().unwrap_or("any"), expires = %time(expires), "join token made");
    let new = NewJoinToken { token: ticket.text(), expires: time(expires) };
    Ok((StatusCode::CREATED, [("cache-control", "no-store")], Json(new)).into_response())
}

/// Become a node
///
/// By TLS alone. The token does for one host; when the answer is lost, the same key may ask again.
#[utoipa::path(post, path = "/v1/join", operation_id = "join", tag = "nodes", request_body = JoinRequest, responses(
    WriteRefusals,
    (status = 200, description = "it is a node, and this is what it shows from now on", body = Joined),
    (status = 401, description = "the token does not count, or not any more", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not by TLS, or the token is for a node of another name", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "the token has been used, or there is a node of that name", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "JSON of another shape, no name, or no request for a certificate", body = Problem, content_type = "application/problem+json"),
), security(()))]
async fn join(State(porter): State<Porter>, asker: Asker, body: Body) -> Result<Response, Problem> {
    Access::secure(&asker)?;
    let JoinRequest { token, name, csr } = json(&asker.headers, body).await?;
    let uncounted = || Problem::unauthorized(&NotJoined::Unknown.to_string(), true);
    let ticket = Ticket::parse(&token).map_err(|_| uncounted())?;
    node_name(&name).map_err(|why| Problem::new(422, why))?;
    let admitted = porter.authority.admit(&name, &csr);
    let (certificate, key) = admitted.map_err(|error| Problem::new(422, format!("csr: {error:#}")))?;
    let now = Utc::now().timestamp();
    let joined = porter.guard.credentials.join(&ticket.hash(), &name, &key, now).await;
    match joined.map_err(|error| unavailable(&error))? {
        Ok(_) => {
            tracing::info!(node = %name, "joined");
            Ok(certified(certificate, &porter.authority))
        }
        Err(NotJoined::Unknown) => Err(uncounted()),
        Err(why @ NotJoined::Expired) => Err(Problem::unauthorized(&why.to_string(), true)),
        Err(why @ NotJoined::OtherName) => Err(Problem::new(403, why.to_string())),
        Err(why @ (NotJoined::Used | NotJoined::Taken)) => Err(Problem::new(409, why.to_string())),
    }
}

/// Have a node's next certificate made
///
/// By TLS, with the certificate that is to be replaced, for the same key.
#[utoipa::path(post, path = "/v1/join/renew", operation_id = "renew_certificate", tag = "nodes", responses(
    Refusals,
    (status = 200, description = "the next certificate", body = Joined),
    (status = 401, description = "a node's certificate is needed", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "the node has been taken out", body = Problem, content_type = "application/problem+json"),
), security(()))]
async fn renew(State(porter): State<Porter>, asker: Asker) -> Result<Response, Problem> {
    let member = porter.guard.access.node(&asker).await?;
    let peer = asker.peer().ok_or_else(|| Problem::unauthorized("a node's certificate is needed", false))?;
    let certificate = porter.authority.renew(peer).map_err(|error| internal(&error))?;
    tracing::info!(node = %member.name, "certificate renewed");
    Ok(certified(certificate, &porter.authority))
}

/// Whether a node may have these labels.
pub(super) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Problem> {
    let is_long = |text: &String| text.is_empty() || text.len() > MAX_LABEL;
    if labels.len() > MAX_LABELS || labels.iter().any(|(key, value)| is_long(key) || value.len() > MAX_LABEL) {
        let why = format!("labels: a node has at most {MAX_LABELS}, of {MAX_LABEL} characters each");
        return Err(Problem::new(422, why));
    }
    Ok(())
}

fn certified(certificate: String, authority: &Authority) -> Response {
    Json(Joined { certificate, ca: authority.pem().to_owned() }).into_response()
}

fn internal(error: &anyhow::Error) -> Problem {
    Problem::new(503, format!("{error:#}"))
}
