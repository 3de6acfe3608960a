//! A queue, and consumers of it.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::memory::MemoryQueue;
use upbeat_consumer::{Consumer, Handler, Options, Outcome, Summary};

/// A queue whose messages go to a dead-letter queue after five receives.
pub(crate) fn queue() -> MemoryQueue {
    MemoryQueue::builder("messages").dead_letter_queue(&MemoryQueue::new("dead-letters"), 5).build()
}

/// A queue with these messages.
pub(crate) fn queue_of<B: ToString>(bodies: impl IntoIterator<Item = B>) -> MemoryQueue {
    let queue = queue();
    bodies.into_iter().for_each(|body| drop(queue.send(body.to_string()).unwrap()));
    queue
}

pub(crate) fn options() -> Options {
    Options { concurrency: 20, ..Options::default() }
}

/// A consumer that runs until it is told to stop.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    task: JoinHandle<Summary>,
}

impl Running {
    pub(crate) fn start(queue: &MemoryQueue, options: Options, handler: impl Handler) -> Self {
        let stop = CancellationToken::new();
        let consumer = Consumer::builder(queue.clone()).handler(handler).options(options).build().unwrap();
        Self { task: tokio::spawn(consumer.run(stop.clone())), stop }
    }

    pub(crate) async fn stop(self) -> Summary {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

/// Consumes until no message is left.
pub(crate) async fn consume_all(queue: &MemoryQueue, handler: impl Handler) -> Summary {
    let running = Running::start(queue, options(), handler);
    until("the queue is empty", || queue.is_empty()).await;
    running.stop().await
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    // An hour of paused time is over at once; sockets and processes need real time.
    let (started, really) = (Instant::now(), std::time::Instant::now());
    while !is_so() {
        let in_vain = started.elapsed() > Duration::from_hours(1) || really.elapsed() > Duration::from_mins(1);
        assert!(!in_vain, "waited in vain until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The reasons with which messages were rejected.
pub(crate) fn reasons(queue: &MemoryQueue) -> Vec<String> {
    let letters = queue.dead_letters().into_iter();
    letters.map(|letter| letter.attributes.get("reject_reason").unwrap().text().unwrap().to_owned()).collect()
}

pub(crate) fn failed() -> Outcome {
    Outcome::Failed { error: "as told".to_owned() }
}

/// Hands each message's outcome on, so that a test sees what a handler said.
pub(crate) struct Told<H> {
    handler: H,
    to: tokio::sync::mpsc::UnboundedSender<Outcome>,
}

/// Runs the handler on one message, and returns what it said of it.
pub(crate) async fn outcome_of(queue: &MemoryQueue, options: Options, handler: impl Handler) -> Outcome {
    let (to, mut told) = tokio::sync::mpsc::unbounded_channel();
    // Sockets and processes know no paused time.
    let options = Options { poll_grace: Duration::ZERO, ..options };
    let running = Running::start(queue, options, Told { handler, to });
    until("the handler has ended", || !told.is_empty()).await;
    running.stop().await;
    told.recv().await.unwrap()
}

impl<H: Handler> Handler for Told<H> {
    async fn handle(&self, message: upbeat_consumer::Message) -> Outcome {
        let outcome = self.handler.handle(message).await;
        let _ = self.to.send(outcome.clone());
        outcome
    }
}
