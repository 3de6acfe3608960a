//! When batches go out, and with what in them.

use tokio::time::{Instant, sleep};
use upbeat_producer::memory::Memory;
use upbeat_producer::{Description, Message, Producer};

use super::{all_published, bodies, enqueue, ms, secs, slow};

fn sizes(topic: &Memory) -> Vec<usize> {
    topic.calls().iter().map(|call| call.entries).collect()
}

#[tokio::test(start_paused = true)]
async fn no_more_messages_leave_in_a_second_than_the_rate_allows_and_time_without_any_is_not_made_up_for() {
    let topic = slow(ms(5));
    let producer = Producer::builder(topic.clone()).rate(50.try_into().unwrap()).build();
    for at in [0, 100] {
        tokio::time::sleep(secs(at)).await;
        let start = Instant::now();
        all_published(enqueue(&producer, 0..200).await).await;
        let took = start.elapsed();
        assert!((ms(3800)..ms(4000)).contains(&took), "200 messages at 50 a second, the first ten at once: {took:?}");
    }
    assert!(topic.calls().iter().all(|call| call.entries == 10), "batches are as full as they can be");
}

#[tokio::test(start_paused = true)]
async fn a_lone_message_goes_out_at_once() {
    let topic = Memory::standard("messages");
    let producer = Producer::builder(topic.clone()).build();
    for _ in 0..3 {
        let before = Instant::now();
        producer.send("x").await.unwrap();
        assert_eq!(before.elapsed(), ms(0));
    }
    assert_eq!(sizes(&topic), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_while_a_batch_is_under_way_share_the_next_ones() {
    let topic = slow(ms(50));
    let producer = Producer::builder(topic.clone()).build();
    let start = Instant::now();
    let mut tickets = enqueue(&producer, 0..1).await;
    sleep(ms(1)).await;
    tickets.extend(enqueue(&producer, 1..25).await);
    all_published(tickets).await;
    assert_eq!(sizes(&topic), [1, 10, 10, 4]);
    let at: Vec<_> = topic.calls().iter().map(|call| call.at - start).collect();
    assert_eq!(at, [ms(0), ms(1), ms(1), ms(11)], "a full batch goes at once, another one after its linger");
}

#[tokio::test(start_paused = true)]
async fn messages_that_trickle_in_while_others_are_under_way_wait_no_longer_than_the_linger() {
    let topic = slow(ms(1000));
    let producer = Producer::builder(topic.clone()).linger(ms(20)).build();
    let start = Instant::now();
    let mut tickets = enqueue(&producer, 0..1).await;
    for number in 1..=6 {
        sleep(ms(8)).await;
        tickets.extend(enqueue(&producer, [number]).await);
    }
    all_published(tickets).await;
    // The first at 0, the next three come at 8, 16 and 24, and the last three at 32, 40 and 48.
    let calls: Vec<_> = topic.calls().iter().map(|call| (call.at - start, call.entries)).collect();
    assert_eq!(calls, [(ms(0), 1), (ms(28), 3), (ms(52), 3)]);
}

#[tokio::test(start_paused = true)]
async fn what_waited_goes_out_without_linger_once_nothing_else_is_under_way() {
    let topic = slow(ms(5));
    let producer = Producer::builder(topic.clone()).build();
    let start = Instant::now();
    let mut tickets = enqueue(&producer, 0..1).await;
    sleep(ms(1)).await;
    tickets.extend(enqueue(&producer, 1..3).await);
    all_published(tickets).await;
    let calls: Vec<_> = topic.calls().iter().map(|call| (call.at - start, call.entries)).collect();
    assert_eq!(calls, [(ms(0), 1), (ms(5), 2)]);
}

#[tokio::test(start_paused = true)]
async fn under_load_batches_are_full_and_as_many_are_under_way_as_allowed() {
    let topic = slow(ms(50));
    let producer = Producer::builder(topic.clone()).max_in_flight(4).build();
    let start = Instant::now();
    all_published(enqueue(&producer, 0..2000).await).await;
    let under_way: Vec<_> = topic.calls().iter().map(|call| call.under_way).collect();
    assert_eq!(under_way.iter().max(), Some(&4));
    // 0.1 requests a message, and four batches each 50 ms.
    assert!((200..=202).contains(&topic.calls().len()), "{}", topic.calls().len());
    assert!(start.elapsed() <= ms(50 * 200 / 4 + 100), "{:?}", start.elapsed());
    assert_eq!(topic.bodies(), bodies(0..2000));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_no_larger_than_the_topic_takes() {
    let description = Description { max_bytes: 10_000, ..Description::standard("messages") };
    let topic = Memory::new(description);
    let producer = Producer::builder(topic.clone()).max_in_flight(1).build();
    let mut tickets = Vec::new();
    for _ in 0..10 {
        tickets.push(producer.enqueue("x".repeat(3000)).await.unwrap());
    }
    all_published(tickets).await;
    // Three of them and their ids fit; memory refuses larger batches as SNS does.
    assert!(sizes(&topic).iter().all(|size| *size <= 3), "{:?}", sizes(&topic));
    assert_eq!(topic.published().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_learns_is_what_the_topic_said_and_the_message_has_its_id() {
    let topic = Memory::standard("messages");
    let producer = Producer::builder(topic.clone()).build();
    let published = producer.send(Message::new("x").id("mine").attribute("a", "b")).await.unwrap();
    let [stored] = &topic.published()[..] else { panic!() };
    assert_eq!((stored.entry.id(), &*stored.receipt.message_id), (published.id(), published.message_id().unwrap()));
    assert_eq!(published.id().to_string(), "mine");
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_ticket_or_producer_is_dropped_is_published_all_the_same() {
    let topic = slow(ms(10));
    let producer = Producer::builder(topic.clone()).build();
    drop(enqueue(&producer, 0..5).await);
    drop(producer);
    sleep(ms(100)).await;
    assert_eq!(topic.published().len(), 5);
}
