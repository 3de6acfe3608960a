//! The HTTP interface: what is wanted, what is, what follows; and the few things that may be asked for.
//!
//! All answers come from the loop's last [`Picture`](crate::picture::Picture); the engine is asked for nothing but what
//! containers have printed. What is asked for is written to the store, and the loop finds it there.

mod access;
mod asker;
mod body;
pub mod cluster;
mod events;
pub mod join;
mod logs;
mod openapi;
mod path;
mod read;
mod refusals;
mod tokens;
mod views;
mod write;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{delete, get, post};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use access::Access;
use upbeat_service::{Problem, docs};

use crate::allow::AllowList;
use crate::control::Shared;
use crate::credentials::Credentials;
use crate::runtime::Runtime;
use crate::store::Store;

/// How many may listen to `/v1/events`, or wait for `/v1/logs`, at a time.
const LISTENERS: usize = 100;

/// How long the loop may take to go by what was written, before that is answered anyway.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(5);

/// Who may ask for what, and how that is changed.
#[derive(Clone)]
pub struct Guard {
    access: Access,
    credentials: Arc<dyn Credentials>,
}

impl Guard {
    /// By the settings and by what is kept.
    #[must_use]
    pub fn new(access: Access, credentials: Arc<dyn Credentials>) -> Self {
        Self { access: access.by(Arc::clone(&credentials)), credentials }
    }

    /// The routes by which it is changed.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/v1/tokens", get(tokens::list).post(tokens::make))
            .route("/v1/tokens/{name}", delete(tokens::forget))
            .with_state(self)
    }
}

/// What requests are answered from.
#[derive(Clone)]
pub struct Gateway {
    guard: Guard,
    shared: Shared,
    store: Arc<dyn Store>,
    /// The allow list of the settings, if that is what decides.
    setting: Option<AllowList>,
    engine: Arc<dyn Runtime>,
    listeners: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Gateway {
    /// Of a loop, its store and its engine.
    #[must_use]
    pub fn new(
        guard: Guard,
        shared: Shared,
        store: Arc<dyn Store>,
        setting: Option<AllowList>,
        engine: Arc<dyn Runtime>,
        stop: CancellationToken,
    ) -> Self {
        Self { guard, shared, store, setting, engine, listeners: Arc::new(Semaphore::new(LISTENERS)), stop }
    }

    /// Has the loop read again what is held, and waits until it goes by that.
    async fn changed(&self, name: &str, held: bool) {
        self.shared.marks.leave(|left| left.reload = true);
        let mut picture = self.shared.picture.clone();
        let in_force = picture.wait_for(|picture| picture.desired.held.contains(name) == held);
        // A loop that is busy finds it later all the same.
        drop(tokio::time::timeout(IN_FORCE_WITHIN, in_force).await);
    }
}

/// The routes of a node that goes by a server's orders: what can be seen there.
pub fn node_routes(gateway: Gateway) -> Router {
    Router::new()
        .route("/", get(read::inventory))
        .route("/containers", get(read::containers))
        .route("/v1/plan", get(read::plan))
        .route("/v1/events", get(events::stream))
        .route("/v1/logs/{name}", get(logs::logs))
        .route("/openapi.json", get(openapi::node_openapi))
        .with_state(gateway)
        .merge(docs::routes("ui"))
        .method_not_allowed_fallback(no_method)
        .fallback(nothing)
}

/// The routes of the orchestrator.
pub fn routes(gateway: Gateway) -> Router {
    let guard = gateway.guard.clone().routes();
    Router::new()
        .route("/", get(read::inventory))
        .route("/containers", get(read::containers))
        .route("/v1/plan", get(read::plan))
        .route("/v1/snapshot", get(read::snapshot).post(write::retake))
        .route("/v1/allow", get(read::allow).put(write::allow))
        .route("/v1/events", get(events::stream))
        .route("/v1/logs/{name}", get(logs::logs))
        .route("/v1/containers/{name}/hold", post(write::hold).delete(write::release))
        .route("/openapi.json", get(openapi::openapi))
        .with_state(gateway)
        .merge(docs::routes("ui"))
        .merge(guard)
        .method_not_allowed_fallback(no_method)
        .fallback(nothing)
}

async fn no_method() -> Problem {
    Problem::new(405, "there is no such method here")
}

async fn nothing() -> Problem {
    Problem::new(404, "there is nothing here; /openapi.json tells what there is")
}
