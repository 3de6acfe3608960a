use std::time::Duration;

use super::*;
use crate::engine::permits::Permits;
use crate::message::Attributes;

const LEASE: Duration = Duration::from_secs(30);

fn received(id: &str, receipt: &str, group: Option<&str>) -> Received {
    let delivery = Delivery {
        message_id: id.into(),
        receipt: ReceiptHandle(receipt.to_owned()),
        receive_count: 1,
        group: group.map(Into::into),
        sent_at: None,
        first_received_at: None,
    };
    Received { delivery, payload: Payload::new("body".to_owned(), Attributes::default()) }
}

fn room_for(messages: usize) -> (InFlight, Permits) {
    (InFlight::default(), Permits::new(messages, 1 << 20, Duration::ZERO))
}

async fn admit(table: &InFlight, permits: &Permits, received: Received, ordered: bool) -> Admission {
    let permit = permits.reserve(1).await.permit(permits, 4);
    table.admit(received, permit, Lease::new(Instant::now(), LEASE), ordered)
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_of_a_message_in_flight_is_adopted_and_its_permit_comes_back() {
    let (table, permits) = room_for(2);
    assert!(matches!(admit(&table, &permits, received("a", "1", None), false).await, Admission::Start(_)));
    assert!(matches!(admit(&table, &permits, received("a", "2", None), false).await, Admission::Adopted));
    assert_eq!(
        table.delivery("a", Phase::Running).map(|delivery| delivery.receipt.clone()),
        Some(ReceiptHandle("2".to_owned()))
    );
    assert_eq!(table.len(), 1);
    table.remove("a");
    assert!(permits.all_free());
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_group_have_their_turn_one_after_the_other() {
    let (table, permits) = room_for(9);
    assert!(matches!(admit(&table, &permits, received("a", "1", Some("g")), true).await, Admission::Start(_)));
    assert!(matches!(admit(&table, &permits, received("b", "2", Some("g")), true).await, Admission::Wait));
    assert!(matches!(admit(&table, &permits, received("c", "3", Some("h")), true).await, Admission::Start(_)));
    let next = table.remove("a").and_then(|removed| removed.next);
    assert_eq!(next.map(|job| job.delivery.message_id.clone()).as_deref(), Some("b"));
    assert!(table.remove("b").is_some_and(|removed| removed.next.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_that_waits_takes_the_others_that_wait_with_it() {
    let (table, permits) = room_for(9);
    for id in ["a", "b", "c"] {
        admit(&table, &permits, received(id, id, Some("g")), true).await;
    }
    tokio::time::advance(LEASE).await;
    let due = table.due_leases(Instant::now());
    assert_eq!(due.len(), 3);
    let released = table.lose(&due[2]);
    assert_eq!(released.iter().map(|id| &**id).collect::<Vec<_>>(), ["b", "c"]);
    assert!(table.remove("a").is_some_and(|removed| removed.next.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_due_once_and_again_when_its_extension_has_been_answered() {
    let (table, permits) = room_for(9);
    for id in ["a", "b"] {
        admit(&table, &permits, received(id, id, None), false).await;
    }
    table.remove("b");
    let first = table.next_extension().unwrap();
    assert!(table.due_leases(first - Duration::from_millis(1)).is_empty());
    let due = table.due_leases(first);
    assert_eq!(due.iter().map(|due| &*due.id).collect::<Vec<_>>(), ["a"]);
    assert_eq!((table.next_extension(), table.due_leases(first + LEASE).len()), (None, 0));
    table.extended(&due[0], Lease::new(first, LEASE));
    assert_eq!(table.next_extension(), Some(first + LEASE - LEASE / 3));
}

#[tokio::test(start_paused = true)]
async fn a_replaced_lease_is_not_due_and_an_answer_to_it_changes_nothing() {
    let (table, permits) = room_for(9);
    admit(&table, &permits, received("a", "1", None), false).await;
    tokio::time::advance(LEASE).await;
    let old = table.due_leases(Instant::now()).remove(0);
    admit(&table, &permits, received("a", "2", None), false).await;
    assert!(table.lose(&old).is_empty());
    table.extended(&old, Lease::new(Instant::now(), LEASE * 100));
    assert!(table.enter("a", Phase::Deleting), "the newer delivery is ours");
    tokio::time::advance(LEASE).await;
    assert_eq!(table.due_leases(Instant::now())[0].receipt, ReceiptHandle("2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_handled_before_is_deleted_again_and_not_handled() {
    let (table, permits) = room_for(9);
    admit(&table, &permits, received("a", "1", None), false).await;
    table.remember_handled(&"a".into());
    table.remove("a");
    assert!(matches!(admit(&table, &permits, received("a", "2", None), false).await, Admission::DeleteAgain));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_while_it_is_given_back_begins_anew() {
    let (table, permits) = room_for(9);
    admit(&table, &permits, received("a", "1", Some("g")), true).await;
    table.enter("a", Phase::GivingBack);
    assert!(matches!(admit(&table, &permits, received("a", "2", Some("g")), true).await, Admission::Start(_)));
    assert!(table.delivery("a", Phase::GivingBack).is_none(), "nothing more is to be told of the first delivery");
    table.remove("a");
    assert!(permits.all_free());
}
