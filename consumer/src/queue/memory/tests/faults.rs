//! One test a fault, and that a seed replays.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::super::{ErrorKind, Queue, Receive};
use super::super::{Counts, Faults, MemoryQueue, NewMessage};
use super::{LEASE, bodies, delete, long_poll, receive, receive_one, send_numbered, ten};

const SECOND: Duration = Duration::from_secs(1);

fn faulty(faults: Faults) -> MemoryQueue {
    let queue = MemoryQueue::builder("q").seed(1).build();
    send_numbered(&queue, 100);
    queue.set_faults(faults);
    queue
}

/// What becomes of many short receives of one message each, which never answer after a second.
async fn outcomes(queue: &MemoryQueue) -> Vec<Result<usize, Option<ErrorKind>>> {
    let mut outcomes = Vec::new();
    for _ in 0..100 {
        let one = Receive { max: 1, ..ten() };
        outcomes.push(match timeout(SECOND, queue.receive(one)).await {
            Ok(Ok(received)) => Ok(received.len()),
            Ok(Err(error)) => Err(Some(error.kind)),
            Err(_) => Err(None),
        });
    }
    outcomes
}

fn count<T: PartialEq>(outcomes: &[T], outcome: &T) -> usize {
    outcomes.iter().filter(|known| *known == outcome).count()
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_as_long_as_the_latency_says() {
    let queue = faulty(Faults { latency: SECOND..=SECOND * 3, ..Faults::default() });
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let begun = Instant::now();
        receive_one(&queue).await;
        let latency = begun.elapsed();
        assert!(latency >= SECOND && latency <= SECOND * 3 + SECOND / 100, "{latency:?}");
        seen.insert(latency.as_millis() / 500);
    }
    assert!(seen.len() >= 4, "spread over the range: {seen:?}");
    // On top of the wait of a long poll.
    let empty = MemoryQueue::builder("e").faults(Faults { latency: SECOND..=SECOND, ..Faults::default() }).build();
    let begun = Instant::now();
    assert!(empty.receive(long_poll(5)).await.unwrap().is_empty());
    assert_eq!(begun.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn requests_are_throttled_or_fail_about_as_often_as_told_and_are_not_carried_out() {
    let queue = faulty(Faults { throttled: 0.3, failed: 0.3, ..Faults::default() });
    let outcomes = outcomes(&queue).await;
    let throttled = count(&outcomes, &Err(Some(ErrorKind::Throttled)));
    let failed = count(&outcomes, &Err(Some(ErrorKind::Unavailable)));
    let done = count(&outcomes, &Ok(1));
    assert!((20..40).contains(&throttled) && (10..35).contains(&failed), "{throttled} {failed}");
    assert_eq!(throttled + failed + done, 100);
    assert_eq!(queue.counts().in_flight, done);
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_is_never_answered_nor_carried_out() {
    let queue = faulty(Faults { lost_requests: 0.5, ..Faults::default() });
    let outcomes = outcomes(&queue).await;
    let lost = count(&outcomes, &Err(None));
    assert!((35..65).contains(&lost), "{lost}");
    assert_eq!(queue.requests().open_polls, 0);
    assert_eq!(queue.requests().receive, 100);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_a_request_carried_out_with_a_timeout_or_nothing_for_an_answer() {
    let queue = faulty(Faults { lost_answers: 1.0, ..Faults::default() });
    let outcomes = outcomes(&queue).await;
    let timeouts = count(&outcomes, &Err(Some(ErrorKind::Timeout)));
    assert_eq!(timeouts + count(&outcomes, &Err(None)), 100);
    assert!((35..65).contains(&timeouts), "{timeouts}");
    let deliveries: u32 = queue.messages().iter().map(|message| message.receive_count).sum();
    assert_eq!(deliveries, 100);
    queue.set_faults(Faults::default());

    let received = receive(&queue).await;
    queue.set_faults(Faults { lost_answers: 1.0, ..Faults::default() });
    let _ = timeout(SECOND, delete(&queue, &received)).await;
    assert_eq!(queue.deleted(), u64::try_from(received.len()).unwrap());
}

#[tokio::test(start_paused = true)]
async fn entries_fail_one_by_one_without_fault_of_the_sender_and_are_not_carried_out() {
    let queue = faulty(Faults { failed_entries: 0.5, ..Faults::default() });
    let mut failed = 0;
    for _ in 0..10 {
        let received = receive(&queue).await;
        let results = delete(&queue, &received).await.unwrap();
        assert_eq!(results.len(), received.len());
        assert!(results.iter().filter_map(|result| result.as_ref().err()).all(|error| !error.sender_fault));
        failed += results.iter().filter(|result| result.is_err()).count();
    }
    assert!((30..70).contains(&failed), "{failed}");
    assert_eq!(queue.messages().len(), failed);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_delete_is_confirmed_and_the_message_comes_back() {
    let queue = faulty(Faults { forgotten_deletes: 1.0, ..Faults::default() });
    let received = receive(&queue).await;
    assert!(delete(&queue, &received).await.unwrap().iter().all(Result::is_ok));
    assert_eq!((queue.deleted(), queue.counts().in_flight), (0, 10));
    sleep(LEASE).await;
    assert_eq!(receive(&queue).await[0].delivery.receive_count, 2);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_a_message_in_flight_handed_out_again_under_a_new_handle() {
    let queue = MemoryQueue::builder("q").faults(Faults { duplicates: 1.0, ..Faults::default() }).build();
    queue.send("a").unwrap();
    let first = receive_one(&queue).await;
    let second = receive_one(&queue).await;
    assert_eq!(first.delivery.message_id, second.delivery.message_id);
    assert_ne!(first.delivery.receipt, second.delivery.receipt);
    assert_eq!(second.delivery.receive_count, 2);
    delete(&queue, &[second]).await.unwrap();
    assert!(queue.is_empty());

    let fifo = MemoryQueue::builder("q.fifo").faults(Faults { duplicates: 1.0, ..Faults::default() }).build();
    fifo.send(NewMessage::new("a").group("g")).unwrap();
    receive_one(&fifo).await;
    assert!(receive(&fifo).await.is_empty(), "a FIFO queue hands out nothing twice");
}

#[tokio::test(start_paused = true)]
async fn reordering_brings_messages_out_of_order_and_loses_none() {
    let queue = faulty(Faults { reordering: 1.0, ..Faults::default() });
    let mut numbers = Vec::new();
    for _ in 0..10 {
        numbers.extend(receive(&queue).await.iter().map(|r| r.payload.body().parse::<u32>().unwrap()));
    }
    assert!(!numbers.is_sorted());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn fewer_come_than_there_are_and_a_long_poll_brings_at_least_one() {
    let queue = faulty(Faults { few: 1.0, ..Faults::default() });
    let mut sizes = BTreeSet::new();
    for _ in 0..40 {
        let received = queue.receive(Receive { lease: SECOND, ..long_poll(1) }).await.unwrap();
        sizes.insert(received.len());
        sleep(SECOND).await;
    }
    assert!(sizes.len() > 5 && !sizes.contains(&0), "{sizes:?}");
    let outcomes = outcomes(&queue).await;
    assert!(count(&outcomes, &Ok(0)) > 20, "a short poll may bring none");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_down_fails_every_request_and_open_polls_until_it_is_up_again() {
    for kind in [ErrorKind::NotFound, ErrorKind::Unavailable, ErrorKind::AccessDenied] {
        let queue = MemoryQueue::new("q");
        let poll = tokio::spawn({
            let queue = queue.clone();
            async move { queue.receive(long_poll(20)).await }
        });
        sleep(SECOND).await;
        queue.set_faults(Faults { down: Some(kind), ..queue.faults() });
        assert_eq!(poll.await.unwrap().unwrap_err().kind, kind);
        queue.send("a").unwrap();
        assert_eq!(queue.receive(ten()).await.unwrap_err().kind, kind);
        assert_eq!(queue.info().await.unwrap_err().kind, kind);
        queue.set_faults(Faults::default());
        assert_eq!(bodies(&receive(&queue).await), ["a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_replays_and_another_does_not() {
    async fn run(seed: u64) -> Vec<(String, String)> {
        let faults = Faults {
            latency: Duration::ZERO..=SECOND,
            throttled: 0.1,
            failed: 0.1,
            lost_requests: 0.05,
            lost_answers: 0.1,
            failed_entries: 0.2,
            forgotten_deletes: 0.1,
            duplicates: 0.2,
            reordering: 0.5,
            few: 0.5,
            abandoned_polls: 0.5,
            down: None,
        };
        let queue = MemoryQueue::builder("q").faults(faults).seed(seed).build();
        send_numbered(&queue, 50);
        let mut trace = Vec::new();
        for _ in 0..200 {
            let poll = Receive { lease: Duration::from_secs(5), ..long_poll(2) };
            let outcome = timeout(SECOND * 3, queue.receive(poll)).await;
            if let Ok(Ok(received)) = &outcome
                && !received.is_empty()
            {
                let _ = timeout(SECOND * 3, delete(&queue, received)).await;
            }
            let ids: Vec<_> = outcome.iter().flatten().flatten().map(|r| r.delivery.receipt.0.clone()).collect();
            let error = outcome.map(Result::err);
            trace.push((ids.join(","), format!("{error:?} {:?} {}", queue.counts(), queue.deleted())));
        }
        trace
    }
    let first = run(7).await;
    assert_eq!(run(7).await, first);
    assert_ne!(run(8).await, first);
}

#[test]
fn without_faults_nothing_is_in_the_way() {
    let queue = MemoryQueue::new("q");
    assert_eq!(queue.faults(), Faults::default());
    assert_eq!(queue.counts(), Counts::default());
}
