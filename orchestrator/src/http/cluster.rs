//! The HTTP interface of a cluster's server: services, nodes, what runs where; and what agents ask.

mod agents;
mod logs;
mod nodes;
mod openapi;
mod servers;
mod services;
mod status;
mod views;

pub use views::Hello;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use upbeat_service::docs;

use super::access::Asker;
use super::{Guard, LISTENERS, Problem, events, join, no_method, nothing};
use crate::cluster::quorum::Quorum;
use crate::cluster::remote::Engines;
use crate::cluster::server::{Refusal, Server};
use crate::cluster::tails::Tails;
use crate::pki::Authority;

/// What requests are answered from.
#[derive(Clone)]
pub struct ClusterGateway {
    guard: Guard,
    server: Server,
    engines: Engines,
    tails: Tails,
    listeners: Arc<Semaphore>,
    stop: CancellationToken,
    quorum: Option<Arc<Quorum>>,
}

impl ClusterGateway {
    /// Of a server, and how it asks engines.
    #[must_use]
    pub fn new(guard: Guard, server: Server, engines: Engines, stop: CancellationToken) -> Self {
        let (tails, listeners) = (Tails::default(), Arc::new(Semaphore::new(LISTENERS)));
        Self { guard, server, engines, tails, listeners, stop, quorum: None }
    }

    /// Of one of several servers.
    #[must_use]
    pub fn among(mut self, quorum: Option<Arc<Quorum>>) -> Self {
        self.quorum = quorum;
        self
    }
}

/// The routes of a server; with an authority, also those by which hosts become nodes.
pub fn routes(gateway: ClusterGateway, authority: Option<Arc<Authority>>) -> Router {
    let guard = gateway.guard.clone();
    let quorum = gateway.quorum.clone();
    let described = openapi::described(authority.is_some(), quorum.is_some());
    let joining = authority.map(|authority| join::routes(guard.clone(), authority)).unwrap_or_default();
    let routes = Router::new()
        .route("/", get(status::inventory))
        .route("/containers", get(status::replicas))
        .route("/status", get(status::status))
        .route("/create", post(services::create))
        .route("/v1/services", get(services::list))
        .route("/v1/services/{name}", get(services::one).put(services::put).delete(services::remove))
        .route("/v1/services/{name}/scale", post(services::scale))
        .route("/v1/services/{name}/restart", post(services::restart))
        .route("/v1/services/{name}/hold", post(services::hold).delete(services::release))
        .route("/v1/nodes", get(nodes::list).post(nodes::add))
        .route("/v1/nodes/{name}", get(nodes::one).delete(nodes::remove))
        .route("/v1/nodes/{name}/drain", post(nodes::drain))
        .route("/v1/nodes/{name}/cordon", post(nodes::cordon))
        .route("/v1/nodes/{name}/uncordon", post(nodes::uncordon))
        .route("/v1/replicas", get(status::replicas))
        .route("/v1/plan", get(status::plan))
        .route("/v1/events", get(stream))
        .route("/v1/logs/{name}", get(logs::logs))
        .route("/v1/agent", put(agents::hello))
        .route("/v1/agent/exchange", post(agents::exchange))
        .route("/v1/agent/logs/{id}", post(agents::printed))
        .with_state(gateway)
        .merge(guard.clone().routes())
        .merge(joining)
        .method_not_allowed_fallback(no_method);
    let routes = match quorum {
        Some(quorum) => servers::led(routes, &quorum).merge(servers::routes(guard, quorum)),
        None => routes,
    };
    routes
        .route("/openapi.json", get(async move || Json(described)))
        .merge(docs::routes("ui"))
        .method_not_allowed_fallback(no_method)
        .fallback(nothing)
}

async fn stream(State(gateway): State<ClusterGateway>, asker: Asker) -> Result<Response, Problem> {
    gateway.guard.access.read(&asker).await?;
    events::told(gateway.server.events(), &gateway.listeners, gateway.stop.clone())
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NotFound(_) => 404,
            Refusal::Conflict(_) => 409,
            Refusal::Precondition(_) => 412,
            Refusal::Invalid(_) => 422,
            Refusal::Store(_) | Refusal::Away(_) => 503,
        };
        Self::new(status, refusal.to_string())
    }
}
