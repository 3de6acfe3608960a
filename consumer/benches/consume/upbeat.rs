//! Ours, as a program with a handler of its own has it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::sqs::SqsQueue;
use upbeat_consumer::{Consumer, Message, Options};
use upbeat_service::{Metrics, Traces, aws};
use upbeat_testkit::bench::Client;

use crate::work::Work;

pub(crate) const NAME: &str = "upbeat";

/// The same, watched.
pub(crate) const METRICS: &str = "upbeat, metrics";
pub(crate) const TRACES: &str = "upbeat, metrics and traces";

pub(crate) async fn consume(client: Client) {
    let (metrics, traces) = (client.name() != NAME, client.name() == TRACES);
    let work = Work::of(&client);
    let config = aws::config().await.unwrap();
    let queue = SqsQueue::find(&config, &"messages".parse().unwrap()).await.unwrap();
    let client = Arc::new(client);
    let handler = move |message: Message| {
        let client = Arc::clone(&client);
        async move { work.handle(&client, message.body()).await }
    };
    let options = Options { concurrency: work.concurrency, ..Options::default() };
    let mut consumer = Consumer::builder(queue).handler(handler).options(options);
    if metrics {
        consumer = consumer.metrics(&Metrics::of("bench", "0"));
    }
    if traces {
        consumer = consumer.traces(&Traces::of_environment("bench", "0").unwrap());
    }
    consumer.build().unwrap().run(CancellationToken::new()).await;
}
