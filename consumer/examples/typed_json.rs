//! A handler that says in its arguments what it needs: the body as a type of its own, the attempt, an attribute.
//!
//! What can't be parsed is rejected at once, into the dead-letter queue with the reason; what fails for now is tried
//! again. `cargo run -p upbeat-consumer --example typed_json`

use std::time::Duration;

use anyhow::ensure;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use upbeat_consumer::handler::{Attempt, Json, extract};
use upbeat_consumer::message::{Attribute, Attributes};
use upbeat_consumer::queue::memory::{MemoryQueue, NewMessage};
use upbeat_consumer::{Consumer, Options};

#[derive(Deserialize)]
struct Order {
    item: String,
    count: u32,
}

/// Any error is a failure: the message comes again after a while that grows with the attempts.
async fn handle(Json(order): Json<Order>, Attempt(attempt): Attempt, attributes: Attributes) -> anyhow::Result<()> {
    let customer = attributes.get("customer").and_then(Attribute::text).unwrap_or("somebody");
    ensure!(order.item != "unicorn" || attempt > 1, "no unicorn in the stable");
    println!("{} × {} for {customer}, attempt {attempt}", order.count, order.item);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let queue = MemoryQueue::builder("orders").dead_letter_queue(&MemoryQueue::new("lost-orders"), 3).build();
    let pens = NewMessage::new(r#"{"item": "pen", "count": 2}"#).attribute("customer", Attribute::string("Ada"));
    queue.send(pens)?;
    queue.send(r#"{"item": "unicorn", "count": 1}"#)?;
    queue.send(r#"{"item": "pen", "count": "two"}"#)?;

    let options = Options { retry_first: Duration::from_millis(100), ..Options::default() };
    let consumer = Consumer::builder(queue.clone()).handler(extract(handle)).options(options).build()?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    while !queue.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();

    println!("{}", running.await?);
    for letter in queue.dead_letters() {
        let reason = letter.attributes.get("reject_reason").and_then(Attribute::text).unwrap_or_default();
        println!("rejected {}: {reason}", letter.body);
    }
    Ok(())
}
