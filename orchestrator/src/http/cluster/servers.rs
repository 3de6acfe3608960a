//! Several servers: which there are, what they ask each other, and the way from one that does not lead to the one that
//! does.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use upbeat_service::http::Quiet;
use utoipa::{OpenApi, ToSchema};

use super::super::access::{Access, Asker};
use super::super::body::{json, json_within};
use super::super::path::Path;
use super::super::refusals::{Refusals, WriteRefusals};
use super::super::{Guard, Problem, no_method};
use crate::cluster::quorum::{MAX_MESSAGE, NotYet, Quorum, shown};
use crate::settings::https_url;

/// What requests are answered from.
#[derive(Clone)]
struct Servers {
    guard: Guard,
    quorum: Arc<Quorum>,
}

/// One of the servers.
#[derive(Serialize, ToSchema)]
struct ServerView {
    /// Its id, in hex.
    id: String,
    /// How it is reached.
    url: String,
    /// Whether it leads.
    leads: bool,
    /// Whether it counts for a majority. One that has just been added does not yet.
    votes: bool,
    /// How many entries of the log it has not got yet. The one that leads knows that of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewServer {
    id: String,
    url: String,
}

#[derive(OpenApi)]
#[openapi(paths(list_servers, remove_server))]
pub(super) struct Interface;

/// The routes of what these serve: whoever asks a server that does not lead is sent to the one that does.
pub(super) fn led(routes: Router, quorum: &Arc<Quorum>) -> Router {
    routes.layer(from_fn_with_state(Arc::clone(quorum), lead))
}

/// Those that every server answers itself.
pub(super) fn routes(guard: Guard, quorum: Arc<Quorum>) -> Router {
    Router::new()
        .route("/v1/servers", get(list_servers).post(add_server))
        .route("/v1/servers/{id}", delete(remove_server))
        .route("/v1/quorum/append", post(append))
        .route("/v1/quorum/vote", post(vote))
        .route("/v1/quorum/snapshot", post(snapshot))
        .method_not_allowed_fallback(no_method)
        .with_state(Servers { guard, quorum })
}

async fn lead(State(quorum): State<Arc<Quorum>>, request: Request, next: Next) -> Response {
    match elsewhere(&quorum, request.uri()) {
        Some(away) => away,
        None => next.run(request).await,
    }
}

/// What is answered by one that does not lead.
fn elsewhere(quorum: &Quorum, uri: &Uri) -> Option<Response> {
    if quorum.leads() {
        return None;
    }
    let Some(leader) = quorum.leader() else {
        let why = "no majority of the servers has elected one of them yet";
        return Some(([(header::RETRY_AFTER, "1")], Problem::new(503, why)).into_response());
    };
    let to = format!("{leader}{}", uri.path_and_query().map_or("/", |path| path.as_str()));
    let mut away = ([(header::LOCATION, to)], Problem::new(307, "another server leads")).into_response();
    away.extensions_mut().insert(Quiet);
    Some(away)
}

/// The servers
///
/// Of several: the others as this one knows them.
#[utoipa::path(get, path = "/v1/servers", tag = "servers", responses(
    Refusals,
    (status = 200, description = "the servers, by their addresses", body = Vec<ServerView>),
), security((), ("token" = [])))]
async fn list_servers(State(servers): State<Servers>, asker: Asker) -> Result<Json<Vec<ServerView>>, Problem> {
    servers.guard.access.read(&asker).await?;
    let view = |known: crate::cluster::quorum::Known| ServerView {
        id: shown(known.id),
        url: known.url,
        leads: known.leads,
        votes: known.votes,
        behind: known.behind,
    };
    Ok(Json(servers.quorum.servers().into_iter().map(view).collect()))
}

/// Another server asks to be one of these. Not for people, and so not in `/openapi.json`.
async fn add_server(State(servers): State<Servers>, uri: Uri, asker: Asker, body: Body) -> Result<Response, Problem> {
    Access::server(&asker)?;
    if let Some(away) = elsewhere(&servers.quorum, &uri) {
        return Ok(away);
    }
    let NewServer { id, url } = json(&asker.headers, body).await?;
    let url = https_url(&url).map_err(|why| Problem::new(422, format!("url: {why}")))?;
    let id = id_of(&id)?;
    tracing::info!(id = %shown(id), %url, "a server joins");
    servers.quorum.add(id, url).await.map_err(|error| Problem::new(503, format!("{error:#}")))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Take a server out
///
/// The others need no answer of it any more. It must not be started again with what it keeps, and whoever has that is a
/// server of the same authority.
#[utoipa::path(delete, path = "/v1/servers/{id}", tag = "servers",
    params(("id" = String, Path, description = "the server's id")), responses(
    WriteRefusals,
    (status = 204, description = "it is none any more"),
    (status = 404, description = "there is none of this id", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "it leads", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "no id", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
async fn remove_server(
    State(servers): State<Servers>,
    Path(id): Path<String>,
    uri: Uri,
    asker: Asker,
) -> Result<Response, Problem> {
    servers.guard.access.admin(&asker).await?;
    if let Some(away) = elsewhere(&servers.quorum, &uri) {
        return Ok(away);
    }
    let id = id_of(&id)?;
    if servers.quorum.servers().iter().any(|known| known.id == id && known.leads) {
        return Err(Problem::new(409, "it leads; stop it, and ask the one that leads then"));
    }
    match servers.quorum.remove(id).await {
        Ok(true) => {
            tracing::info!(id = %shown(id), "server taken out");
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Ok(false) => Err(Problem::new(404, "there is no server of that id")),
        Err(error) => Err(Problem::new(503, format!("{error:#}"))),
    }
}

async fn append(State(servers): State<Servers>, asker: Asker, body: Body) -> Result<Response, Problem> {
    let message = of_server(&asker, body).await?;
    Ok(answered(servers.quorum.append(message).await))
}

async fn vote(State(servers): State<Servers>, asker: Asker, body: Body) -> Result<Response, Problem> {
    let message = of_server(&asker, body).await?;
    Ok(answered(servers.quorum.vote(message).await))
}

async fn snapshot(State(servers): State<Servers>, asker: Asker, body: Body) -> Result<Response, Problem> {
    let message = of_server(&asker, body).await?;
    Ok(answered(servers.quorum.install(message).await))
}

/// What another server says.
async fn of_server<T: DeserializeOwned>(asker: &Asker, body: Body) -> Result<T, Problem> {
    Access::server(asker)?;
    json_within(&asker.headers, body, MAX_MESSAGE).await
}

/// Several times a second: the log would be of nothing else.
fn answered<T: Serialize>(answer: Result<T, NotYet>) -> Response {
    let mut answer = match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(why) => Problem::new(503, why.to_string()).into_response(),
    };
    answer.extensions_mut().insert(Quiet);
    answer
}

fn id_of(text: &str) -> Result<u64, Problem> {
    u64::from_str_radix(text, 16)
        .map_err(|_| Problem::new(422, "an id has 16 digits of hex, as GET /v1/servers has it"))
}
