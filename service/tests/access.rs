//! The access log, in a process of its own: what is logged goes to one place for all of a process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::ServiceExt;
use upbeat_service::http::{Quiet, app};
use upbeat_service::{Health, Readiness};

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn quiet() -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    answer.extensions_mut().insert(Quiet);
    answer
}

#[tokio::test]
async fn every_request_has_its_line_but_those_that_are_answered_quietly() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).init();
    let routes = Router::new().route("/quiet", get(async || quiet())).route("/loud", get(async || "loud"));
    let app = app(Health::default(), Readiness::default(), routes);
    let remote: SocketAddr = "127.0.0.1:1000".parse().unwrap();
    for path in ["/quiet", "/loud", "/nothing"] {
        let request = Request::get(path).extension(ConnectInfo(remote)).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap();
    }
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(!logged.contains("/quiet"), "{logged}");
    assert!(logged.contains("/loud") && logged.contains("status=404"), "{logged}");
}
