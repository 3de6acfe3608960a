//! How much is received, and at what cost in requests.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use upbeat_consumer::queue::memory::Faults;
use upbeat_consumer::{Message, Options};

use crate::scene::{Running, Seen, options, queue, until};

#[tokio::test(start_paused = true)]
async fn never_more_messages_run_than_there_are_permits_and_all_permits_are_used() {
    let (queue, seen) = (queue("messages"), Seen::default());
    (0..500).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let running = Running::start(&queue, Options { concurrency: 35, ..options() }, seen.slow(Duration::from_secs(2)));
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!(seen.most_running(), 35);
    assert_eq!(running.stop().await.handled, 500);
}

#[tokio::test(start_paused = true)]
async fn a_slow_message_does_not_hold_up_those_received_with_it() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.send("slow").unwrap();
    (0..1000).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let noted = seen.clone();
    let running = Running::start(&queue, options(), move |message: Message| {
        noted.note(&message);
        async move {
            if message.body() == "slow" {
                sleep(Duration::from_mins(20)).await;
            }
        }
    });
    let started = Instant::now();
    until("all others are deleted", || queue.deleted() == 1000).await;
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    assert_eq!(running.stop().await.released, 1, "the slow one, when the drain time was used up");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_with_few_permits_does_not_wait_for_full_batches() {
    for concurrency in [1, 2, 5, 9] {
        let (queue, seen) = (queue("messages"), Seen::default());
        (0..100).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
        let running =
            Running::start(&queue, Options { concurrency, ..options() }, seen.slow(Duration::from_millis(10)));
        let started = Instant::now();
        until("the queue is empty", || queue.is_empty()).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{concurrency}: {:?}", started.elapsed());
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_batch_does_not_hold_up_the_next_receive_of_a_consumer_with_few_permits() {
    for concurrency in [8, 10, 13, 19] {
        let (queue, seen) = (queue("messages"), Seen::default());
        (0..200).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
        let noted = seen.clone();
        let running = Running::start(&queue, Options { concurrency, ..options() }, move |message: Message| {
            noted.note(&message);
            let slow = message.body().parse::<u32>().unwrap().is_multiple_of(3);
            sleep(Duration::from_millis(if slow { 20 } else { 10 }))
        });
        let started = Instant::now();
        until("the queue is empty", || queue.is_empty()).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{concurrency}: {:?}", started.elapsed());
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_waits_for_others_no_longer_than_the_batch_may() {
    for wait in [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(7)] {
        let (queue, seen) = (queue("messages"), Seen::default());
        queue.send("alone").unwrap();
        let started = Instant::now();
        let running = Running::start(&queue, Options { max_batch_wait: wait, ..options() }, seen.slow(Duration::ZERO));
        until("it is deleted", || queue.is_empty()).await;
        let over = started.elapsed().checked_sub(wait);
        assert!(over.is_some_and(|over| over < Duration::from_secs(1)), "{wait:?}: {:?}", started.elapsed());
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn few_permits_do_not_cost_a_delete_each() {
    // The next receive has all the permits that it wants: a lone delete waits for others.
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.send("alone").unwrap();
    let started = Instant::now();
    let running = Running::start(&queue, Options { concurrency: 12, ..options() }, seen.slow(Duration::ZERO));
    until("it is deleted", || queue.is_empty()).await;
    assert!(started.elapsed() >= options().max_batch_wait, "{:?}", started.elapsed());
    running.stop().await;
    // It has not, but another handler is about to end: both go in one.
    let before = queue.requests().delete;
    queue.send("100").unwrap();
    queue.send("300").unwrap();
    let slow = |message: Message| sleep(Duration::from_millis(message.body().parse().unwrap()));
    let running = Running::start(&queue, Options { concurrency: 10, ..options() }, slow);
    until("both are deleted", || queue.is_empty()).await;
    assert_eq!(queue.requests().delete - before, 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn while_receives_come_back_full_there_are_more_at_a_time() {
    let (queue, seen) = (queue("messages"), Seen::default());
    let second = Duration::from_secs(1);
    queue.set_faults(Faults { latency: second..=second, ..Faults::default() });
    (0..1000).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let started = Instant::now();
    let running = Running::start(&queue, Options { concurrency: 100, ..options() }, seen.slow(Duration::ZERO));
    until("all are handled", || seen.count() == 1000).await;
    // One after the other, a hundred receives would take a hundred seconds.
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_consumer_has_one_long_poll_open() {
    let (queue, seen) = (queue("messages"), Seen::default());
    let running = Running::start(&queue, Options { concurrency: 100, ..options() }, seen.slow(Duration::ZERO));
    (0..1000).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    until("the queue is empty", || queue.is_empty()).await;
    sleep(Duration::from_mins(1)).await;
    let before = queue.requests().receive;
    sleep(Duration::from_mins(10)).await;
    assert_eq!(queue.requests().open_polls, 1);
    assert_eq!(queue.requests().receive - before, 30, "one every 20 s");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_consumer_needs_a_fifth_of_a_request_for_a_message() {
    for handler in [0, 20] {
        let (queue, seen) = (queue("messages"), Seen::default());
        (0..10_000).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
        let options = Options { concurrency: 100, ..options() };
        let running = Running::start(&queue, options, seen.slow(Duration::from_millis(handler)));
        until("the queue is empty", || queue.is_empty()).await;
        let requests = queue.requests();
        assert!(requests.receive + requests.delete <= 2050 + 20, "{requests:?}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_in_flight_are_bounded() {
    let (queue, seen) = (queue("messages"), Seen::default());
    (0..60).for_each(|_| drop(queue.send("x".repeat(1 << 20)).unwrap()));
    let options = Options { concurrency: 60, max_in_flight_bytes: 8 << 20, ..options() };
    let running = Running::start(&queue, options, seen.slow(Duration::from_secs(10)));
    until("the first are handled", || queue.deleted() > 20).await;
    sleep(Duration::from_secs(1)).await;
    assert!(queue.counts().in_flight <= 8, "{:?}", queue.counts());
    until("the queue is empty", || queue.is_empty()).await;
    running.stop().await;
}
