//! The built-in handlers as the binary runs them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use upbeat_testkit::{LocalStack, Options, Outgoing, Resources};

use crate::{LIMIT, consumer};

#[tokio::test]
async fn an_endpoint_is_posted_each_message_and_its_refusal_is_the_reason_in_the_dead_letter_queue() {
    let seen = Arc::<Mutex<Vec<(String, String)>>>::default();
    let note = Arc::clone(&seen);
    let endpoint = post(move |headers: HeaderMap, body: String| async move {
        let refused = body == "bad";
        note.lock().unwrap().push((headers["upbeat-attribute-colour"].to_str().unwrap().to_owned(), body));
        if refused { (StatusCode::UNPROCESSABLE_ENTITY, "no such order") } else { (StatusCode::OK, "thanks") }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/orders", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/orders", endpoint)).into_future());

    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let consumer = consumer(localstack, &resources).args(["--http", &url, "--http-reject"]).start().await;
    resources.publish(["good", "bad"].map(|body| Outgoing::new(body).attribute("colour", "blue"))).await;
    let dead = resources.dlq().drain_until(1, LIMIT).await;
    assert!(dead[0].attributes.values().any(|reason| reason.contains("no such order")), "{dead:?}");
    consumer.wait_events("deleted", 2, LIMIT).await;
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, [("blue", "bad"), ("blue", "good")].map(|(colour, body)| (colour.to_owned(), body.to_owned())));
    assert_eq!(consumer.events("received").len(), 2);
}

#[tokio::test]
async fn each_line_that_a_command_writes_is_an_event_of_its_own() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let write = r#"cat; printf '\n{"message": "deleted"}\n'; echo careful >&2; printf 'no end'"#;
    let consumer = consumer(localstack, &resources).args(["--exec", write]).start().await;
    resources.publish([Outgoing::new("a body").attribute("id", "0190")]).await;
    consumer.wait_events("deleted", 1, LIMIT).await;
    let lines = consumer.events("output");
    let of = |stream: &str| -> Vec<String> {
        let lines = lines.iter().filter(|line| line.text("stream") == stream && line.text("id") == "0190");
        lines.map(|line| line.text("line").to_owned()).collect()
    };
    assert_eq!(of("stdout"), ["a body", r#"{"message": "deleted"}"#, "no end"]);
    assert_eq!(of("stderr"), ["careful"]);
}
