//! An orderly stop: what is in flight is finished or released, and nothing is handled twice because of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use upbeat_consumer::message::CancelReason;
use upbeat_consumer::queue::memory::{Faults, MemoryQueue, NewMessage};
use upbeat_consumer::{Message, Options};

use crate::scene::{Running, Seen, options, queue, until};

#[tokio::test(start_paused = true)]
async fn handlers_that_run_are_finished_and_their_messages_deleted() {
    let (queue, seen) = (queue("messages"), Seen::default());
    (0..100).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let running = Running::start(&queue, options(), seen.slow(Duration::from_secs(5)));
    sleep(Duration::from_secs(12)).await;
    let started = Instant::now();
    let summary = running.stop().await;
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    // Two rounds of twenty are done by now, and the third had begun.
    assert_eq!((summary.handled, summary.abandoned, seen.count()), (60, 0, 60));
    assert_eq!((queue.counts().in_flight, queue.deleted()), (0, 60));
}

#[tokio::test(start_paused = true)]
async fn an_idle_consumer_stops_within_the_poll_grace() {
    let (queue, seen) = (queue("messages"), Seen::default());
    let running = Running::start(&queue, options(), seen.slow(Duration::ZERO));
    sleep(Duration::from_secs(5)).await;
    let started = Instant::now();
    assert!(running.stop().await.is_clean());
    assert!(started.elapsed() <= Duration::from_millis(1100), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_poll_brings_after_the_stop_is_released_and_not_handled() {
    let (queue, seen) = (queue("messages"), Seen::default());
    let running = Running::start(&queue, options(), seen.slow(Duration::ZERO));
    sleep(Duration::from_secs(5)).await;
    running.stop.cancel();
    sleep(Duration::from_millis(500)).await;
    queue.send("late").unwrap();
    let summary = running.ended().await;
    assert_eq!((summary.handled, summary.released, seen.count()), (0, 1, 0));
    assert_eq!(queue.counts().visible, 1);
}

#[tokio::test(start_paused = true)]
async fn with_a_poll_grace_of_the_wait_time_nothing_is_ever_left_to_its_lease() {
    let queue = queue("messages");
    queue.set_faults(Faults { abandoned_polls: 1.0, ..Faults::default() });
    let seen = Seen::default();
    let options = Options { poll_grace: Duration::from_secs(20), drain_timeout: Duration::from_secs(45), ..options() };
    let running = Running::start(&queue, options, seen.slow(Duration::ZERO));
    sleep(Duration::from_secs(5)).await;
    running.stop.cancel();
    sleep(Duration::from_secs(10)).await;
    queue.send("late").unwrap();
    assert!(running.ended().await.is_clean());
    assert_eq!(queue.counts().visible, 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_answer_to_a_cut_off_poll_would_have_brought_is_won_back_from_a_fifo_queue() {
    let (queue, seen) = (queue("messages.fifo"), Seen::default());
    let slow = Duration::from_secs(4);
    queue.set_faults(Faults { latency: slow..=slow, ..Faults::default() });
    let running = Running::start(&queue, options(), seen.slow(Duration::ZERO));
    until("it polls", || queue.requests().open_polls == 1).await;
    queue.send(NewMessage::new("a").group("g")).unwrap();
    until("the answer is on its way", || queue.counts().in_flight == 1).await;
    let summary = running.stop().await;
    assert_eq!((summary.released, seen.count()), (1, 0));
    assert_eq!(queue.counts().visible, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_batches_to_be_filled() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.send("a").unwrap();
    let options = Options { max_batch_wait: Duration::from_secs(20), ..options() };
    let running = Running::start(&queue, options, seen.slow(Duration::ZERO));
    until("it is handled", || seen.count() == 1).await;
    let started = Instant::now();
    assert_eq!(running.stop().await.handled, 1);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn handlers_that_outlast_the_drain_time_are_cancelled_and_their_messages_released() {
    let (queue, seen) = (queue("messages"), Seen::default());
    (0..20).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let noted = seen.clone();
    let running = Running::start(&queue, options(), move |message: Message| {
        noted.note(&message);
        async move {
            if message.body() == "7" {
                std::future::pending::<()>().await;
            }
            assert_eq!(message.cancellation().cancelled().await, CancelReason::Shutdown);
            Err::<(), _>("interrupted")
        }
    });
    until("all run", || seen.count() == 20).await;
    let started = Instant::now();
    let summary = running.stop().await;
    assert!(started.elapsed() <= options().drain_timeout, "{:?}", started.elapsed());
    assert_eq!((summary.handled, summary.released, summary.abandoned), (0, 20, 0));
    assert_eq!(queue.counts().visible, 20);
}

#[tokio::test(start_paused = true)]
async fn what_can_be_neither_deleted_nor_released_in_time_is_counted_as_abandoned() {
    let (queue, seen) = (queue("messages"), Seen::default());
    (0..20).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let running = Running::start(&queue, options(), seen.slow(Duration::from_secs(1)));
    until("all run", || seen.count() == 20).await;
    queue.set_faults(Faults { lost_requests: 1.0, ..Faults::default() });
    let started = Instant::now();
    let summary = running.stop().await;
    assert!(started.elapsed() <= options().drain_timeout + Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!((summary.handled, summary.abandoned), (0, 20));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_waits_for_its_queue_stops_at_once() {
    let queue = MemoryQueue::new("messages");
    queue.set_faults(Faults { lost_requests: 1.0, ..Faults::default() });
    let running = Running::start(&queue, Options::default(), Seen::default().slow(Duration::ZERO));
    sleep(Duration::from_secs(2)).await;
    let started = Instant::now();
    assert!(running.stop().await.is_clean());
    assert_eq!(started.elapsed(), Duration::ZERO);
}
