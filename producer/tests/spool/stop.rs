//! The end of a producer with a spool.

use tokio::time::{Instant, sleep};
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{SendError, Summary};

use super::{Disk, down, ms, producer, secs};

#[tokio::test(start_paused = true)]
async fn a_close_publishes_what_it_can_and_leaves_the_rest_to_the_next() {
    let disk = Disk::default();
    let topic = Memory::standard("messages").faults(|_| Faults::latency(secs(1)));
    let first = producer(topic.clone(), &disk);
    let tickets = first.try_enqueue_all((0..500).map(|n| n.to_string().into())).unwrap();
    let start = Instant::now();
    let summary = first.close(ms(1500)).await;
    assert!(start.elapsed() < secs(3), "{:?}", start.elapsed());
    assert_eq!(summary.published + summary.spooled, 500, "{summary:?}");
    assert!(summary.published >= 160 && summary.spooled > 0 && summary.abandoned == 0, "{summary:?}");
    let mut left = 0;
    for ticket in tickets {
        let sent = ticket.unwrap().accepted().await.unwrap();
        left += u64::from(sent.published().await == Err(SendError::Spooled));
    }
    assert_eq!(left, summary.spooled);
    let second = producer(topic.clone(), &disk);
    let rest = second.close(secs(600)).await;
    assert_eq!(rest, Summary { published: summary.spooled, ..Summary::default() });
}

#[tokio::test(start_paused = true)]
async fn an_outage_does_not_hold_up_a_close() {
    let disk = Disk::default();
    let producer = producer(down(), &disk);
    for n in 0..50 {
        producer.send(n.to_string()).await.unwrap();
    }
    sleep(secs(60)).await;
    let start = Instant::now();
    let summary = producer.close(secs(30)).await;
    assert_eq!(summary, Summary { spooled: 50, ..Summary::default() });
    assert!(start.elapsed() < secs(1), "{:?}", start.elapsed());
    assert_eq!(producer.send("late").await.err(), Some(SendError::Closed));
}

#[tokio::test(start_paused = true)]
async fn every_message_of_a_flood_is_published_spooled_or_refused_by_a_close_in_its_middle() {
    let disk = Disk::default();
    let topic = Memory::standard("messages").faults(|_| Faults::latency(ms(300)));
    let first = producer(topic.clone(), &disk);
    let flood: Vec<_> = (0..20)
        .map(|sender| {
            let producer = first.clone();
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                for number in 0.. {
                    let body = format!("{sender}-{number}");
                    match producer.send(body.as_str()).await {
                        Ok(_) => accepted.push(body),
                        Err(error) => return (accepted, error),
                    }
                    sleep(ms(1)).await;
                }
                unreachable!()
            })
        })
        .collect();
    sleep(ms(200)).await;
    let summary = first.close(ms(700)).await;
    let mut accepted = Vec::new();
    for sender in flood {
        let (bodies, error) = sender.await.unwrap();
        assert_eq!(error, SendError::Closed);
        accepted.extend(bodies);
    }
    assert_eq!(summary.published + summary.spooled, accepted.len() as u64, "{summary:?}");
    let second = producer(topic.clone(), &disk);
    second.close(secs(600)).await;
    let mut arrived = topic.bodies();
    arrived.sort();
    arrived.dedup();
    accepted.sort();
    assert_eq!(arrived, accepted);
}

#[tokio::test(start_paused = true)]
async fn a_close_in_an_outage_ends_at_once_though_most_of_it_was_never_in_memory() {
    let disk = Disk::default();
    let spool = disk.spool(super::LIMIT).unwrap();
    let producer = upbeat_producer::Producer::builder(down()).buffer(64 * 1024).spool(spool).build();
    for n in 0..1500 {
        producer.send(n.to_string()).await.unwrap();
    }
    let start = Instant::now();
    let summary = producer.close(secs(30)).await;
    assert_eq!(summary, Summary { spooled: 1500, ..Summary::default() });
    assert!(start.elapsed() < secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_holds_up_a_close_until_its_deadline_only() {
    let disk = Disk::default();
    let topic = Memory::standard("messages").faults(|_| Faults::latency(secs(3600)));
    let spool = disk.spool(super::LIMIT).unwrap();
    let builder = upbeat_producer::Producer::builder(topic).buffer(64 * 1024).call_timeout(secs(4000));
    let producer = builder.spool(spool).build();
    for n in 0..1500 {
        producer.send(n.to_string()).await.unwrap();
    }
    let start = Instant::now();
    let summary = producer.close(secs(5)).await;
    assert_eq!(summary, Summary { spooled: 1500, ..Summary::default() });
    assert!(start.elapsed() < secs(6), "{:?}", start.elapsed());
}
