//! The description of the HTTP interface, made from the code that answers.

use axum::Json;
use serde::Serialize;
use upbeat_service::openapi as common;
use utoipa::{OpenApi, ToSchema};

/// Every route of shout.
#[derive(OpenApi)]
#[openapi(
    info(title = "Upbeat shout", description = "Reverses text by user-perceived characters, and capitalises it."),
    paths(super::shout, common::health, ready, openapi)
)]
struct Interface;

/// What `/ready` of the service crate says.
#[derive(Serialize, ToSchema)]
struct Ready {
    /// `READY` or `DOWN`.
    status: String,
    /// Why it is not ready.
    #[schema(nullable = false)]
    reason: Option<String>,
    /// Where the upstream is, and whether it fails; none if there is no upstream.
    #[schema(nullable = false)]
    upstream: Option<String>,
    /// Where answers are kept.
    #[schema(nullable = false)]
    cache: Option<String>,
}

/// Readiness: whether texts are taken
#[utoipa::path(get, path = "/ready", tag = "service", responses(
    (status = 200, description = "ready", body = Ready),
    (status = 503, description = "not ready, and why", body = Ready),
))]
#[expect(dead_code, reason = "answered by the service crate")]
const fn ready() {}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "service",
    responses((status = 200, description = "the description", body = Object)))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Interface::openapi())
}
