//! Any queue.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use upbeat_consumer::message::Attribute;
use upbeat_consumer::queue::{Batch, DeadLetter, ErrorKind, Queue, REASON_ATTRIBUTE, ReceiptHandle, Receive, Received};

use crate::broker::{Broker, LEASE, MAX_RECEIVES, SOON, Sent, bodies, sorted};

const NO_WAIT: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn what_was_sent_is_received_with_its_attributes_and_receive_count_1<B: Broker>() {
    let broker = B::standard().await;
    let attributes = [
        ("binary", Attribute::binary([0, 1, 255])),
        ("number", Attribute { data_type: "Number.int".to_owned(), ..Attribute::string("42") }),
        ("text", Attribute::string("ä \"quoted\"\n")),
    ];
    let body = "{\"body\": \"ünïcode \\u0000 \t\n😀\"}";
    let message = attributes.iter().fold(Sent::new(body), |sent, (name, value)| sent.attribute(name, value.clone()));
    broker.send(message).await;

    let Received { delivery, payload } = broker.receive_one(LEASE).await;
    assert_eq!(payload.body(), body);
    assert_eq!(sorted(payload.attributes().iter()), sorted(attributes.iter().map(|(name, value)| (*name, value))));
    assert_eq!(delivery.receive_count, 1);
    assert_eq!(delivery.group, None);
    assert!(!delivery.message_id.is_empty());
    let (sent_at, first_received_at) = (delivery.sent_at.unwrap(), delivery.first_received_at.unwrap());
    assert!(sent_at <= first_received_at && sent_at.elapsed().unwrap_or_default() < Duration::from_mins(1));
}

pub(crate) async fn a_message_is_invisible_during_its_lease_and_then_comes_back_counted<B: Broker>() {
    let broker = B::standard().await;
    broker.send_all(&["a"]).await;
    let leased = Instant::now();
    let first = broker.receive_one(LEASE).await;
    assert!(broker.receive(10, NO_WAIT, LEASE).await.is_empty());
    assert_eq!(broker.counts().await, (0, 1));
    let second = broker.receive_one(LEASE).await;
    assert!(leased.elapsed() >= LEASE);
    assert_eq!(second.delivery.receive_count, 2);
    assert_eq!(second.delivery.message_id, first.delivery.message_id);
    assert_ne!(second.delivery.receipt, first.delivery.receipt);
    assert_eq!(second.delivery.sent_at, first.delivery.sent_at);
    assert_eq!(second.delivery.first_received_at, first.delivery.first_received_at);
}

pub(crate) async fn an_extension_keeps_a_message_invisible<B: Broker>() {
    let broker = B::standard().await;
    broker.send_all(&["a"]).await;
    let received = broker.receive_one(LEASE).await;
    sleep(SECOND).await;
    let extended = Instant::now();
    broker.make_visible_after(&received, LEASE * 2).await;
    assert!(broker.receive(10, LEASE, LEASE).await.is_empty());
    broker.receive_one(LEASE).await;
    assert!(extended.elapsed() >= LEASE * 2);
}

pub(crate) async fn a_visibility_of_0_brings_a_message_back_at_once<B: Broker>() {
    let broker = B::standard().await;
    broker.send_all(&["a"]).await;
    let received = broker.receive_one(SOON * 6).await;
    broker.make_visible_after(&received, Duration::ZERO).await;
    assert_eq!(broker.counts().await, (1, 0));
    assert_eq!(broker.receive_one(LEASE).await.delivery.receive_count, 2);
}

pub(crate) async fn a_release_can_come_with_a_delay<B: Broker>() {
    let broker = B::standard().await;
    broker.send_all(&["a"]).await;
    let received = broker.receive_one(SOON * 6).await;
    let released = Instant::now();
    broker.make_visible_after(&received, LEASE).await;
    assert!(broker.receive(10, NO_WAIT, LEASE).await.is_empty());
    broker.receive_one(LEASE).await;
    assert!(released.elapsed() >= LEASE);
}

pub(crate) async fn a_deleted_message_never_comes_back<B: Broker>() {
    let broker = B::standard().await;
    broker.send_all(&["a"]).await;
    let received = broker.receive_one(SECOND).await;
    broker.delete(&received).await;
    assert_eq!(broker.counts().await, (0, 0));
    assert!(broker.receive(10, LEASE, LEASE).await.is_empty());
}

