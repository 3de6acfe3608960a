//! The consumer's http handler with shout as its endpoint: every message is shouted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use upbeat_testkit::{LocalStack, Options, Resources, Service, Signal, eventually};

/// Far more than it takes, on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_mins(2);

/// An upstream that notes what it was asked, and answers two questions of three.
async fn upstream() -> (String, Arc<Mutex<BTreeSet<String>>>) {
    let asked = Arc::<Mutex<BTreeSet<String>>>::default();
    let noting = Arc::clone(&asked);
    let count = Arc::new(AtomicUsize::new(0));
    let answer = post(async move |Json(question): Json<Value>| {
        let input = question["INPUT"].as_str().unwrap().to_owned();
        noting.lock().unwrap().insert(input.clone());
        let status = if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) { 503 } else { 200 };
        let answer = json!({"INPUT": input, "OUTPUT": input.to_uppercase()});
        (axum::http::StatusCode::from_u16(status).unwrap(), Json(answer))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/V1/SHOUT", answer)).into_future());
    (url, asked)
}

#[tokio::test]
async fn a_consumer_with_shout_as_its_endpoint_shouts_every_message_and_rejects_what_is_no_text() {
    const COUNT: usize = 30;
    let (url, asked) = upstream().await;
    let shout = Service::shout().args(["--upstream", &url]).start().await;
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let consumer = Service::consumer(localstack).env("QUEUE", &resources.queue.name);
    let consumer = consumer.args(["--http", &shout.url("/").await, "--http-reject", "--wait-time", "2s"]).start().await;
    let producer = Service::producer(localstack).env("TOPIC", &resources.topic).args(["--interval", "0"]).start().await;
    consumer.wait_ready().await;
    producer.wait_ready().await;

    let messages: Vec<_> = (0..COUNT).map(|n| json!({"data": format!("message {n}")})).collect();
    assert_eq!(producer.post("/messages", json!(messages).to_string()).await.status, 202);
    assert_eq!(producer.post("/messages", r#"{"text": "none"}"#).await.status, 202);
    consumer.wait_events("deleted", COUNT + 1, LIMIT).await;
    let expected: BTreeSet<_> = (0..COUNT).map(|n| format!("message {n}").chars().rev().collect::<String>()).collect();
    assert_eq!(*asked.lock().unwrap(), expected);
    let dead = resources.dlq().drain_until(1, LIMIT).await;
    assert_eq!(dead.len(), 1);
    assert!(dead[0].attributes.values().any(|reason| reason.contains("missing field `data`")), "{dead:?}");

    // All three drain.
    for service in [&producer, &consumer, &shout] {
        service.signal(Signal::SIGTERM);
        assert_eq!(service.wait_exit(LIMIT).await, 0);
    }
    eventually("an empty queue", LIMIT, async || match resources.queue.counts().await.total() {
        0 => Ok(()),
        total => Err(total.to_string()),
    })
    .await;
}
