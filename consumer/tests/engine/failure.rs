//! Handlers that fail, and a queue that does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use upbeat_consumer::message::CancelReason;
use upbeat_consumer::queue::memory::{Faults, MemoryQueue, NewMessage};
use upbeat_consumer::queue::{ErrorKind, REASON_ATTRIBUTE};
use upbeat_consumer::{Message, Options, Outcome};

use crate::scene::{Running, Seen, failed, options, queue, until};

#[tokio::test(start_paused = true)]
async fn a_message_whose_handler_fails_becomes_visible_again_and_ends_in_the_dead_letter_queue() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.send("poison").unwrap();
    queue.send("good").unwrap();
    let handler = seen.answering(|message| if message.body() == "poison" { failed() } else { Outcome::Done });
    let running = Running::start(&queue, options(), handler);
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!(seen.attempts("poison"), [1, 2, 3, 4, 5]);
    assert_eq!(seen.attempts("good"), [1]);
    assert_eq!(queue.dead_letters().iter().map(|letter| &*letter.body).collect::<Vec<_>>(), ["poison"]);
    assert_eq!(running.stop().await.failed, 5);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_another_try_doubles() {
    let (queue, tries) = (MemoryQueue::new("messages"), Arc::new(std::sync::Mutex::new(Vec::new())));
    queue.send("poison").unwrap();
    let noted = Arc::clone(&tries);
    let running = Running::start(&queue, Options { breaker_threshold: 0, ..options() }, move |_: Message| {
        noted.lock().unwrap().push(Instant::now());
        async { Err::<(), _>("as told") }
    });
    until("there were eleven tries", || tries.lock().unwrap().len() == 11).await;
    let waits: Vec<_> = tries.lock().unwrap().windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    for (n, wait) in waits.iter().enumerate() {
        let full = f64::from(1 << n).min(900.0);
        // Whole seconds, rounded up; the change is told to the queue within a second.
        assert!((full / 2.0..=full + 2.1).contains(wait), "{n}: {waits:?}");
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_comes_after_the_time_that_was_asked_for() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.send("later").unwrap();
    let started = Instant::now();
    let handler = seen.answering(|message| match message.attempt() {
        1 => Outcome::Retry { after: Duration::from_mins(3) },
        _ => Outcome::Done,
    });
    let running = Running::start(&queue, options(), handler);
    until("the queue is empty", || queue.is_empty()).await;
    assert!((180..185).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    assert_eq!(running.stop().await.handled, 1);
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_before_we_hear_that_it_is_released_is_released_once_a_try() {
    let (queue, seen) = (MemoryQueue::new("messages"), Seen::default());
    queue.set_faults(Faults { latency: Duration::ZERO..=Duration::from_millis(200), ..Faults::default() });
    (0..50).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let handler = seen.answering(|message| match message.attempt() {
        1..4 => Outcome::Retry { after: Duration::ZERO },
        _ => Outcome::Done,
    });
    let running = Running::start(&queue, Options { max_batch_wait: Duration::from_secs(2), ..options() }, handler);
    until("the queue is empty", || queue.is_empty()).await;
    let summary = running.stop().await;
    assert_eq!((seen.count(), summary.handled, summary.released), (200, 50, 150));
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_that_message_a_retry_and_nothing_else() {
    let (queue, seen) = (queue("messages"), Seen::default());
    (0..50).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let handler = seen.answering(|message| {
        assert!(message.attempt() > 1 || message.body() != "13", "as told");
        Outcome::Done
    });
    let running = Running::start(&queue, options(), handler);
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!(seen.attempts("13"), [1, 2]);
    let summary = running.stop().await;
    assert_eq!((seen.count(), summary.handled, summary.failed), (51, 50, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_is_in_the_dead_letter_queue_with_its_reason_at_once() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.send("bad").unwrap();
    let running =
        Running::start(&queue, options(), seen.answering(|_| Outcome::Reject { reason: "not an order".to_owned() }));
    until("the queue is empty", || queue.is_empty()).await;
    let letters = queue.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].attributes.get(REASON_ATTRIBUTE).and_then(|reason| reason.text()), Some("not an order"));
    let summary = running.stop().await;
    assert_eq!((seen.count(), summary.rejected), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_is_tried_again_where_there_is_no_dead_letter_queue() {
    let (queue, seen) = (MemoryQueue::new("messages"), Seen::default());
    queue.send("bad").unwrap();
    let handler = seen.answering(|message| match message.attempt() {
        1 => Outcome::Reject { reason: "not an order".to_owned() },
        _ => Outcome::Done,
    });
    let running = Running::start(&queue, options(), handler);
    until("the queue is empty", || queue.is_empty()).await;
    let summary = running.stop().await;
    assert_eq!((seen.count(), summary.rejected), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_before_the_dead_letter_queue_is_told_to_the_handler() {
    let (queue, last) = (queue("messages"), Arc::new(AtomicBool::new(false)));
    queue.send("poison").unwrap();
    let told = Arc::clone(&last);
    let running = Running::start(&queue, options(), move |message: Message| {
        assert_eq!(message.is_last_attempt(), message.attempt() == 5);
        told.fetch_or(message.is_last_attempt(), Ordering::SeqCst);
        async { failed() }
    });
    until("the queue is empty", || queue.is_empty()).await;
    assert!(last.load(Ordering::SeqCst));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_lock_is_lost_is_cancelled_with_the_reason() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.send("a").unwrap();
    let reason = Arc::new(std::sync::Mutex::new(None));
    let (told, noted) = (Arc::clone(&reason), seen.clone());
    let running = Running::start(&queue, options(), move |message: Message| {
        let (told, noted) = (Arc::clone(&told), noted.clone());
        async move {
            noted.note(&message);
            if message.attempt() == 1 {
                *told.lock().unwrap() = Some(message.cancellation().cancelled().await);
                return Err("cancelled");
            }
            Ok(())
        }
    });
    until("it is handled", || seen.count() == 1).await;
    queue.set_faults(Faults { down: Some(ErrorKind::Unavailable), ..Faults::default() });
    sleep(Duration::from_mins(2)).await;
    assert_eq!(*reason.lock().unwrap(), Some(CancelReason::LockLost));
    assert_eq!(running.health.check(), Ok(()), "an outage of the queue is no fault of ours");
    queue.set_faults(Faults::default());
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!(seen.attempts("a").len(), 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_lost_when_the_lease_ends_though_the_extension_is_not_answered_yet() {
    let (queue, lease) = (queue("messages"), Duration::from_secs(9));
    let ran_for = Arc::new(std::sync::Mutex::new(None));
    let note = Arc::clone(&ran_for);
    // A poll that is open when the lease ends would bring the message again.
    let options = Options { lease, wait: Duration::from_secs(1), ..options() };
    let running = Running::start(&queue, options, move |message: Message| {
        let (note, began) = (Arc::clone(&note), Instant::now());
        async move {
            let reason = message.cancellation().cancelled().await;
            note.lock().unwrap().get_or_insert((reason, began.elapsed()));
            failed()
        }
    });
    queue.send("a").unwrap();
    sleep(Duration::from_secs(3)).await;
    queue.set_faults(Faults { lost_requests: 1.0, ..Faults::default() });
    sleep(Duration::from_mins(1)).await;
    let (reason, time) = ran_for.lock().unwrap().expect("the handler is cancelled");
    assert_eq!(reason, CancelReason::LockLost);
    assert!(time <= lease, "cancelled {time:?} after the receive");
    queue.set_faults(Faults::default());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_overruns_its_timeout_is_cancelled_and_its_message_tried_again() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.send("slow").unwrap();
    let noted = seen.clone();
    let options = Options { handler_timeout: Duration::from_secs(90), ..options() };
    let running = Running::start(&queue, options, move |message: Message| {
        noted.note(&message);
        async move {
            if message.attempt() == 1 {
                std::future::pending::<()>().await;
            }
        }
    });
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!(seen.attempts("slow"), [1, 2]);
    assert_eq!(running.stop().await.failed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_goes_on_for_longer_than_the_queue_hides_a_message_is_cancelled_before_another_begins() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.send("slow").unwrap();
    let (noted, running) = (seen.clone(), Arc::new(AtomicUsize::new(0)));
    let options = Options { handler_timeout: Duration::from_hours(12), ..options() };
    let consumer = Running::start(&queue, options, move |message: Message| {
        noted.note(&message);
        let running = Arc::clone(&running);
        async move {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
            if message.attempt() == 1 {
                message.cancellation().cancelled().await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
            if message.attempt() == 1 { Err("cancelled") } else { Ok(()) }
        }
    });
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!(seen.attempts("slow"), [1, 2]);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_queue_is_waited_for_and_shown_on_readiness_only() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.set_faults(Faults { down: Some(ErrorKind::NotFound), ..Faults::default() });
    let running = Running::start(&queue, options(), seen.slow(Duration::ZERO));
    sleep(Duration::from_mins(10)).await;
    assert!(running.readiness.check().is_err_and(|why| why.contains("does not exist")));
    assert_eq!(running.health.check(), Ok(()));
    assert!(queue.requests().info < 60, "no hot loop: {:?}", queue.requests());
    queue.set_faults(Faults::default());
    queue.send("a").unwrap();
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!(running.readiness.check(), Ok(()));
    assert_eq!(running.stop().await.handled, 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_with_backoff_and_nothing_is_lost() {
    let (queue, seen) = (queue("messages"), Seen::default());
    let running = Running::start(&queue, options(), seen.slow(Duration::from_millis(1)));
    for outage in [ErrorKind::Unavailable, ErrorKind::AccessDenied, ErrorKind::NotFound, ErrorKind::Throttled] {
        (0..100).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
        sleep(Duration::from_millis(3)).await;
        queue.set_faults(Faults { down: Some(outage), ..Faults::default() });
        let before = queue.requests();
        sleep(Duration::from_mins(10)).await;
        let tries = queue.requests().receive - before.receive;
        assert!(tries < 60, "no hot loop: {tries}");
        assert!(running.readiness.check().is_err());
        assert_eq!(running.health.check(), Ok(()));
        queue.set_faults(Faults::default());
        until("the queue is empty", || queue.is_empty()).await;
    }
    assert_eq!(running.stop().await.abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn receives_that_fail_are_tried_less_and_less_often() {
    let (queue, seen) = (queue("messages"), Seen::default());
    let running = Running::start(&queue, options(), seen.slow(Duration::ZERO));
    sleep(Duration::from_secs(1)).await;
    queue.set_faults(Faults { down: Some(ErrorKind::Unavailable), ..Faults::default() });
    let before = queue.requests().receive;
    sleep(Duration::from_mins(10)).await;
    let tries = queue.requests().receive - before;
    // By chance between 0 and 30 s apart, once it has come to that.
    assert!((10..100).contains(&tries), "{tries}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_is_never_answered_is_given_up_and_tried_again() {
    let (queue, seen) = (queue("messages"), Seen::default());
    queue.set_faults(Faults { lost_requests: 1.0, ..Faults::default() });
    let options = Options { wait: Duration::from_secs(1), ..options() };
    let running = Running::start(&queue, options, seen.slow(Duration::ZERO));
    sleep(Duration::from_mins(5)).await;
    assert_eq!(running.health.check(), Ok(()));
    queue.set_faults(Faults::default());
    queue.send("a").unwrap();
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!(running.stop().await.handled, 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_behind_the_handlers_does_not_burn_the_receive_counts_of_the_queue() {
    let (queue, seen) = (queue("messages"), Seen::default());
    (0..200).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let (down, noted) = (Arc::new(AtomicBool::new(true)), seen.clone());
    let outage = Arc::clone(&down);
    let running = Running::start(&queue, options(), move |message: Message| {
        noted.note(&message);
        let down = outage.load(Ordering::SeqCst);
        async move { if down { failed() } else { Outcome::Done } }
    });
    sleep(Duration::from_mins(10)).await;
    assert!(seen.count() < 60, "{} tries in ten minutes", seen.count());
    down.store(false, Ordering::SeqCst);
    until("the queue is empty", || queue.is_empty()).await;
    assert!(queue.dead_letters().len() <= 20, "{}", queue.dead_letters().len());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_longer_than_the_queue_can_hide_a_message_comes_all_the_same() {
    for name in ["messages", "messages.fifo"] {
        let (queue, seen) = (queue(name), Seen::default());
        queue.send(NewMessage::new("never").group("g")).unwrap();
        let handler = seen.answering(|message| match message.attempt() {
            1 => Outcome::Retry { after: Duration::MAX },
            _ => Outcome::Done,
        });
        let running = Running::start(&queue, options(), handler);
        sleep(Duration::from_hours(12)).await;
        assert_eq!(seen.attempts("never"), [1, 2], "{name}");
        let summary = running.stop().await;
        assert_eq!((summary.handled, summary.abandoned), (1, 0), "{name}");
    }
}
