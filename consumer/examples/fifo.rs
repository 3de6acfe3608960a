//! A FIFO queue: groups side by side, the messages of each in order, also when one of them fails.
//!
//! `cargo run -p upbeat-consumer --example fifo`

use std::time::Duration;

use anyhow::bail;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::memory::{MemoryQueue, NewMessage};
use upbeat_consumer::{Consumer, Message, Options};

/// The kettle's second step fails at first: its third waits, the toast's do not.
async fn handle(message: Message) -> anyhow::Result<()> {
    let group = message.delivery().group.clone().unwrap_or_default();
    if message.body() == "boil" && message.attempt() == 1 {
        println!("{group}: {} fails", message.body());
        bail!("no electricity");
    }
    sleep(Duration::from_millis(50)).await;
    println!("{group}: {}", message.body());
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The name makes it FIFO, as with SQS.
    let queue = MemoryQueue::new("breakfast.fifo");
    for step in ["fill", "boil", "pour"] {
        queue.send(NewMessage::new(step).group("kettle"))?;
    }
    for step in ["slice", "toast", "butter"] {
        queue.send(NewMessage::new(step).group("toast"))?;
    }

    let options = Options { retry_first: Duration::from_secs(1), ..Options::default() };
    let consumer = Consumer::builder(queue.clone()).handler(handle).options(options).build()?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    while !queue.is_empty() {
        sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    println!("{}", running.await?);
    Ok(())
}
