//! What fails, what is tried again, and for how long.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Batch, Description, Fault, Producer, Publisher, Receipts, Refusal, SendError};
use upbeat_service::Readiness;

use super::{all_published, bodies, enqueue, ms, outcomes, secs, slow, sorted};

fn down() -> Fault {
    Fault::unavailable("nobody is there")
}

#[tokio::test(start_paused = true)]
async fn only_the_entries_that_failed_are_tried_again() {
    let topic = Memory::standard("messages").faults(|call| match call.number {
        0 => Faults::latency(ms(5)),
        1 => Faults::entries([(1, Fault::unavailable("InternalError")), (3, Fault::busy("Throttled"))]),
        _ => Faults::default(),
    });
    let producer = Producer::builder(topic.clone()).build();
    let mut tickets = enqueue(&producer, 0..1).await;
    sleep(ms(1)).await;
    tickets.extend(enqueue(&producer, 1..11).await);
    all_published(tickets).await;
    assert_eq!(sorted(topic.bodies()), bodies(0..11));
    let again: usize = topic.calls()[2..].iter().map(|call| call.entries).sum();
    assert_eq!(again, 2);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_the_topic_refuses_fails_alone_and_at_once() {
    let topic = Memory::standard("messages").faults(|_| Faults::entries([(0, Fault::refused("InvalidParameter: no"))]));
    let producer = Producer::builder(topic.clone()).build();
    let error = producer.send("x").await.unwrap_err();
    assert_eq!(error, SendError::Refused(Refusal::Sns { reason: "InvalidParameter: no".to_owned() }));
    assert!(!error.can_retry());
    assert_eq!(topic.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_whole_is_taken_apart_and_only_the_culprit_fails() {
    let topic = Memory::standard("messages").faults(|call| {
        let culprit = call.batch.entries().iter().any(|entry| entry.body() == "7");
        let faults = if culprit { Faults::call(Fault::refused("InvalidParameter: 7")) } else { Faults::default() };
        faults.after(ms(5))
    });
    let readiness = Readiness::default();
    let condition = readiness.condition("topic");
    condition.met();
    let producer = Producer::builder(topic.clone()).condition(condition).build();
    let outcomes = outcomes(enqueue(&producer, 0..30).await).await;
    let failed: Vec<_> = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(matches!(failed[..], [(7, Err(SendError::Refused(_)))]), "{failed:?}");
    assert_eq!(topic.published().len(), 29);
    assert_eq!(readiness.check(), Ok(()), "a message that is not acceptable is no outage");
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_a_message_is_tried_for_as_long_as_allowed_and_not_in_a_hot_loop() {
    let topic = Memory::standard("messages").faults(|_| Faults::call(down()));
    let readiness = Readiness::default();
    let producer =
        Producer::builder(topic.clone()).retry_for(Some(secs(30))).condition(readiness.condition("topic")).build();
    let start = Instant::now();
    let error = producer.send("x").await.unwrap_err();
    let tried_for = secs(30);
    assert_eq!(error, SendError::Unpublished { reason: "nobody is there".to_owned(), tried_for });
    assert!(error.can_retry());
    assert_eq!(start.elapsed(), tried_for);
    assert!((4..40).contains(&topic.calls().len()), "{} calls", topic.calls().len());
    assert_eq!(readiness.check(), Err("topic: nobody is there".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn messages_that_never_had_a_try_of_their_own_are_given_up_as_well() {
    let topic = Memory::standard("messages").faults(|_| Faults::call(down()));
    let producer = Producer::builder(topic.clone()).max_in_flight(1).retry_for(Some(secs(30))).build();
    let start = Instant::now();
    let early = enqueue(&producer, 0..500).await;
    sleep(secs(20)).await;
    let late = enqueue(&producer, 500..501).await;
    let given_up = |outcome: &Result<_, SendError>| matches!(outcome, Err(SendError::Unpublished { .. }));
    assert!(outcomes(early).await.iter().all(given_up));
    assert_eq!(start.elapsed(), secs(30));
    assert!(outcomes(late).await.iter().all(given_up));
    assert_eq!(start.elapsed(), secs(50), "it came later, so its time is up later");
}

#[tokio::test(start_paused = true)]
async fn messages_that_only_wait_long_because_the_topic_is_slow_are_not_given_up() {
    let topic = slow(secs(8));
    let producer = Producer::builder(topic.clone()).max_in_flight(1).retry_for(Some(secs(10))).build();
    all_published(enqueue(&producer, 0..200).await).await;
    assert_eq!(topic.bodies(), bodies(0..200));
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_everything_that_was_kept_is_published_once_and_ready_says_so() {
    let start = Instant::now();
    let topic = Memory::standard("messages")
        .faults(move |_| if start.elapsed() < secs(100) { Faults::call(down()) } else { Faults::latency(ms(20)) });
    let readiness = Readiness::default();
    let producer = Producer::builder(topic.clone()).retry_for(None).condition(readiness.condition("topic")).build();
    let tickets = enqueue(&producer, 0..1000).await;
    sleep(secs(99)).await;
    assert_eq!(readiness.check(), Err("topic: nobody is there".to_owned()));
    all_published(tickets).await;
    assert!(start.elapsed() < secs(100 + 31), "the longest wait between two tries is 30 s: {:?}", start.elapsed());
    assert_eq!(sorted(topic.bodies()), bodies(0..1000));
    assert_eq!(readiness.check(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn no_message_that_comes_after_an_outage_is_given_up_however_long_that_was() {
    const OUTAGE: Duration = secs(60);
    for retry_for in [ms(0), ms(300), secs(1), secs(30)] {
        let start = Instant::now();
        let topic = Memory::standard("messages")
            .faults(move |_| if start.elapsed() < OUTAGE { Faults::call(down()) } else { Faults::default() });
        let producer = Producer::builder(topic).retry_for(Some(retry_for)).build();
        let senders: Vec<_> = (0..20)
            .map(|sender| {
                let producer = producer.clone();
                tokio::spawn(async move {
                    while start.elapsed() < OUTAGE + secs(30) {
                        let after = start.elapsed() >= OUTAGE;
                        let outcome = producer.send("x").await;
                        assert!(outcome.is_ok() || !after, "{outcome:?} at {:?}", start.elapsed());
                        sleep(ms(200 + sender)).await;
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_always_fails_alone_is_tried_until_its_time_is_up_and_no_longer() {
    for retry_for in [ms(50), secs(3), secs(45)] {
        let topic =
            Memory::standard("messages").faults(|_| Faults::entries([(0, Fault::unavailable("InternalError"))]));
        let producer = Producer::builder(topic.clone()).retry_for(Some(retry_for)).build();
        let start = Instant::now();
        let error = producer.send("x").await.unwrap_err();
        assert_eq!(error, SendError::Unpublished { reason: "InternalError".to_owned(), tried_for: retry_for });
        assert_eq!(start.elapsed(), retry_for);
        assert!((2..40).contains(&topic.calls().len()), "{} calls", topic.calls().len());
    }
}

/// Answers for the first entry of a batch only, as a publisher that breaks its contract might.
struct Forgets(Memory);

impl Publisher for Forgets {
    fn describe(&self) -> Description {
        self.0.describe()
    }

    async fn publish_batch(&self, batch: &Batch) -> Result<Receipts, Fault> {
        let receipts = self.0.publish_batch(batch).await?;
        Ok(receipts.into_iter().take(1).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_without_a_result_counts_as_one_that_failed() {
    let topic = Memory::standard("messages");
    let producer = Producer::builder(Forgets(topic.clone())).build();
    all_published(enqueue(&producer, 0..3).await).await;
    let calls: Vec<_> = topic.calls().iter().map(|call| call.entries).collect();
    assert_eq!(calls[0], 3);
    assert!(calls[1..].iter().all(|entries| *entries < 3), "what was answered is not tried again: {calls:?}");
}

#[tokio::test(start_paused = true)]
async fn during_an_outage_one_call_at_a_time_looks_whether_the_topic_is_back() {
    let topic = Memory::standard("messages").faults(|_| Faults::call(down()).after(ms(10)));
    let producer = Producer::builder(topic.clone()).max_in_flight(4).retry_for(Some(secs(30))).build();
    drop(outcomes(enqueue(&producer, 0..1000).await).await);
    let calls = topic.calls();
    assert!(calls[4..].iter().all(|call| call.under_way == 1), "{calls:?}");
    assert!(calls.len() < 60, "{} calls", calls.len());
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_throttles_is_given_time_and_stays_ready() {
    let start = Instant::now();
    let topic = Memory::standard("messages").faults(move |_| {
        if start.elapsed() < secs(3) { Faults::call(Fault::busy("Throttled")) } else { Faults::default() }
    });
    let readiness = Readiness::default();
    let condition = readiness.condition("topic");
    condition.met();
    let producer = Producer::builder(topic.clone()).condition(condition).build();
    let tickets = enqueue(&producer, 0..100).await;
    sleep(secs(1)).await;
    assert_eq!(readiness.check(), Ok(()));
    all_published(tickets).await;
    assert!(topic.calls().len() < 40, "{} calls", topic.calls().len());
}

#[tokio::test(start_paused = true)]
async fn without_retries_the_first_failure_is_the_last() {
    let topic = Memory::standard("messages").faults(|_| Faults::call(down()));
    let producer = Producer::builder(topic.clone()).retry_for(Some(ms(0))).build();
    assert!(matches!(producer.send("x").await, Err(SendError::Unpublished { .. })));
    assert_eq!(topic.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_answer_was_lost_is_published_again_on_a_standard_topic_and_once_on_a_fifo_one() {
    for (topic, copies) in [(Memory::standard("messages"), 2), (Memory::fifo("messages.fifo"), 1)] {
        let topic = topic.faults(|call| match call.number {
            0 => Faults::lost_answer(down()),
            _ => Faults::default(),
        });
        let producer = Producer::builder(topic.clone()).default_group("all").build();
        producer.send("x").await.unwrap();
        assert_eq!(topic.published().len(), copies);
    }
}
