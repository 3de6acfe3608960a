//! What the descriptions of all HTTP interfaces have in common: what this crate answers, and how tokens are sent.

use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, ToSchema};

/// The security scheme `token`: a bearer token, where one is asked for.
#[derive(Debug)]
pub struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// What `/health` and `/ready` say.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// `UP!`, `READY` or `DOWN`.
    status: String,
    /// Why it is down.
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// Liveness: whether every task makes progress
#[utoipa::path(get, path = "/health", tag = "service", responses(
    (status = 200, description = "up", body = Status),
    (status = 503, description = "a task is stuck; the reason names it", body = Status),
))]
pub const fn health() {}

/// Readiness: whether what the service needs is there
#[utoipa::path(get, path = "/ready", tag = "service", responses(
    (status = 200, description = "ready", body = Status),
    (status = 503, description = "not ready, and why", body = Status),
))]
pub const fn ready() {}
