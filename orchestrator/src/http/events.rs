//! `GET /v1/events`: what happens, as it happens.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use super::access::Asker;
use super::refusals::Refusals;
use super::{Gateway, Problem};
use crate::picture;

/// What happens, from now on, by server-sent events
///
/// Each event's data is an object: `time`, `event`, `container`, `action`, `why`. Who reads too slowly misses some, and
/// is told by an event `missed`.
#[utoipa::path(get, path = "/v1/events", operation_id = "events", tag = "containers", responses(
    Refusals,
    (status = 200, description = "a stream that ends with the orchestrator", content_type = "text/event-stream", body = String),
    (status = 429, description = "too many listen", body = Problem, content_type = "application/problem+json",
        headers(("retry-after" = u32, description = "seconds"))),
), security((), ("token" = [])))]
pub(super) async fn stream(State(gateway): State<Gateway>, asker: Asker) -> Result<Response, Problem> {
    gateway.guard.access.read(&asker).await?;
    told(gateway.shared.events.subscribe(), &gateway.listeners, gateway.stop.clone())
}

/// These events until `stop`, if not too many listen already.
pub(super) fn told(
    events: broadcast::Receiver<picture::Event>,
    listeners: &Arc<Semaphore>,
    stop: CancellationToken,
) -> Result<Response, Problem> {
    let permit = Arc::clone(listeners).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(429, "too many listen"))?;
    let told = stream::unfold((events, permit), |(mut events, permit)| async move {
        let event = match events.recv().await {
            Ok(event) => Event::default().event(event.event).json_data(&event).unwrap_or_default(),
            Err(RecvError::Lagged(missed)) => Event::default().event("missed").data(missed.to_string()),
            Err(RecvError::Closed) => return None,
        };
        Some((event, (events, permit)))
    });
    // The first line tells that it has begun.
    let begun = stream::once(async { Event::default().comment("from now on") });
    let until_stop = begun.chain(told).take_until(stop.cancelled_owned());
    let until_stop = until_stop.map(Ok::<_, Infallible>);
    Ok(Sse::new(until_stop).keep_alive(KeepAlive::default()).into_response())
}
