//! Ours, as a program that publishes has it.

use std::collections::VecDeque;

use upbeat_producer::{Message, Producer, Topic};
use upbeat_service::{Metrics, Traces, aws};
use upbeat_testkit::bench::Client;

use crate::work::Work;

pub(crate) const NAME: &str = "upbeat";

/// The same, watched.
pub(crate) const METRICS: &str = "upbeat, metrics";
pub(crate) const TRACES: &str = "upbeat, metrics and traces";

pub(crate) async fn publish(client: Client, work: Work) {
    let config = aws::config().await.unwrap();
    let topic: Topic = "messages".parse().unwrap();
    let mut producer = Producer::builder(topic.connect(&config).await.unwrap()).max_in_flight(work.loops);
    if client.name() != NAME {
        producer = producer.metrics(&Metrics::of("bench", "0"));
    }
    if client.name() == TRACES {
        producer = producer.traces(&Traces::of_environment("bench", "0").unwrap());
    }
    let producer = producer.build();
    let mut tickets = VecDeque::new();
    // Enough that a batch is always full, but for one message after the other.
    let ahead = work.loops * work.batch() * 2;
    for _ in 0..work.messages {
        tickets.push_back(producer.enqueue(Message::new(work.body.clone())).await.unwrap());
        while tickets.len() > ahead {
            tickets.pop_front().unwrap().await.unwrap();
            client.handled();
        }
    }
    for ticket in tickets {
        ticket.await.unwrap();
        client.handled();
    }
}
