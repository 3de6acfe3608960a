//! What a scrape takes while messages go through as fast as they can.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::memory::MemoryQueue;
use upbeat_consumer::{Consumer, Message, Options};
use upbeat_service::Metrics;

/// How many messages are in flight.
const CONCURRENCY: usize = 320;

/// Prometheus asks far less often.
const EVERY: Duration = Duration::from_millis(5);

/// Handles so many messages, and prints how long scrapes took meanwhile.
pub(crate) async fn measure(messages: usize) {
    let queue = MemoryQueue::new("messages");
    for n in 0..messages {
        queue.send(format!("{{\"n\": {n}}}").as_str()).unwrap();
    }
    let metrics = Metrics::of("bench", "0");
    let options = Options { concurrency: CONCURRENCY, ..Options::default() };
    let handler = |_: Message| tokio::time::sleep(Duration::from_millis(1));
    let consumer = Consumer::builder(queue.clone()).handler(handler).options(options);
    let consumer = consumer.metrics(&metrics).build().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    let (mut took, mut bytes) = (Vec::new(), 0);
    while queue.counts().visible > 0 || took.is_empty() {
        let started = Instant::now();
        bytes = metrics.prometheus().len();
        took.push(started.elapsed());
        tokio::time::sleep(EVERY).await;
    }
    stop.cancel();
    running.await.unwrap();
    took.sort();
    let (median, longest) = (took[took.len() / 2].as_micros(), took[took.len() - 1].as_micros());
    println!("\n| scrapes under load | median µs | longest µs | bytes |\n| --: | --: | --: | --: |");
    println!("| {} | {median} | {longest} | {bytes} |", took.len());
}
