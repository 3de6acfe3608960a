//! Groups, deduplication and attempt ids.

use std::time::Duration;

use tokio::time::sleep;

use super::super::super::{Queue, Receive};
use super::super::{MemoryQueue, NewMessage};
use super::{LEASE, bodies, delete, make_visible_after, receive, receive_one, ten};

const FIVE_MINUTES: Duration = Duration::from_mins(5);

fn send(queue: &MemoryQueue, messages: &[(&str, &str)]) {
    for (group, body) in messages {
        queue.send(NewMessage::new(*body).group(*group)).unwrap();
    }
}

fn attempt(id: &str) -> Receive {
    Receive { attempt_id: Some(id.to_owned()), ..ten() }
}

#[tokio::test(start_paused = true)]
async fn as_many_as_possible_of_a_group_come_together_then_the_next_group() {
    let queue = MemoryQueue::new("q.fifo");
    send(&queue, &[("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1"), ("b", "b2")]);
    let received = queue.receive(Receive { max: 4, ..ten() }).await.unwrap();
    assert_eq!(bodies(&received), ["a1", "a2", "b1", "b2"]);
    assert_eq!(bodies(&receive(&queue).await), ["c1"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_is_blocked_until_its_last_message_in_flight_is_deleted_or_visible() {
    let queue = MemoryQueue::new("q.fifo");
    send(&queue, &[("a", "a1"), ("a", "a2"), ("a", "a3")]);
    let received = queue.receive(Receive { max: 2, ..ten() }).await.unwrap();
    assert!(receive(&queue).await.is_empty());
    make_visible_after(&queue, &received[0], Duration::ZERO).await.unwrap();
    assert!(receive(&queue).await.is_empty(), "a2 is in flight");
    delete(&queue, &received[1..]).await.unwrap();
    assert_eq!(bodies(&receive(&queue).await), ["a1", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn a_handle_is_invalid_once_its_lease_has_ended() {
    let queue = MemoryQueue::new("q.fifo");
    send(&queue, &[("a", "a1")]);
    let received = receive(&queue).await;
    sleep(LEASE).await;
    let result = delete(&queue, &received).await.unwrap();
    assert!(result[0].as_ref().is_err_and(|error| error.sender_fault && error.reason.contains("expired")));
    assert_eq!(queue.bodies(), ["a1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_makes_way_for_the_rest_of_its_group() {
    let dead = MemoryQueue::new("dead.fifo");
    let queue = MemoryQueue::builder("q.fifo").dead_letter_queue(&dead, 1).build();
    send(&queue, &[("a", "a1"), ("a", "a2")]);
    let head = receive_one(&queue).await;
    make_visible_after(&queue, &head, Duration::ZERO).await.unwrap();
    let received = receive(&queue).await;
    assert_eq!(bodies(&received), ["a2"]);
    assert_eq!(dead.messages()[0].group.as_deref(), Some("a"));
    delete(&queue, &received).await.unwrap();
    assert!(queue.is_empty());
    assert!(receive(&queue).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_sent_twice_within_five_minutes_is_accepted_once_even_when_the_first_is_gone() {
    let queue = MemoryQueue::new("q.fifo");
    let message = NewMessage::new("a").group("g").deduplication_id("d");
    let id = queue.send(message.clone()).unwrap();
    let received = receive(&queue).await;
    delete(&queue, &received).await.unwrap();
    sleep(Duration::from_secs(299)).await;
    assert_eq!(queue.send(message.clone()).unwrap(), id);
    assert!(queue.is_empty());
    sleep(Duration::from_secs(1)).await;
    assert_ne!(queue.send(message).unwrap(), id);
    assert_eq!(queue.bodies(), ["a"]);
    send(&queue, &[("g", "same"), ("g", "same")]);
    assert_eq!(queue.bodies(), ["a", "same", "same"], "without ids nothing is a duplicate");
}

#[tokio::test(start_paused = true)]
async fn a_receive_repeated_with_its_attempt_id_brings_the_same_and_renews_the_lease() {
    let queue = MemoryQueue::new("q.fifo");
    send(&queue, &[("a", "a1"), ("b", "b1")]);
    let first = queue.receive(attempt("x")).await.unwrap();
    sleep(LEASE / 2).await;
    assert!(queue.receive(attempt("y")).await.unwrap().is_empty());
    let again = queue.receive(attempt("x")).await.unwrap();
    let receipts = |received: &[super::Received]| {
        received.iter().map(|r| (r.delivery.receipt.clone(), r.delivery.receive_count)).collect::<Vec<_>>()
    };
    assert_eq!(receipts(&again), receipts(&first));
    sleep(Duration::from_secs(29)).await;
    assert!(receive(&queue).await.is_empty(), "the lease was renewed");
    assert!(delete(&queue, &first).await.unwrap().iter().all(Result::is_ok));
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_receive_cannot_be_repeated_once_one_of_its_messages_was_touched() {
    for deleted in [true, false] {
        let queue = MemoryQueue::new("q.fifo");
        send(&queue, &[("a", "a1"), ("b", "b1")]);
        let first = queue.receive(attempt("x")).await.unwrap();
        if deleted {
            delete(&queue, &first[..1]).await.unwrap();
        } else {
            make_visible_after(&queue, &first[0], LEASE).await.unwrap();
        }
        assert!(queue.receive(attempt("x")).await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_receive_cannot_be_repeated_after_five_minutes_or_after_its_lease() {
    let queue = MemoryQueue::new("q.fifo");
    send(&queue, &[("a", "a1")]);
    let long = Receive { lease: Duration::from_mins(10), ..attempt("x") };
    queue.receive(long.clone()).await.unwrap();
    sleep(FIVE_MINUTES).await;
    assert!(queue.receive(long).await.unwrap().is_empty());
    sleep(FIVE_MINUTES).await;
    let again = queue.receive(attempt("y")).await.unwrap();
    assert_eq!(again[0].delivery.receive_count, 2);
    sleep(LEASE).await;
    assert_eq!(queue.receive(attempt("y")).await.unwrap()[0].delivery.receive_count, 3, "an ordinary receive");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_keeps_its_group_and_is_sent_once_if_the_answer_was_lost() {
    let dead = MemoryQueue::new("dead.fifo");
    let queue = MemoryQueue::builder("q.fifo").dead_letter_queue(&dead, 5).build();
    send(&queue, &[("a", "a1")]);
    let super::Received { delivery, payload } = receive_one(&queue).await;
    let letter = super::super::super::DeadLetter { delivery, payload: payload.into(), reason: "bad".to_owned() };
    queue.dead_letter(letter.clone()).await.unwrap();
    queue.dead_letter(letter).await.unwrap();
    let letters = queue.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].body.as_str(), letters[0].group.as_deref()), ("a1", Some("a")));
}
