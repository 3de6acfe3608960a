//! Ours, as a program that publishes has it.

use std::collections::VecDeque;

use upbeat_producer::{Message, Producer, Topic};
use upbeat_service::aws;
use upbeat_testkit::bench::Client;

use crate::work::Work;

pub(crate) const NAME: &str = "upbeat";

pub(crate) async fn publish(client: Client, work: Work) {
    let config = aws::config().await.unwrap();
    let topic: Topic = "messages".parse().unwrap();
    let producer = Producer::builder(topic.connect(&config).await.unwrap()).max_in_flight(work.loops).build();
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
