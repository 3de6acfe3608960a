//! Liveness: a topic that is down, slow or silent never fails it, a task that is stuck does.

use std::sync::{Arc, Mutex};

use tokio::time::{Instant, advance, sleep};
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Batch, Description, Fault, Producer, Publisher, Receipts};
use upbeat_service::Health;

use super::{Duration, all_published, enqueue, ms, secs};

async fn stays_up(health: &Health, within: Duration) {
    let end = Instant::now() + within;
    while Instant::now() < end {
        sleep(secs(1)).await;
        assert_eq!(health.check(), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn liveness_holds_while_idle_in_an_outage_and_while_calls_hang() {
    let topics = [
        Memory::standard("messages"),
        Memory::standard("messages").faults(|_| Faults::call(Fault::unavailable("down"))),
        Memory::standard("messages").faults(|_| Faults::latency(secs(1_000_000))),
    ];
    for topic in topics {
        let health = Health::new();
        let producer = Producer::builder(topic).retry_for(None).health(&health).build();
        stays_up(&health, secs(60)).await;
        let tickets = enqueue(&producer, 0..100).await;
        stays_up(&health, secs(600)).await;
        producer.close(secs(5)).await;
        drop(tickets);
        stays_up(&health, secs(600)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_given_up_after_its_time_and_the_message_published_by_the_next() {
    let topic = Memory::standard("messages").faults(|call| match call.number {
        0 => Faults::latency(secs(1_000_000)),
        _ => Faults::default(),
    });
    let producer = Producer::builder(topic.clone()).call_timeout(secs(10)).build();
    let start = Instant::now();
    producer.send("x").await.unwrap();
    assert!(start.elapsed() >= secs(10) && start.elapsed() <= secs(10) + ms(101), "{:?}", start.elapsed());
}

/// Sees nothing of what it is to publish.
struct Panics(Memory);

impl Publisher for Panics {
    fn describe(&self) -> Description {
        self.0.describe()
    }

    async fn publish_batch(&self, batch: &Batch) -> Result<Receipts, Fault> {
        assert!(self.0.calls().len() > 2 || self.0.publish_batch(&Batch::new(0)).await.is_ok(), "as told");
        self.0.publish_batch(batch).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_panics_costs_its_batch_a_retry_and_no_more() {
    let topic = Memory::standard("messages");
    let health = Health::new();
    let producer = Producer::builder(Panics(topic.clone())).health(&health).build();
    all_published(enqueue(&producer, 0..30).await).await;
    assert_eq!(topic.published().len(), 30);
    stays_up(&health, secs(60)).await;
}

/// Goes on beyond its time, as code does that never yields. On a paused clock of one thread, that is to move the clock
/// and to look before anything else can run.
struct Overruns {
    health: Health,
    seen: Arc<Mutex<Vec<Result<(), String>>>>,
}

impl Publisher for Overruns {
    fn describe(&self) -> Description {
        Description::standard("messages")
    }

    async fn publish_batch(&self, _: &Batch) -> Result<Receipts, Fault> {
        for _ in 0..2 {
            advance(secs(4)).await;
            self.seen.lock().unwrap().push(self.health.check());
        }
        Err(Fault::unavailable("too late"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_overruns_its_time_without_being_given_up_is_seen() {
    let (health, seen) = (Health::new(), Arc::default());
    let publisher = Overruns { health: health.clone(), seen: Arc::clone(&seen) };
    let producer = Producer::builder(publisher).call_timeout(ms(2500)).retry_for(Some(ms(0))).health(&health).build();
    producer.send("x").await.unwrap_err();
    // It may take 2.5 s, and liveness grants it 5 s more.
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen[0], Ok(()));
    assert!(
        seen.get(1).is_none_or(|seen| seen.as_ref().is_err_and(|why| why.starts_with("publish call "))),
        "{seen:?}"
    );
    assert_eq!(health.check(), Ok(()), "it has ended");
}
