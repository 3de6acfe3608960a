//! The description of the HTTP interface, made from the code that answers.

use axum::Json;
use upbeat_service::openapi::{self as common, Bearer};
use utoipa::OpenApi;

/// Every route of the producer.
#[derive(OpenApi)]
#[openapi(
    info(title = "Upbeat producer", description = "Publishes messages to an SNS topic."),
    paths(super::publish, common::health, common::ready, openapi),
    modifiers(&Bearer),
)]
struct Interface;

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "service", responses((status = 200, description = "the description", body = Object)))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Interface::openapi())
}
