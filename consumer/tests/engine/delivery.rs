//! What is received is handled and deleted; what is handled is handled once, if the queue plays along.

use std::time::Duration;

use tokio::time::sleep;
use upbeat_consumer::queue::ErrorKind;
use upbeat_consumer::queue::memory::{Faults, MemoryQueue, NewMessage};
use upbeat_consumer::{Message, Options};

use crate::scene::{Running, Seen, options, queue, until};

#[tokio::test(start_paused = true)]
async fn every_message_is_handled_once_and_deleted() {
    let (queue, seen) = (queue("messages"), Seen::default());
    (0..250).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let running = Running::start(&queue, options(), seen.slow(Duration::from_millis(20)));
    until("the queue is empty", || queue.is_empty()).await;
    let summary = running.stop().await;
    assert_eq!((summary.handled, summary.released, summary.abandoned), (250, 0, 0));
    let mut bodies = seen.bodies();
    bodies.sort_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(bodies, (0..250).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlasts_the_lease_many_times_keeps_its_message() {
    let (queue, seen) = (queue("messages"), Seen::default());
    (0..15).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let running = Running::start(&queue, options(), seen.slow(Duration::from_mins(10)));
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!((seen.count(), running.stop().await.handled), (15, 15));
    // 15 messages are extended every 20 s in two batches.
    assert!(queue.requests().change_visibility <= 2 * 31, "{:?}", queue.requests());
}

#[tokio::test(start_paused = true)]
async fn a_fast_handler_costs_no_extension() {
    let (queue, seen) = (queue("messages"), Seen::default());
    (0..100).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let running = Running::start(&queue, options(), seen.slow(Duration::from_secs(15)));
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!((queue.requests().change_visibility, running.stop().await.handled), (0, 100));
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_the_queues_own_visibility_timeout_if_that_is_shorter() {
    let (queue, seen) =
        (MemoryQueue::builder("messages").visibility_timeout(Duration::from_secs(6)).build(), Seen::default());
    queue.send("a").unwrap();
    let running = Running::start(&queue, options(), seen.slow(Duration::from_mins(5)));
    until("it is received", || queue.counts().in_flight == 1).await;
    running.kill();
    sleep(Duration::from_secs(6)).await;
    assert_eq!(queue.counts().visible, 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_costs_a_message_no_more_than_its_lease() {
    let queue = MemoryQueue::builder("messages").visibility_timeout(Duration::from_hours(6)).build();
    let seen = Seen::default();
    (0..10).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let running = Running::start(&queue, options(), seen.slow(Duration::from_mins(5)));
    until("all are in flight", || queue.counts().in_flight == 10).await;
    running.kill();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(queue.counts().visible, 10);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_of_a_running_message_is_not_run_and_its_receipt_is_adopted() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.set_faults(Faults { duplicates: 1.0, ..Faults::default() });
    (0..30).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let running = Running::start(&queue, options(), seen.slow(Duration::from_secs(5)));
    until("the queue is empty", || queue.is_empty()).await;
    let summary = running.stop().await;
    assert!(summary.received > 30, "there were duplicates");
    assert_eq!((seen.count(), summary.handled), (30, 30));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_handled_but_not_yet_deleted_is_not_handled_again() {
    let (queue, seen) = (MemoryQueue::new("messages"), Seen::default());
    queue.set_faults(Faults { failed_entries: 0.9, ..Faults::default() });
    (0..30).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let running = Running::start(&queue, options(), seen.slow(Duration::ZERO));
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!((seen.count(), running.stop().await.handled), (30, 30));
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_delete_came_too_late_is_deleted_when_it_comes_back_and_not_handled_again() {
    // A FIFO queue refuses a receipt handle whose time is up.
    let (queue, seen) = (queue("messages.fifo"), Seen::default());
    queue.send(NewMessage::new("a").group("g")).unwrap();
    let (cut, noted) = (queue.clone(), seen.clone());
    let running = Running::start(&queue, Options { concurrency: 1, ..options() }, move |message: Message| {
        noted.note(&message);
        cut.set_faults(Faults { down: Some(ErrorKind::Unavailable), ..Faults::default() });
        async {}
    });
    until("it is handled", || seen.count() == 1).await;
    sleep(Duration::from_mins(1)).await;
    queue.set_faults(Faults::default());
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!((seen.count(), running.stop().await.handled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_return_nothing_an_outcome_or_a_result() {
    let queue = queue("messages");
    for handler in [0, 1] {
        queue.send("a").unwrap();
        let running = match handler {
            0 => Running::start(&queue, Options::default(), |_: Message| async {}),
            _ => Running::start(&queue, Options::default(), |message: Message| async move {
                message
                    .body()
                    .parse::<u32>()
                    .map(drop)
                    .or_else(|error| if message.attempt() > 1 { Ok(()) } else { Err(error) })
            }),
        };
        until("the queue is empty", || queue.is_empty()).await;
        assert_eq!(running.stop().await.failed, handler);
    }
}