pub(crate) async fn ten_are_deleted_in_one_batch_in_which_only_the_bad_receipt_fails<B: Broker>() {
    let broker = B::standard().await;
    let sent: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    broker.send_all(&sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let received = broker.receive_all(10, SOON * 6).await;
    let mut receipts: Batch<_> = received.iter().map(|received| received.delivery.receipt.clone()).collect();
    receipts[3] = ReceiptHandle("no receipt at all".to_owned());

    let results = broker.queue().delete(receipts).await.unwrap();
    assert_eq!(results.len(), 10);
    for (position, result) in results.iter().enumerate() {
        match (position, result) {
            (3, result) => assert!(result.as_ref().is_err_and(|error| error.sender_fault), "{result:?}"),
            (_, result) => assert_eq!(result, &Ok(()), "entry {position}"),
        }
    }
    broker.make_visible_after(&received[3], Duration::ZERO).await;
    assert_eq!(broker.receive_one(LEASE).await.payload.body(), received[3].payload.body());
    assert_eq!(broker.counts().await, (0, 1));
}

pub(crate) async fn deleting_again_is_no_error<B: Broker>() {
    let broker = B::standard().await;
    broker.send_all(&["a"]).await;
    let received = broker.receive_one(LEASE).await;
    broker.delete(&received).await;
    broker.delete(&received).await;
}

pub(crate) async fn a_bad_receipt_cannot_change_visibility_and_the_rest_of_the_batch_does<B: Broker>() {
    let broker = B::standard().await;
    broker.send_all(&["a"]).await;
    let received = broker.receive_one(SOON * 6).await;
    let bad = ReceiptHandle("no receipt at all".to_owned());
    let entries = [(bad, Duration::ZERO), (received.delivery.receipt, Duration::ZERO)];
    let results = broker.queue().change_visibility(Batch::from_iter(entries)).await.unwrap();
    assert_eq!(results.len(), 2);
    assert!(results[0].as_ref().is_err_and(|error| error.sender_fault), "{results:?}");
    assert_eq!(results[1], Ok(()));
    broker.receive_one(LEASE).await;
}

pub(crate) async fn visibility_cannot_be_changed_once_the_lease_has_ended<B: Broker>() {
    let broker = B::standard().await;
    broker.send_all(&["a"]).await;
    let received = broker.receive_one(SECOND).await;
    sleep(SECOND * 3).await;
    let entries = Batch::from_iter([(received.delivery.receipt, SOON * 6)]);
    let results = broker.queue().change_visibility(entries).await.unwrap();
    if B::REFUSES_CHANGE_AFTER_LEASE {
        assert!(results[0].as_ref().is_err_and(|error| error.sender_fault), "{results:?}");
    }
    assert_eq!(broker.receive_one(LEASE).await.delivery.receive_count, 2);
}

pub(crate) async fn no_more_come_than_asked_for<B: Broker>() {
    let broker = B::standard().await;
    broker.send_all(&["a", "b", "c"]).await;
    assert_eq!(broker.receive(1, SECOND, LEASE).await.len(), 1);
    assert!(broker.receive(2, SECOND, LEASE).await.len() <= 2);
}

pub(crate) async fn a_long_poll_returns_when_a_message_arrives<B: Broker>() {
    let broker = B::standard().await;
    let begun = Instant::now();
    let send = async {
        sleep(SECOND).await;
        broker.send_all(&["a"]).await;
    };
    let (received, ()) = tokio::join!(broker.receive(10, SOON, LEASE), send);
    assert_eq!(bodies(&received), ["a"]);
    assert!(begun.elapsed() >= SECOND && begun.elapsed() < SOON / 2, "{:?}", begun.elapsed());
}

pub(crate) async fn an_empty_poll_returns_nothing_after_its_wait<B: Broker>() {
    let broker = B::standard().await;
    let begun = Instant::now();
    assert!(broker.receive(10, NO_WAIT, LEASE).await.is_empty());
    assert!(begun.elapsed() < SECOND);
    assert!(broker.receive(10, SECOND * 2, LEASE).await.is_empty());
    assert!(begun.elapsed() >= SECOND * 19 / 10, "{:?}", begun.elapsed());
}

pub(crate) async fn a_message_received_too_often_ends_in_the_dead_letter_queue<B: Broker>() {
    let broker = B::standard().await;
    broker.send(Sent::new("poison").attribute("a", Attribute::string("v"))).await;
    for count in 1..=MAX_RECEIVES {
        let received = broker.receive_one(SOON).await;
        assert_eq!(received.delivery.receive_count, count);
        broker.make_visible_after(&received, Duration::ZERO).await;
    }
    assert!(broker.dead_letters().await.is_empty(), "not before it would be received again");
    assert!(broker.receive(10, SECOND, LEASE).await.is_empty());
    let letters = broker.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].body, "poison");
    assert_eq!(letters[0].attributes, [("a".to_owned(), Attribute::string("v"))]);
    assert_eq!(broker.counts().await, (0, 0));
}

