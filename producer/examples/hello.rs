//! Publishes a few messages and says what became of each. `cargo run --example hello`
//!
//! The topic is one in memory, so that nothing has to be set up; the comment says what a real one takes.

use std::time::Duration;

use upbeat_producer::memory::Memory;
use upbeat_producer::{Message, Producer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // let config = upbeat_service::aws::config().await?;
    // let topic = "messages".parse::<upbeat_producer::Topic>()?.connect(&config).await?;
    let topic = Memory::standard("messages");
    let producer = Producer::builder(topic.clone()).build();

    let greeting = Message::new("hello").id("greeting-1").attribute("kind", "greeting");
    let sent = producer.send(greeting).await?;
    println!("{} is published as {}", sent.id(), sent.message_id().unwrap_or("nothing yet"));

    // An error says whether sending the same message again can help.
    match producer.send("").await {
        Ok(_) => println!("an empty message is published"),
        Err(error) => println!("{error}; trying again {}", if error.can_retry() { "can help" } else { "can't help" }),
    }

    let summary = producer.close(Duration::from_secs(30)).await;
    println!("published {}, refused {}", summary.published, summary.refused);
    Ok(())
}
