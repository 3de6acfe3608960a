//! Spans of requests and tries, in the trace of whoever asks.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use upbeat_testkit::{Service, eventually};

use crate::SOON;
use crate::server::{Act, Upstream};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A collector that keeps what it is sent as it is; texts stand in protobuf as they are.
async fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let taken = Arc::<Mutex<Vec<u8>>>::default();
    let taking = Arc::clone(&taken);
    let take = post(async move |body: Bytes| taking.lock().unwrap().extend_from_slice(&body));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/v1/traces", take)).into_future());
    (url, taken)
}

#[tokio::test]
async fn a_request_and_each_try_of_it_are_spans_of_the_senders_trace() {
    let upstream = Upstream::start([Act::Status(500, None), Act::Well]).await;
    let (collector, taken) = collector().await;
    let service = Service::shout().args(["--upstream", upstream.url()]).env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector);
    let service = service.env("OTEL_BSP_SCHEDULE_DELAY", "100").start().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request =
        Request::post(service.url("/").await).header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let answer = client.request(request.body(Full::from(r#"{"data": "test"}"#)).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);

    let asked = upstream.asked();
    let told: Vec<_> = asked.iter().map(|asked| asked.headers["traceparent"].to_str().unwrap()).collect();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|told| told.starts_with(&format!("00-{TRACE}-"))) && told[0] != told[1], "{told:?}");
    eventually("three spans", SOON, async || {
        let taken = taken.lock().unwrap();
        let trace: Vec<_> = (0..32).step_by(2).map(|at| u8::from_str_radix(&TRACE[at..at + 2], 16).unwrap()).collect();
        let spans = taken.windows(trace.len()).filter(|bytes| *bytes == trace).count();
        let has = |text: &str| taken.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        if spans == 3 && has("POST /") && has("server_error") && has("/V1/SHOUT") {
            Ok(())
        } else {
            Err(format!("{spans}: {}", String::from_utf8_lossy(&taken)))
        }
    })
    .await;
}