pub(crate) async fn a_rejected_message_is_copied_to_the_dead_letter_queue_with_the_reason<B: Broker>() {
    let broker = B::standard().await;
    let binary = Attribute::binary([0, 255]);
    broker.send(Sent::new("bad").attribute("binary", binary.clone()).attribute("text", Attribute::string("v"))).await;
    let received = broker.receive_one(SOON * 6).await;
    broker.queue().dead_letter(rejected(received, "no such customer")).await.unwrap();
    let letters = broker.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].body, "bad");
    let reason = Attribute::string("no such customer");
    let expected = [("binary", &binary), (REASON_ATTRIBUTE, &reason), ("text", &Attribute::string("v"))];
    assert_eq!(letters[0].attributes, sorted(expected));
    assert_eq!(broker.counts().await, (0, 1), "the original stays");
}

pub(crate) async fn a_rejected_message_with_ten_attributes_goes_without_the_reason<B: Broker>() {
    let broker = B::standard().await;
    let ten = (0..10).fold(Sent::new("bad"), |sent, n| sent.attribute(&format!("a{n}"), Attribute::string("v")));
    broker.send(ten.clone()).await;
    let received = broker.receive_one(SOON * 6).await;
    broker.queue().dead_letter(rejected(received, "bad")).await.unwrap();
    assert_eq!(broker.dead_letters().await[0].attributes, ten.attributes);
}

pub(crate) async fn rejecting_without_a_redrive_policy_is_an_error<B: Broker>() {
    let broker = B::without_redrive().await;
    broker.send_all(&["bad"]).await;
    let received = broker.receive_one(SOON * 6).await;
    let error = broker.queue().dead_letter(rejected(received, "bad")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

pub(crate) async fn info_tells_the_queues_settings<B: Broker>() {
    let info = B::standard().await.queue().info().await.unwrap();
    assert!(!info.fifo && !info.name.is_empty());
    assert_eq!(info.visibility_timeout, Duration::from_secs(30));
    let redrive = info.redrive.unwrap();
    assert_eq!(redrive.max_receive_count, MAX_RECEIVES);
    assert!(!redrive.dead_letter_queue.is_empty() && redrive.dead_letter_queue != info.name);

    let info = B::fifo().await.queue().info().await.unwrap();
    assert!(info.fifo && info.name.strip_suffix(".fifo").is_some());
    assert_eq!(B::without_redrive().await.queue().info().await.unwrap().redrive, None);
}

pub(crate) async fn every_request_to_a_missing_queue_fails_as_not_found<B: Broker>() {
    let broker = B::standard().await;
    broker.send_all(&["a"]).await;
    let received = broker.receive_one(SOON).await;
    let receipt = received.delivery.receipt.clone();
    let queue = B::missing().await;
    let receive = Receive { max: 10, wait: NO_WAIT, lease: LEASE, attempt_id: None };
    let errors = [
        queue.info().await.unwrap_err(),
        queue.receive(receive).await.unwrap_err(),
        queue.delete(Batch::from_iter([receipt.clone()])).await.unwrap_err(),
        queue.change_visibility(Batch::from_iter([(receipt, LEASE)])).await.unwrap_err(),
        queue.dead_letter(rejected(received, "bad")).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        assert!(error.message.contains("exist"), "{error}");
    }
}

fn rejected(received: Received, reason: &str) -> DeadLetter {
    let Received { delivery, payload } = received;
    DeadLetter { delivery, payload: payload.into(), reason: reason.to_owned() }
}
