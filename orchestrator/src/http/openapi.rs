//! The description of the HTTP interface, made from the code that answers.

use axum::Json;
use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::{events, read, tokens, write};

/// Every route of the orchestrator.
#[derive(OpenApi)]
#[openapi(
    info(title = "Upbeat orchestrator", description = "Keeps the containers of a Docker host as they are wanted."),
    paths(
        read::inventory, read::containers, read::plan, read::snapshot, write::retake, read::allow, write::allow,
        events::stream, write::hold, write::release, tokens::make, tokens::list, tokens::forget, health, ready, openapi
    ),
    modifiers(&Bearer),
)]
struct Interface;

/// One of the tokens of `/v1/tokens` or, where it is set, of `--token-file`.
pub(super) struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// What `/health` and `/ready` of the service crate say.
#[derive(Serialize, ToSchema)]
struct Status {
    /// `UP!`, `READY` or `DOWN`.
    status: String,
    /// Why it is down.
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// Liveness: whether every task makes progress.
#[utoipa::path(get, path = "/health", tag = "service", responses(
    (status = 200, description = "up", body = Status),
    (status = 503, description = "a task is stuck; the reason names it", body = Status),
))]
#[expect(dead_code, reason = "answered by the service crate")]
const fn health() {}

/// Readiness: whether the engine answers, and what is wanted can be read and kept.
#[utoipa::path(get, path = "/ready", tag = "service", responses(
    (status = 200, description = "ready", body = Status),
    (status = 503, description = "not ready, and why", body = Status),
))]
#[expect(dead_code, reason = "answered by the service crate")]
const fn ready() {}

/// What every interface of ours has, besides.
#[derive(OpenApi)]
#[openapi(paths(events::stream, health, ready, openapi))]
struct Common;

/// These routes, and those that every interface has.
pub(super) fn common(interface: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    interface.merge_from(Common::openapi())
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "service", responses((status = 200, description = "the description", body = Object)))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Interface::openapi())
}
