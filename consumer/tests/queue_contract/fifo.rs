//! FIFO queues.

use std::time::Duration;

use tokio::time::sleep;
use upbeat_consumer::queue::{Batch, DeadLetter, Queue, Receive, Received};

use crate::broker::{Broker, LEASE, MAX_RECEIVES, SOON, Sent, bodies};

const NO_WAIT: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);

/// Sends `a1` to group `a`, and so on.
async fn send(broker: &impl Broker, messages: &[&str]) {
    for body in messages {
        broker.send(Sent::new(body).group(&body[..1])).await;
    }
}

/// Releases what was received, last first, so that a group never comes back with a gap.
async fn release(broker: &impl Broker, received: &[Received]) {
    for received in received.iter().rev() {
        broker.make_visible_after(received, Duration::ZERO).await;
    }
}

pub(crate) async fn a_group_comes_in_order_and_knows_its_name<B: Broker>() {
    let broker = B::fifo().await;
    send(&broker, &["a1", "b1", "a2", "a3", "b2"]).await;
    let received = broker.receive_all(5, SOON * 6).await;
    for group in ["a", "b"] {
        let of_group: Vec<_> =
            received.iter().filter(|r| r.delivery.group.as_deref() == Some(group)).cloned().collect();
        let expected: &[_] = if group == "a" { &["a1", "a2", "a3"] } else { &["b1", "b2"] };
        assert_eq!(bodies(&of_group), expected);
    }
}

pub(crate) async fn a_group_is_blocked_while_one_of_it_is_in_flight_and_others_go_on<B: Broker>() {
    let broker = B::fifo().await;
    send(&broker, &["a1", "a2"]).await;
    let head = broker.receive(1, SECOND, SOON * 6).await;
    assert_eq!(bodies(&head), ["a1"]);
    send(&broker, &["a3", "b1"]).await;
    assert_eq!(bodies(&broker.receive(10, SECOND, SOON * 6).await), ["b1"]);
    assert!(broker.receive(10, SECOND, SOON * 6).await.is_empty());
}

pub(crate) async fn a_released_message_comes_again_before_those_behind_it<B: Broker>() {
    let broker = B::fifo().await;
    send(&broker, &["a1", "a2", "a3"]).await;
    let received = broker.receive_all(2, SOON * 6).await;
    assert_eq!(bodies(&received), ["a1", "a2"]);
    release(&broker, &received).await;
    assert_eq!(bodies(&broker.receive_all(3, SOON).await), ["a1", "a2", "a3"]);
}

pub(crate) async fn deleting_the_head_frees_the_rest<B: Broker>() {
    let broker = B::fifo().await;
    send(&broker, &["a1", "a2"]).await;
    let head = broker.receive(1, SECOND, SOON * 6).await;
    broker.delete(&head[0]).await;
    assert_eq!(bodies(&broker.receive(10, SECOND, LEASE).await), ["a2"]);
}

pub(crate) async fn a_receipt_is_invalid_once_its_lease_has_ended<B: Broker>() {
    let broker = B::fifo().await;
    send(&broker, &["a1"]).await;
    let received = broker.receive_one(SECOND).await;
    sleep(SECOND * 3).await;
    let results = broker.queue().delete(Batch::from_iter([received.delivery.receipt])).await.unwrap();
    assert!(results[0].as_ref().is_err_and(|error| error.sender_fault), "{results:?}");
    assert_eq!(broker.receive_one(LEASE).await.delivery.receive_count, 2);
}

pub(crate) async fn a_repeated_attempt_brings_the_same_messages<B: Broker>() {
    let broker = B::fifo().await;
    send(&broker, &["a1", "b1"]).await;
    let attempt = Receive { max: 10, wait: SECOND, lease: SOON * 6, attempt_id: Some("attempt-1".to_owned()) };
    let first = broker.queue().receive(attempt.clone()).await.unwrap();
    assert!(!first.is_empty());
    let again = broker.queue().receive(attempt).await.unwrap();
    if B::REPEATS_ATTEMPTS {
        let receipts = |received: &[Received]| received.iter().map(|r| r.delivery.receipt.clone()).collect::<Vec<_>>();
        assert_eq!(receipts(&again), receipts(&first));
        assert!(again.iter().all(|received| received.delivery.receive_count == 1));
    }
}

pub(crate) async fn a_message_sent_twice_comes_once<B: Broker>() {
    let broker = B::fifo().await;
    let message = Sent { deduplication_id: Some("d".to_owned()), ..Sent::new("a1").group("a") };
    broker.send(message.clone()).await;
    broker.send(message).await;
    assert_eq!(broker.receive(10, SECOND, SOON).await.len(), 1);
    assert_eq!(broker.counts().await, (0, 1));
}

pub(crate) async fn a_rejected_message_keeps_its_group<B: Broker>() {
    let broker = B::fifo().await;
    send(&broker, &["a1"]).await;
    let Received { delivery, payload } = broker.receive_one(SOON * 6).await;
    let letter = DeadLetter { delivery, payload: payload.into(), reason: "bad".to_owned() };
    broker.queue().dead_letter(letter.clone()).await.unwrap();
    broker.queue().dead_letter(letter).await.unwrap();
    let letters = broker.dead_letters().await;
    assert_eq!(letters.len(), 1, "the second is a duplicate of the first");
    assert_eq!((letters[0].body.as_str(), letters[0].group.as_deref()), ("a1", Some("a")));
}

pub(crate) async fn a_poison_head_ends_in_the_dead_letter_queue_and_frees_its_group<B: Broker>() {
    let broker = B::fifo().await;
    send(&broker, &["a1", "a2"]).await;
    for _ in 0..MAX_RECEIVES {
        let head = broker.receive(1, SECOND, SOON * 6).await;
        assert_eq!(bodies(&head), ["a1"]);
        release(&broker, &head).await;
    }
    let mut rest = broker.receive(10, NO_WAIT, LEASE).await;
    if rest.is_empty() {
        rest = broker.receive(10, SECOND, LEASE).await;
    }
    assert_eq!(bodies(&rest), ["a2"]);
    let letters = broker.dead_letters().await;
    assert_eq!((letters.len(), letters[0].body.as_str(), letters[0].group.as_deref()), (1, "a1", Some("a")));
}
