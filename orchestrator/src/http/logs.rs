//! `GET /v1/logs/{name}`: the last lines that a container printed.
//!
//! There may be secrets in them, so that `--public-status` does not open this.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::access::Asker;
use super::path::Path;
use super::refusals::Refusals;
use super::write::name_of;
use super::{Gateway, Problem};
use crate::runtime::{Runtime, RuntimeError};

/// The most lines.
const MOST: u32 = 10_000;

/// How long the engine may take.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// How much is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Tail {
    /// How many lines at most.
    #[serde(default = "hundred")]
    #[param(default = 100, minimum = 1, maximum = 10_000)]
    tail: u32,
}

pub(super) type Asked = Result<Query<Tail>, QueryRejection>;

/// The last lines that a container printed
///
/// As it printed them, on both its outputs, at most 1 MiB. Nothing is taken out of them, and so `--public-status` does
/// not open this.
#[utoipa::path(get, path = "/v1/logs/{name}", tag = "containers",
    params(("name" = String, Path, description = "the container's name"), Tail), responses(
    Refusals,
    (status = 200, description = "the lines", content_type = "text/plain", body = String),
    (status = 400, description = "tail is 1 to 10000", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "no container's name, or its engine does not keep what it prints", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many ask", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn logs(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    tail: Asked,
    asker: Asker,
) -> Result<Response, Problem> {
    gateway.guard.access.read_private(&asker).await?;
    printed(&*gateway.engine, &name_of(name)?, lines(tail)?, &gateway.listeners).await
}

/// How many lines are wanted.
pub(super) fn lines(asked: Asked) -> Result<u32, Problem> {
    let tail = asked.ok().map(|Query(Tail { tail })| tail).filter(|tail| (1..=MOST).contains(tail));
    tail.ok_or_else(|| Problem::new(400, format!("tail: 1 to {MOST}")))
}

/// What this engine has of it, if not too many ask already.
pub(super) async fn printed(
    engine: &dyn Runtime,
    name: &str,
    lines: u32,
    askers: &Arc<Semaphore>,
) -> Result<Response, Problem> {
    let _permit = askers.try_acquire().map_err(|_| Problem::new(429, "too many ask"))?;
    let answered = timeout(LIMIT, engine.tail(name, lines)).await;
    let text = answered.map_err(|_| Problem::new(503, format!("the engine has not answered for {LIMIT:?}")))?;
    let text = text.map_err(|error| match error {
        RuntimeError::Missing(_) => Problem::new(404, format!("there is no container {name}")),
        RuntimeError::Unreachable(_) => Problem::new(503, error.to_string()),
        RuntimeError::Refused(why) | RuntimeError::Exists(why) => Problem::new(422, why),
    })?;
    Ok(plain(text))
}

/// What a container printed, as it did.
pub(super) fn plain(text: String) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    // Whatever it printed, no browser takes it for a page.
    (headers, [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text).into_response()
}

const fn hundred() -> u32 {
    100
}
