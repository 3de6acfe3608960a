//! The producer as a program uses it, on a topic in memory whose faults are up to the test, under a paused clock.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod batching;
mod health;
mod order;
mod retries;
mod simulation;
mod stop;

use std::time::Duration;

use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Message, Producer, Published, SendError, Ticket};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A topic that takes its time.
fn slow(latency: Duration) -> Memory {
    Memory::standard("messages").faults(move |_| Faults::latency(latency))
}

/// Enqueues messages with these numbers as bodies.
async fn enqueue(producer: &Producer, numbers: impl IntoIterator<Item = u32>) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for number in numbers {
        tickets.push(producer.enqueue(Message::new(number.to_string())).await.unwrap());
    }
    tickets
}

async fn outcomes(tickets: Vec<Ticket>) -> Vec<Result<Published, SendError>> {
    let mut outcomes = Vec::new();
    for ticket in tickets {
        outcomes.push(ticket.await);
    }
    outcomes
}

async fn all_published(tickets: Vec<Ticket>) {
    for outcome in outcomes(tickets).await {
        outcome.unwrap();
    }
}

fn bodies(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

fn sorted(mut bodies: Vec<String>) -> Vec<String> {
    bodies.sort_by_key(|body| body.parse::<u32>().unwrap());
    bodies
}
