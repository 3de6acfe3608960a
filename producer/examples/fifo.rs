//! Order within a group, kept through failures, while other groups go on. `cargo run --example fifo`

use std::time::Duration;

use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Fault, Message, Producer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // The topic is too busy for the kettle twice.
    let topic = Memory::fifo("kitchen.fifo").faults(|call| {
        let kettle =
            call.batch.entries().iter().position(|entry| entry.group_id().is_some_and(|group| **group == *"kettle"));
        let busy = kettle.filter(|_| call.number < 2);
        Faults::entries(busy.map(|position| (position, Fault::busy("try again"))))
    });
    let producer = Producer::builder(topic.clone()).build();
    let mut tickets = Vec::new();
    for (group, step) in [
        ("kettle", "fill"),
        ("toast", "slice"),
        ("kettle", "boil"),
        ("toast", "toast"),
        ("kettle", "pour"),
        ("toast", "butter"),
    ] {
        // All are on their way at once; a group's next one waits for the one before by itself.
        tickets.push(producer.enqueue(Message::new(step).group_id(group)).await?);
    }
    for ticket in tickets {
        ticket.await?;
    }
    for stored in topic.published() {
        let group = stored.entry.group_id().map_or("", AsRef::as_ref);
        println!("{group}: {}", stored.entry.body());
    }
    producer.close(Duration::from_secs(30)).await;
    Ok(())
}
