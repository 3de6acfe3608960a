//! Receipt handles, limits, delays and redrive.

use std::time::Duration;

use tokio::time::{advance, sleep};

use super::super::super::{Batch, ErrorKind, MAX_VISIBILITY, Queue, Receive};
use super::super::{Counts, MemoryQueue, NewMessage};
use super::{LEASE, delete, make_visible_after, receipt, receive, receive_one, send_numbered, ten};
use crate::message::Attribute;

#[tokio::test(start_paused = true)]
async fn every_delivery_has_its_own_handle_and_an_older_one_deletes_nothing_though_it_is_told_so() {
    let queue = MemoryQueue::new("q");
    queue.send("a").unwrap();
    let first = receive_one(&queue).await;
    sleep(LEASE).await;
    let second = receive_one(&queue).await;
    assert_ne!(first.delivery.receipt, second.delivery.receipt);
    assert_eq!(first.delivery.message_id, second.delivery.message_id);

    assert_eq!(delete(&queue, &[first]).await.unwrap()[0], Ok(()));
    assert_eq!(queue.bodies(), ["a"]);
    assert_eq!(delete(&queue, &[second]).await.unwrap()[0], Ok(()));
    assert!(queue.is_empty());
    assert_eq!(queue.deleted(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_latest_handle_deletes_after_its_lease_has_ended_and_once_more_is_no_error() {
    let queue = MemoryQueue::new("q");
    queue.send("a").unwrap();
    let received = [receive_one(&queue).await];
    sleep(LEASE * 2).await;
    assert_eq!(delete(&queue, &received).await.unwrap()[0], Ok(()));
    assert_eq!(delete(&queue, &received).await.unwrap()[0], Ok(()));
    assert_eq!(queue.deleted(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handle_of_another_queue_or_none_at_all_is_the_senders_fault() {
    let (queue, other) = (MemoryQueue::new("q"), MemoryQueue::new("other"));
    other.send("a").unwrap();
    let strange = receive_one(&other).await.delivery.receipt.0;
    for text in ["", "q", "q/1", "q/1/1", "q/x/y", strange.as_str()] {
        let result = queue.delete(receipt(text)).await.unwrap();
        assert!(result[0].as_ref().is_err_and(|error| error.sender_fault), "{text:?}: {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn visibility_can_be_changed_only_by_who_holds_the_message() {
    let queue = MemoryQueue::new("q");
    queue.send("a").unwrap();
    let first = receive_one(&queue).await;
    sleep(LEASE).await;
    let refused = |results: Batch<Result<(), _>>| {
        results[0].as_ref().is_err_and(|error: &super::super::super::EntryError| error.sender_fault)
    };
    assert!(refused(make_visible_after(&queue, &first, LEASE).await.unwrap()), "not in flight");
    let second = receive_one(&queue).await;
    assert!(refused(make_visible_after(&queue, &first, LEASE).await.unwrap()), "in flight elsewhere");
    assert_eq!(make_visible_after(&queue, &second, LEASE).await.unwrap()[0], Ok(()));
    delete(&queue, std::slice::from_ref(&second)).await.unwrap();
    assert!(refused(make_visible_after(&queue, &second, LEASE).await.unwrap()), "deleted");
}

#[tokio::test(start_paused = true)]
async fn a_message_stays_invisible_for_twelve_hours_in_all_and_not_longer() {
    let queue = MemoryQueue::new("q");
    queue.send("a").unwrap();
    let received = receive_one(&queue).await;
    advance(Duration::from_secs(10)).await;
    let most = MAX_VISIBILITY.checked_sub(Duration::from_secs(10)).unwrap();
    let result = make_visible_after(&queue, &received, most + Duration::from_secs(1)).await.unwrap();
    assert!(result[0].as_ref().is_err_and(|error| error.sender_fault && error.reason.contains("12 hours")));
    assert_eq!(make_visible_after(&queue, &received, most).await.unwrap()[0], Ok(()));
    assert_eq!(queue.counts(), Counts { in_flight: 1, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn requests_that_sqs_would_refuse_are_refused() {
    let queue = MemoryQueue::new("q");
    queue.send("a").unwrap();
    let received = receive_one(&queue).await;
    let half = Duration::from_millis(500);
    for bad in [
        Receive { max: 0, ..ten() },
        Receive { max: 11, ..ten() },
        Receive { wait: half, ..ten() },
        Receive { wait: Duration::from_secs(21), ..ten() },
        Receive { lease: half, ..ten() },
        Receive { lease: MAX_VISIBILITY + Duration::from_secs(1), ..ten() },
    ] {
        assert_eq!(queue.receive(bad.clone()).await.unwrap_err().kind, ErrorKind::Invalid, "{bad:?}");
    }
    assert_eq!(make_visible_after(&queue, &received, half).await.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(queue.delete(Batch::new()).await.unwrap_err().kind, ErrorKind::Invalid);
}

#[test]
fn messages_that_sqs_would_refuse_are_refused() {
    let (standard, fifo) = (MemoryQueue::new("q"), MemoryQueue::new("q.fifo"));
    let eleven = (0..11).fold(NewMessage::new("b"), |m, n| m.attribute(n.to_string(), Attribute::string("v")));
    let grouped = NewMessage::new("b").group("g");
    for (queue, bad) in [
        (&standard, NewMessage::new("")),
        (&standard, eleven),
        (&standard, NewMessage::new("b".repeat(1024 * 1024 + 1))),
        (&standard, NewMessage::new("b").delay(Duration::from_mins(16))),
        (&standard, NewMessage::new("b").delay(Duration::from_millis(1500))),
        (&standard, NewMessage::new("b").deduplication_id("d")),
        (&fifo, NewMessage::new("b")),
        (&fifo, grouped.clone().delay(Duration::from_secs(1))),
    ] {
        assert_eq!(queue.send(bad).unwrap_err().kind, ErrorKind::Invalid);
        assert!(queue.is_empty());
    }
    assert!(standard.send(grouped.clone()).is_ok(), "groups make a standard queue fair");
    assert!(fifo.send(grouped).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_can_be_received_when_its_delay_is_over() {
    let queue = MemoryQueue::new("q");
    queue.send(NewMessage::new("a").delay(Duration::from_secs(5))).unwrap();
    assert_eq!(queue.counts(), Counts { delayed: 1, ..Counts::default() });
    assert!(receive(&queue).await.is_empty());
    sleep(Duration::from_secs(5)).await;
    assert_eq!(receive_one(&queue).await.delivery.receive_count, 1);
}

#[tokio::test(start_paused = true)]
async fn the_queue_tells_its_times_by_the_paused_clock() {
    let queue = MemoryQueue::new("q");
    queue.send("a").unwrap();
    sleep(Duration::from_mins(1)).await;
    let first = receive_one(&queue).await.delivery;
    sleep(LEASE).await;
    let second = receive_one(&queue).await.delivery;
    assert_eq!(second.sent_at, first.sent_at);
    assert_eq!(second.first_received_at, first.first_received_at);
    assert_eq!(first.first_received_at.unwrap().duration_since(first.sent_at.unwrap()).unwrap().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_message_received_too_often_moves_on_the_next_receive_and_others_take_its_place() {
    let dead = MemoryQueue::new("dead");
    let queue = MemoryQueue::builder("q").dead_letter_queue(&dead, 2).build();
    queue.send(NewMessage::new("poison").attribute("a", Attribute::string("v"))).unwrap();
    send_numbered(&queue, 12);
    for count in 1..=2 {
        let received = receive_one(&queue).await;
        assert_eq!((received.payload.body(), received.delivery.receive_count), ("poison", count));
        make_visible_after(&queue, &received, Duration::ZERO).await.unwrap();
    }
    assert!(dead.is_empty());
    assert_eq!(receive(&queue).await.len(), 10);
    let letters = queue.dead_letters();
    assert_eq!((letters[0].body.as_str(), letters[0].receive_count), ("poison", 2));
    assert_eq!(letters[0].attributes.get("a"), Some(&Attribute::string("v")));
    assert_eq!(queue.counts(), Counts { visible: 2, in_flight: 10, delayed: 0 });
    assert_eq!(dead.counts(), Counts { visible: 1, ..Counts::default() });
    assert_eq!(queue.deleted(), 0);
}

#[tokio::test(start_paused = true)]
async fn info_tells_name_kind_timeout_and_redrive() {
    let dead = MemoryQueue::new("dead.fifo");
    let builder = MemoryQueue::builder("q.fifo").visibility_timeout(Duration::from_secs(7));
    let info = builder.dead_letter_queue(&dead, 3).build().info().await.unwrap();
    assert!(info.fifo);
    assert_eq!((info.name.as_str(), info.visibility_timeout), ("q.fifo", Duration::from_secs(7)));
    let redrive = info.redrive.unwrap();
    assert_eq!((redrive.dead_letter_queue.as_str(), redrive.max_receive_count), ("dead.fifo", 3));
    assert_eq!(MemoryQueue::new("q").info().await.unwrap().redrive, None);
}
