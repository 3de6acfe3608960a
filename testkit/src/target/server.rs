//! The target's HTTP.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::state::State;
use super::{sns, sqs};

/// Where a client that traces sends its spans; they are taken, and not looked at.
const TRACES: &str = "/v1/traces";

/// Serves until it is dropped, and its connections with it.
pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket that does not block");
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a TCP socket");
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        // Those that have ended are not kept.
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Ok(response(StatusCode::BAD_REQUEST, Bytes::new()));
    };
    if head.uri.path() == TRACES {
        return Ok(response(StatusCode::OK, Bytes::new()));
    }
    let answer = match sqs_operation(&head.headers) {
        Some(operation) => sqs::answer(&state, operation, &body).await,
        None => sns::answer(&state, &body),
    };
    if !state.latency.is_zero() {
        tokio::time::sleep(state.latency).await;
    }
    let status = if answer.is_some() { StatusCode::OK } else { StatusCode::NOT_IMPLEMENTED };
    Ok(response(status, answer.unwrap_or_default()))
}

fn sqs_operation(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amz-target")?.to_str().ok()?.strip_prefix("AmazonSQS.")
}

fn response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}
