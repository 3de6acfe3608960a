//! FIFO topics: each group in its order, whatever fails.

use std::collections::BTreeMap;

use tokio::time::{Instant, sleep};
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Description, Fault, Message, Producer, Ticket};

use super::{all_published, ms, secs};

/// Groups a, b, c, … by turns, each with the numbers 0, 1, 2, … as bodies.
async fn enqueue(producer: &Producer, groups: u32, messages: u32) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for number in 0..messages {
        for group in 0..groups {
            let message = Message::new(format!("{group}-{number}")).group_id(format!("group-{group}"));
            tickets.push(producer.enqueue(message).await.unwrap());
        }
    }
    tickets
}

/// The numbers of each group, in the order in which the topic got them.
fn numbers(topic: &Memory) -> BTreeMap<u32, Vec<u32>> {
    let mut numbers = BTreeMap::<u32, Vec<u32>>::new();
    for body in topic.bodies() {
        let (group, number) = body.split_once('-').unwrap();
        numbers.entry(group.parse().unwrap()).or_default().push(number.parse().unwrap());
    }
    numbers
}

fn in_order(groups: u32, messages: u32) -> BTreeMap<u32, Vec<u32>> {
    (0..groups).map(|group| (group, (0..messages).collect())).collect()
}

/// A fault of every kind now and then, by a seed.
fn unreliable(seed: u64) -> impl Fn() -> Faults {
    let random = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
    move || {
        let mut random = random.lock().unwrap();
        let fault = || Fault::unavailable("now and then");
        let faults = match random.u8(..10) {
            0 => Faults::call(fault()),
            1 => Faults::lost_answer(fault()),
            2..=5 => Faults::entries((0..10).filter(|_| random.u8(..3) == 0).map(|position| (position, fault()))),
            _ => Faults::default(),
        };
        faults.after(ms(random.u64(..100)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_groups_order_holds_through_failures_of_entries_and_calls_and_nothing_is_repeated() {
    for seed in 0..50 {
        let faults = unreliable(seed);
        let topic = Memory::fifo("messages.fifo").faults(move |_| faults());
        let producer = Producer::builder(topic.clone()).retry_for(None).build();
        all_published(enqueue(&producer, 7, 20).await).await;
        assert_eq!(numbers(&topic), in_order(7, 20), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_shares_batches_keeps_its_order_while_only_whole_calls_fail() {
    for seed in 0..20 {
        let faults = unreliable(seed);
        let topic = Memory::fifo("messages.fifo").faults(move |_| {
            let mut faults = faults();
            faults.entries.clear();
            faults
        });
        let producer = Producer::builder(topic.clone()).retry_for(None).group_batch(10).build();
        all_published(enqueue(&producer, 3, 50).await).await;
        assert_eq!(numbers(&topic), in_order(3, 50), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_share_batches_and_one_group_may_be_told_to() {
    let topic = Memory::fifo("messages.fifo").faults(|_| Faults::latency(ms(50)));
    let producer = Producer::builder(topic.clone()).build();
    all_published(enqueue(&producer, 10, 20).await).await;
    assert!(topic.calls().len() <= 22, "ten groups fill a batch: {}", topic.calls().len());

    let topic = Memory::fifo("messages.fifo").faults(|_| Faults::latency(ms(50)));
    let producer = Producer::builder(topic.clone()).group_batch(10).build();
    all_published(enqueue(&producer, 1, 200).await).await;
    assert!(topic.calls().len() <= 22, "a group fills a batch: {}", topic.calls().len());
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_message_is_being_retried_does_not_hold_up_another() {
    let topic = Memory::fifo("messages.fifo").faults(|call| {
        let poison = call.batch.entries().iter().position(|entry| entry.body() == "0-0");
        Faults::entries(poison.map(|position| (position, Fault::unavailable("not this one"))))
    });
    let producer = Producer::builder(topic.clone()).retry_for(Some(secs(20))).build();
    let tickets = enqueue(&producer, 2, 10).await;
    sleep(secs(1)).await;
    assert_eq!(numbers(&topic), BTreeMap::from([(1, (0..10).collect())]));
    let start = Instant::now();
    for ticket in tickets {
        let _ = ticket.await;
    }
    assert!(start.elapsed() >= secs(19), "the head was tried for its time: {:?}", start.elapsed());
    assert_eq!(numbers(&topic)[&0], (1..10).collect::<Vec<_>>(), "then the others of its group had their turn");
}

#[tokio::test(start_paused = true)]
async fn equal_bodies_are_distinct_messages_unless_the_topic_goes_by_content() {
    for (content_based_deduplication, copies) in [(false, 3), (true, 1)] {
        let description = Description { content_based_deduplication, ..Description::fifo("messages.fifo") };
        let topic = Memory::new(description);
        let producer = Producer::builder(topic.clone()).default_group("all").build();
        for _ in 0..3 {
            producer.send("same").await.unwrap();
        }
        assert_eq!(topic.published().len(), copies);
    }
}
