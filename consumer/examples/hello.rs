//! The smallest consumer: an async function, a queue, and a token to stop by.
//!
//! The queue is in memory, so that this runs anywhere: `cargo run -p upbeat-consumer --example hello`. For a real one, put
//! `SqsQueue::find(&upbeat_service::aws::config().await?, &"messages".parse()?).await?` in its place.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::memory::MemoryQueue;
use upbeat_consumer::{Consumer, Message};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let queue = MemoryQueue::new("messages");
    for name in ["Ada", "Grace", "Barbara"] {
        queue.send(name)?;
    }

    let handler = |message: Message| async move {
        println!("hello {}, attempt {}", message.body(), message.attempt());
    };
    let consumer = Consumer::builder(queue.clone()).handler(handler).build()?;

    // A service would stop on SIGTERM; this one stops when nothing is left.
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    while !queue.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    println!("{}", running.await?);
    Ok(())
}
