//! A spool that has reached its limit, a disk that is full, and one that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{sleep, timeout};
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Fault, Producer, SendError};
use upbeat_service::Readiness;

use super::{Disk, LIMIT, down, ms, producer, secs};

/// A topic that is down until it is told otherwise.
fn switched() -> (Memory, Arc<AtomicBool>) {
    let up = Arc::<AtomicBool>::default();
    let is_up = Arc::clone(&up);
    let topic = Memory::standard("messages").faults(move |_| {
        if is_up.load(Ordering::Relaxed) { Faults::default() } else { Faults::call(Fault::unavailable("down")) }
    });
    (topic, up)
}

#[tokio::test(start_paused = true)]
async fn up_to_its_limit_it_takes_messages_then_one_caller_waits_and_another_is_told() {
    let (topic, up) = switched();
    let (disk, readiness) = (Disk::default(), Readiness::default());
    let spool = disk.spool(LIMIT).unwrap();
    let condition = readiness.condition("spool");
    let producer = Producer::builder(topic.clone()).spool(spool).spool_condition(condition).build();
    let body = "x".repeat(100_000);
    let mut accepted = 0;
    while let Ok(ticket) = producer.try_enqueue(body.as_str()) {
        ticket.accepted().await.unwrap();
        accepted += 1;
    }
    assert_eq!(accepted, 41, "the limit by 100,000 bytes, an id and 1 KiB");
    assert_eq!(producer.try_enqueue(body.as_str()).err(), Some(SendError::SpoolFull));
    assert_eq!(readiness.check(), Err("spool: full, up to its limit".to_owned()));
    assert!(timeout(secs(60), producer.send(body.as_str())).await.is_err(), "it waits");
    up.store(true, Ordering::Relaxed);
    producer.send(body.as_str()).await.unwrap().published().await.unwrap();
    assert_eq!(topic.published().len(), 42);
    sleep(secs(1)).await;
    assert_eq!(readiness.check(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_what_is_new_and_publishes_what_it_holds() {
    for capacity in [1_000_000, 1_500_000, 1_700_000, 2_000_000] {
        let (topic, up) = switched();
        let disk = Disk::default();
        let producer = producer(topic.clone(), &disk);
        disk.set_capacity(Some(capacity));
        let (mut accepted, mut refused) = (Vec::new(), 0);
        for n in 0..3000 {
            let body = format!("{n} {}", "x".repeat(n % 2000));
            match producer.send(body.as_str()).await {
                Ok(_) => accepted.push(body),
                Err(SendError::NotSpooled { reason }) => {
                    assert!(!reason.is_empty());
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(refused > 0 && accepted.len() > 100, "{capacity}: {} accepted, {refused} refused", accepted.len());
        up.store(true, Ordering::Relaxed);
        sleep(secs(120)).await;
        assert_eq!(topic.bodies(), accepted, "{capacity}");
        producer.send("there is room again").await.unwrap();
        let summary = producer.close(secs(10)).await;
        assert_eq!((summary.published, summary.spooled), (accepted.len() as u64 + 1, 0));
        assert!(disk.used() <= capacity);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_is_told_to_each_caller_and_on_readiness_until_it_works_again() {
    let (disk, readiness) = (Disk::default(), Readiness::default());
    let spool = disk.spool(LIMIT).unwrap();
    let topic = Memory::standard("messages");
    let producer = Producer::builder(topic.clone()).spool(spool).spool_condition(readiness.condition("spool")).build();
    producer.send("before").await.unwrap();
    disk.set_failing(true);
    for _ in 0..10 {
        let error = producer.send("refused").await.unwrap_err();
        assert!(error.can_retry() && error.to_string().starts_with("the spool fails: "), "{error}");
        assert!(readiness.check().unwrap_err().contains("spool: "));
        sleep(secs(1)).await;
    }
    disk.set_failing(false);
    sleep(secs(6)).await;
    producer.send("after").await.unwrap();
    assert_eq!(readiness.check(), Ok(()));
    sleep(secs(1)).await;
    assert_eq!(topic.bodies(), ["before", "after"]);
    assert_eq!(producer.close(secs(1)).await.spooled, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_not_published_later_though_it_had_reached_the_disk() {
    let disk = Disk::default();
    let first = producer(down(), &disk);
    first.send("accepted").await.unwrap();
    // The last write of a transaction is its sync's.
    for writes in 1..12 {
        disk.set_failing(false);
        disk.set_failing(writes % 2 == 0);
        drop(first.send("perhaps").await);
        sleep(ms(6000)).await;
    }
    disk.set_failing(false);
    let summary = first.close(secs(1)).await;
    let topic = Memory::standard("messages");
    let second = producer(topic.clone(), &disk);
    sleep(secs(1)).await;
    assert_eq!(topic.published().len() as u64, summary.spooled);
    assert_eq!(second.close(secs(1)).await.spooled, 0);
}
