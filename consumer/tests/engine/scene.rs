//! A consumer on an in-memory queue, and what its handler saw.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::memory::MemoryQueue;
use upbeat_consumer::{Consumer, Handler, Message, Options, Outcome, Summary};
use upbeat_service::{Health, Readiness};

/// Options that suit a test: jitter apart, they are the defaults.
pub(crate) fn options() -> Options {
    Options { concurrency: 20, ..Options::default() }
}

/// A queue whose messages go to a dead-letter queue after five receives.
pub(crate) fn queue(name: &str) -> MemoryQueue {
    let suffix = name.strip_prefix("messages").unwrap_or_default();
    let dead_letters = MemoryQueue::new(format!("dead-letters{suffix}"));
    MemoryQueue::builder(name).dead_letter_queue(&dead_letters, 5).build()
}

/// A consumer that runs.
pub(crate) struct Running {
    pub(crate) health: Health,
    pub(crate) readiness: Readiness,
    pub(crate) stop: CancellationToken,
    task: JoinHandle<Summary>,
}

impl Running {
    pub(crate) fn start(queue: &MemoryQueue, options: Options, handler: impl Handler) -> Self {
        let (health, readiness, stop) = (Health::new(), Readiness::default(), CancellationToken::new());
        let consumer = Consumer::builder(queue.clone()).handler(handler).options(options);
        let consumer = consumer.health(health.clone()).readiness(readiness.clone()).build().unwrap();
        Self { health, readiness, task: tokio::spawn(consumer.run(stop.clone())), stop }
    }

    /// Stops the consumer. Its liveness must have held all along, at least as far as can be seen at the end.
    pub(crate) async fn stop(self) -> Summary {
        assert_eq!(self.health.check(), Ok(()));
        self.stop.cancel();
        self.task.await.unwrap()
    }

    /// The end, after somebody else has stopped it.
    pub(crate) async fn ended(self) -> Summary {
        self.task.await.unwrap()
    }

    /// A process that dies: nothing more is said to the queue.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

/// What a handler saw, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    bodies: Arc<Mutex<Vec<(String, u32)>>>,
    running: Arc<AtomicUsize>,
    most_running: Arc<AtomicUsize>,
}

impl Seen {
    /// Notes the message, counts it as running for `time`, and is done.
    pub(crate) fn slow(&self, time: Duration) -> impl Handler + use<> {
        let seen = self.clone();
        move |message: Message| {
            let seen = seen.clone();
            async move {
                seen.note(&message);
                seen.most_running.fetch_max(seen.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                sleep(time).await;
                seen.running.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// Notes the message and answers by its body.
    pub(crate) fn answering(
        &self,
        answer: impl Fn(&Message) -> Outcome + Clone + Send + Sync + 'static,
    ) -> impl Handler {
        let seen = self.clone();
        move |message: Message| {
            let (seen, answer) = (seen.clone(), answer.clone());
            async move {
                seen.note(&message);
                answer(&message)
            }
        }
    }

    pub(crate) fn note(&self, message: &Message) {
        self.bodies.lock().unwrap().push((message.body().to_owned(), message.attempt()));
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().iter().map(|(body, _)| body.clone()).collect()
    }

    pub(crate) fn attempts(&self, body: &str) -> Vec<u32> {
        self.bodies.lock().unwrap().iter().filter(|(seen, _)| seen == body).map(|(_, attempt)| *attempt).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }

    pub(crate) fn most_running(&self) -> usize {
        self.most_running.load(Ordering::SeqCst)
    }
}

/// Waits in paused time until it is so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_hours(24), "waited in vain until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn failed() -> Outcome {
    Outcome::Failed { error: "as told".to_owned() }
}
