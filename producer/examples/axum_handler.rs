//! A web service whose handler publishes an event and answers once that is safe. `cargo run --example axum_handler`

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use upbeat_producer::memory::Memory;
use upbeat_producer::{Message, Producer, SendError};

#[derive(Deserialize, Serialize)]
struct Order {
    item: String,
    count: u32,
}

async fn order(State(producer): State<Producer>, Json(order): Json<Order>) -> Response {
    let message = match Message::json(&order) {
        Ok(message) => message.attribute("kind", "order"),
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    };
    // In an outage of SNS this answers after 30 s that it is sorry. With a spool it answers at once that it is taken.
    match producer.send(message).await {
        Ok(sent) => (StatusCode::ACCEPTED, sent.id().to_string()).into_response(),
        Err(SendError::Refused(refusal)) => (StatusCode::UNPROCESSABLE_ENTITY, refusal.to_string()).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let topic = Memory::standard("orders");
    let producer = Producer::builder(topic.clone()).build();
    let routes = Router::new().route("/orders", post(order)).with_state(producer.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });

    // What a client does.
    let body = r#"{"item":"pen","count":2}"#;
    let mut client = TcpStream::connect(address).await?;
    let request = format!(
        "POST /orders HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    println!("{}", answer.lines().next().unwrap_or_default());

    server.abort();
    producer.close(Duration::from_secs(30)).await;
    println!("published {}", topic.bodies().join(", "));
    Ok(())
}
