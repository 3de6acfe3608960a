//! Order within a message group.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;
use upbeat_consumer::queue::memory::{Faults, MemoryQueue, NewMessage};
use upbeat_consumer::{Message, Options, Outcome};

use crate::scene::{Running, Seen, failed, options, queue, until};

fn send(queue: &MemoryQueue, groups: u32, each: u32) {
    for n in 0..each {
        for group in 0..groups {
            queue.send(NewMessage::new(format!("{group}-{n:03}")).group(format!("{group}"))).unwrap();
        }
    }
}

/// Every first handling of a group's messages, in order.
fn firsts(seen: &Seen) -> BTreeMap<String, Vec<String>> {
    let mut groups = BTreeMap::<String, Vec<String>>::new();
    for body in seen.bodies() {
        let group = groups.entry(body[..1].to_owned()).or_default();
        if !group.contains(&body) {
            group.push(body);
        }
    }
    groups
}

#[tokio::test(start_paused = true)]
async fn a_groups_messages_are_handled_in_order_and_groups_in_parallel() {
    let (queue, seen) = (queue("messages.fifo"), Seen::default());
    send(&queue, 5, 40);
    let running = Running::start(&queue, options(), seen.slow(Duration::from_millis(30)));
    until("the queue is empty", || queue.is_empty()).await;
    assert!(seen.most_running() > 1 && seen.most_running() <= 5, "{}", seen.most_running());
    for (group, bodies) in firsts(&seen) {
        assert_eq!(bodies, (0..40).map(|n| format!("{group}-{n:03}")).collect::<Vec<_>>());
    }
    assert_eq!((seen.count(), running.stop().await.handled), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn a_failing_head_is_tried_again_before_those_behind_it() {
    let (queue, seen) = (queue("messages.fifo"), Seen::default());
    send(&queue, 2, 10);
    let handler = seen
        .answering(|message| if message.body() == "0-003" && message.attempt() < 4 { failed() } else { Outcome::Done });
    let running = Running::start(&queue, options(), handler);
    until("the queue is empty", || queue.is_empty()).await;
    let bodies = seen.bodies();
    let of_group: Vec<_> = bodies.iter().filter(|body| body.starts_with('0')).map(String::as_str).collect();
    let expected = "0-000 0-001 0-002 0-003 0-003 0-003 0-003 0-004 0-005 0-006 0-007 0-008 0-009";
    assert_eq!(of_group.join(" "), expected);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_poison_head_goes_to_the_dead_letter_queue_alone() {
    let (queue, seen) = (queue("messages.fifo"), Seen::default());
    send(&queue, 1, 30);
    let handler = seen.answering(|message| if message.body() == "0-000" { failed() } else { Outcome::Done });
    let running = Running::start(&queue, options(), handler);
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!(seen.attempts("0-000"), [1, 2, 3, 4, 5]);
    assert_eq!(seen.count(), 34);
    let letters = queue.dead_letters();
    assert_eq!(letters.iter().map(|letter| &*letter.body).collect::<Vec<_>>(), ["0-000"]);
    assert_eq!(letters[0].group.as_deref(), Some("0"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn order_holds_over_a_stop_in_the_middle() {
    let (queue, seen) = (queue("messages.fifo"), Seen::default());
    send(&queue, 3, 30);
    for _ in 0..3 {
        let running = Running::start(&queue, options(), seen.slow(Duration::from_millis(50)));
        sleep(Duration::from_millis(270)).await;
        let summary = running.stop().await;
        assert_eq!(summary.abandoned, 0);
        assert_eq!(queue.counts().in_flight, 0, "all were finished or released");
    }
    let running = Running::start(&queue, options(), seen.slow(Duration::from_millis(50)));
    until("the queue is empty", || queue.is_empty()).await;
    running.stop().await;
    assert_eq!(seen.count(), 90, "none was handled twice");
    for (group, bodies) in firsts(&seen) {
        assert_eq!(bodies, (0..30).map(|n| format!("{group}-{n:03}")).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_receive_whose_answer_is_lost_is_won_back_by_its_attempt_id() {
    let (queue, seen) = (queue("messages.fifo"), Seen::default());
    send(&queue, 1, 10);
    queue.set_faults(Faults { lost_answers: 1.0, ..Faults::default() });
    let readiness =
        Running::start(&queue, Options { wait: Duration::from_secs(1), ..options() }, seen.slow(Duration::ZERO));
    // The consumer asks for the queue's attributes first.
    queue.set_faults(Faults::default());
    until("it is ready", || readiness.readiness.check().is_ok()).await;
    until("the queue is empty", || queue.is_empty()).await;
    readiness.stop().await;

    send(&queue, 1, 10);
    queue.set_faults(Faults { lost_answers: 1.0, ..Faults::default() });
    let running =
        Running::start(&queue, Options { wait: Duration::from_secs(1), ..options() }, seen.slow(Duration::ZERO));
    sleep(Duration::from_secs(3)).await;
    queue.set_faults(Faults::default());
    let before = tokio::time::Instant::now();
    until("the queue is empty", || queue.is_empty()).await;
    assert!(before.elapsed() < Duration::from_secs(30), "{:?}", before.elapsed());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_without_end_holds_up_its_own_group_only() {
    let (queue, seen) = (queue("messages.fifo"), Seen::default());
    send(&queue, 4, 10);
    let noted = seen.clone();
    let running = Running::start(&queue, options(), move |message: Message| {
        noted.note(&message);
        async move {
            if message.body() == "0-000" {
                std::future::pending::<()>().await;
            }
        }
    });
    until("the others are deleted", || queue.deleted() == 30).await;
    sleep(Duration::from_mins(5)).await;
    assert_eq!(seen.count(), 31);
    let summary = running.stop().await;
    assert_eq!((summary.abandoned, queue.counts().in_flight), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_outage_behind_the_handlers_slows_the_tries_of_messages_that_are_held() {
    let (queue, seen) = (MemoryQueue::new("messages.fifo"), Seen::default());
    send(&queue, 20, 1);
    let options = Options { concurrency: 100, retry_longest: Duration::from_secs(1), ..options() };
    let running = Running::start(&queue, options, seen.answering(|_| failed()));
    sleep(Duration::from_mins(10)).await;
    assert!(seen.count() < 60, "{} tries in ten minutes", seen.count());
    assert_eq!(running.stop().await.abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_given_back_takes_those_behind_it_along() {
    let (queue, seen) = (queue("messages.fifo"), Seen::default());
    send(&queue, 1, 3);
    // Longer than SQS would let us keep it.
    let later = Outcome::Retry { after: Duration::from_hours(12) };
    let answer = move |message: &Message| if message.attempt() == 1 { later.clone() } else { Outcome::Done };
    let running = Running::start(&queue, options(), seen.answering(answer));
    until("the queue is empty", || queue.is_empty()).await;
    running.stop().await;
    assert_eq!(seen.bodies()[..2], ["0-000", "0-000"]);
    assert_eq!(firsts(&seen)["0"], ["0-000", "0-001", "0-002"]);
}
