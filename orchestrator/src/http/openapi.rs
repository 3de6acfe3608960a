//! The description of the HTTP interface, made from the code that answers.

use axum::Json;
use upbeat_service::openapi as service;
pub(super) use upbeat_service::openapi::Bearer;
use utoipa::OpenApi;

use super::{events, logs, read, tokens, write};

/// Every route of the orchestrator.
#[derive(OpenApi)]
#[openapi(
    info(title = "Upbeat orchestrator", description = "Keeps the containers of a Docker host as they are wanted."),
    paths(
        read::inventory, read::containers, read::plan, read::snapshot, write::retake, read::allow, write::allow,
        events::stream, logs::logs, write::hold, write::release, tokens::make, tokens::list, tokens::forget, service::health, service::ready, openapi
    ),
    modifiers(&Bearer),
)]
struct Interface;

/// What every interface of ours has, besides.
#[derive(OpenApi)]
#[openapi(paths(events::stream, service::health, service::ready, openapi))]
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
