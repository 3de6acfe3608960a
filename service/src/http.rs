//! The HTTP server of a service: `/health`, `/ready`, its own routes, and an access line for every request, but those
//! that are answered [`Quiet`]ly.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::Utc;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::logs::ACCESS;
use crate::{Health, Readiness};

/// How long open requests may take after the service itself is done.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// `/health`, `/ready` and these routes, with an access line for every request; whoever serves it tells it where requests
/// come from, by a [`ConnectInfo`] of a [`SocketAddr`].
pub fn app(health: Health, readiness: Readiness, routes: Router) -> Router {
    Router::new()
        .route("/health", get(liveness).with_state(health))
        .route("/ready", get(ready).with_state(readiness))
        .merge(routes)
        .layer(from_fn(log_access))
}

/// Serves until `stop`, then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    readiness: Readiness,
    routes: Router,
    stop: CancellationToken,
) {
    let app = app(health, readiness, routes).into_make_service_with_connect_info::<SocketAddr>();
    let closed = {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tokio::time::sleep(CLOSE_TIMEOUT).await;
        }
    };
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
    tokio::select! {
        // axum retries failed accepts by itself, so serving only ends by the shutdown above.
        _ = serving => {}
        () = closed => {}
    }
}

async fn liveness(State(health): State<Health>) -> Response {
    match health.check() {
        Ok(()) => Json(json!({"status": "UP!"})).into_response(),
        Err(reason) => down(&reason),
    }
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    if let Err(reason) = readiness.check() {
        return down(&reason);
    }
    let mut said = readiness.notes();
    said.insert("status", "READY".to_owned());
    Json(said).into_response()
}

fn down(reason: &str) -> Response {
    let retry_soon = [(header::RETRY_AFTER, "5")];
    (StatusCode::SERVICE_UNAVAILABLE, retry_soon, Json(json!({"status": "DOWN", "reason": reason}))).into_response()
}

/// Put into an answer's extensions, it keeps the access line away: for what is asked all the time, and went well.
#[derive(Clone, Copy, Debug)]
pub struct Quiet;

/// The time in UTC, as access lines have it.
struct Now;

impl fmt::Display for Now {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        thread_local! {
            /// The last second, and how it is written: working that out takes longer than all else that a line says.
            static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
        }
        let now = Utc::now();
        LAST.with_borrow_mut(|(second, written)| {
            if *second != now.timestamp() {
                *second = now.timestamp();
                *written = now.format("%d/%b/%Y %H:%M:%S").to_string();
            }
            formatter.write_str(written)
        })
    }
}

async fn log_access(ConnectInfo(remote): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    let (method, path, version) = (request.method().clone(), request.uri().clone(), request.version());
    let response = next.run(request).await;
    if response.extensions().get::<Quiet>().is_some() {
        return response;
    }
    info!(
        target: ACCESS,
        remote = %remote.ip(),
        time = %Now,
        %method,
        %path,
        ?version,
        status = response.status().as_u16(),
        "request"
    );
    response
}
