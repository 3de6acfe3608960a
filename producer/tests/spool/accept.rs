//! What is accepted, and when.

use tokio::time::{Instant, sleep};
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Fault, Message, Producer, SendError};

use super::{Disk, LIMIT, down, ms, producer, secs};

#[tokio::test(start_paused = true)]
async fn a_message_is_accepted_once_it_is_synced_and_its_ticket_tells_when_sns_has_it() {
    let (disk, topic) = (Disk::default(), Memory::standard("messages").faults(|_| Faults::latency(ms(500))));
    let producer = producer(topic.clone(), &disk);
    let start = Instant::now();
    let (_, syncs) = disk.counts();
    let sent = producer.send(Message::new("one").id("mine").attribute("kind", "order")).await.unwrap();
    assert_eq!((sent.id().to_string(), sent.message_id()), ("mine".to_owned(), None));
    assert!(disk.counts().1 > syncs, "accepted is synced");
    assert!(start.elapsed() < ms(500), "SNS is not waited for");
    let published = sent.published().await.unwrap();
    assert_eq!(published.message_id, topic.published()[0].receipt.message_id);
    assert_eq!(topic.published()[0].entry.attributes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_together_share_a_sync() {
    let disk = Disk::default();
    let producer = producer(down(), &disk);
    let (_, before) = disk.counts();
    let tickets = producer.try_enqueue_all((0..1000).map(|n| Message::new(n.to_string()))).unwrap();
    for ticket in tickets {
        ticket.unwrap().accepted().await.unwrap();
    }
    let (_, syncs) = disk.counts();
    assert!(syncs - before <= 4, "{} syncs of 1000 messages", syncs - before);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_accepted_through_and_replayed_in_order_however_long_it_was() {
    let start = Instant::now();
    let topic = Memory::standard("messages").faults(move |_| {
        let down = start.elapsed() < secs(3600);
        if down { Faults::call(Fault::unavailable("down")) } else { Faults::default() }
    });
    let disk = Disk::default();
    // Little memory, so that most of them are read back.
    let spool = disk.spool(LIMIT).unwrap();
    let producer = Producer::builder(topic.clone()).buffer(64 * 1024).max_in_flight(1).spool(spool).build();
    let sent: Vec<_> = (0..2000).map(|n| n.to_string()).collect();
    for body in &sent {
        producer.send(body.as_str()).await.unwrap();
    }
    sleep(secs(3700)).await;
    assert_eq!(topic.bodies(), sent);
    let calls = topic.calls().iter().filter(|call| call.entries < 10).count();
    assert!(calls < 40, "batches are full while there is enough: {calls} were not");
    assert_eq!(producer.close(secs(1)).await.spooled, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_process_leaves_the_next_one_publishes_with_all_that_it_had() {
    let disk = Disk::default();
    let first = producer(down(), &disk);
    let message = Message::new("whole")
        .id("mine")
        .attribute("kind", "order")
        .attribute_value("raw", upbeat_producer::Attribute::Binary(vec![0, 255]))
        .attribute_value("n", upbeat_producer::Attribute::Number("1.50".to_owned()))
        .subject("about")
        .group_id("tenant");
    first.send(message).await.unwrap();
    let summary = first.close(secs(30)).await;
    assert_eq!((summary.spooled, summary.published, summary.abandoned), (1, 0, 0));

    let topic = Memory::standard("messages");
    let second = producer(topic.clone(), &disk);
    sleep(secs(1)).await;
    let [stored] = &topic.published()[..] else { panic!("{:?}", topic.bodies()) };
    let entry = &stored.entry;
    assert_eq!((entry.id().to_string(), entry.body(), entry.subject()), ("mine".to_owned(), "whole", Some("about")));
    assert_eq!((entry.group_id().map(AsRef::as_ref), entry.attributes().len()), (Some("tenant"), 3));
    assert_eq!(second.close(secs(1)).await.spooled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_sns_refuses_after_all_is_put_aside_and_the_others_go_on() {
    let topic = Memory::standard("messages").faults(|call| {
        let bad = call.batch.entries().iter().position(|entry| entry.body() == "bad");
        Faults::entries(bad.map(|position| (position, Fault::refused("no"))))
    });
    let disk = Disk::default();
    let producer = producer(topic.clone(), &disk);
    let mut outcomes = Vec::new();
    for body in ["a", "bad", "b"] {
        outcomes.push(producer.send(body).await.unwrap().published().await);
    }
    assert!(matches!(outcomes[1], Err(SendError::Refused(_))), "{outcomes:?}");
    assert_eq!(topic.bodies(), ["a", "b"]);
    let summary = producer.close(secs(1)).await;
    assert_eq!((summary.published, summary.refused, summary.spooled), (2, 1, 0));
}
