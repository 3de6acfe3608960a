//! The buffer's limit, and the end.

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout};
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Fault, Message, Producer, Refusal, SendError, Summary};

use super::{all_published, bodies, enqueue, ms, outcomes, secs, slow};

/// What a message counts beside its bytes, and what the id of a short one adds to these.
const OVERHEAD: u32 = 1024 + 2 + 6 + 36;

#[tokio::test(start_paused = true)]
async fn a_full_buffer_makes_one_caller_wait_and_tells_another_that_it_is_full() {
    let topic = slow(ms(100));
    let producer = Producer::builder(topic.clone()).buffer(20 * (OVERHEAD + 2)).build();
    let tickets = enqueue(&producer, 10..30).await;
    assert_eq!(producer.try_enqueue("30").map(|_| ()), Err(SendError::Full));
    assert!(SendError::Full.can_retry());
    let start = Instant::now();
    let waited = producer.enqueue("30").await.unwrap();
    assert_eq!(start.elapsed(), ms(100));
    all_published(tickets).await;
    waited.await.unwrap();
    assert_eq!(topic.bodies(), bodies(10..31));
}

#[tokio::test(start_paused = true)]
async fn several_messages_are_taken_together_or_not_at_all_and_the_wrong_ones_are_refused_in_their_places() {
    let topic = slow(ms(100));
    let producer = Producer::builder(topic.clone()).buffer(5 * (OVERHEAD + 1)).build();
    let three = || ["1", "", "3", "4"].map(Message::new);
    let mut taken = producer.try_enqueue_all(three()).unwrap();
    assert!(matches!(taken[1], Err(SendError::Refused(Refusal::Empty))));
    assert!(matches!(producer.try_enqueue_all(three()), Err(SendError::Full)));
    assert!(producer.try_enqueue_all(["5", "6"].map(Message::new)).is_ok(), "the refused one takes no room");
    taken.remove(1).unwrap_err();
    all_published(taken.into_iter().map(Result::unwrap).collect()).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_whole_buffer_has_it_for_itself() {
    let topic = slow(ms(100));
    let producer = Producer::builder(topic.clone()).buffer(10_000).build();
    let small = enqueue(&producer, 0..1).await;
    let large = producer.enqueue("x".repeat(50_000)).await.unwrap();
    assert!(producer.enqueue("y").now_or_never().is_none());
    all_published(small).await;
    large.await.unwrap();
    assert_eq!(topic.published().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn closing_publishes_what_is_there_takes_nothing_more_and_sums_up() {
    let topic = slow(secs(1));
    let producer = Producer::builder(topic.clone()).max_in_flight(2).build();
    let tickets = enqueue(&producer, 0..55).await;
    producer.send("").await.unwrap_err();
    let start = Instant::now();
    let closing = producer.close(secs(30));
    tokio::pin!(closing);
    assert!(closing.as_mut().now_or_never().is_none());
    assert_eq!(producer.send("late").await.err(), Some(SendError::Closed));
    assert_eq!(producer.try_enqueue("late").map(|_| ()), Err(SendError::Closed));
    let summary = closing.await;
    assert_eq!(summary, Summary { published: 55, refused: 1, failed: 0, spooled: 0, abandoned: 0 });
    assert_eq!(start.elapsed(), secs(3), "six batches, two at a time, and none lingers");
    all_published(tickets).await;
    assert_eq!(producer.close(secs(30)).await, summary, "closing twice does no harm");
}

#[tokio::test(start_paused = true)]
async fn nothing_lingers_when_the_producer_is_closed() {
    let topic = slow(secs(1));
    let producer = Producer::builder(topic.clone()).linger(secs(5)).build();
    let start = Instant::now();
    let mut tickets = enqueue(&producer, 0..1).await;
    sleep(ms(1)).await;
    tickets.extend(enqueue(&producer, 1..4).await);
    producer.close(secs(30)).await;
    assert_eq!(start.elapsed(), ms(1001));
    all_published(tickets).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_room_learns_of_the_close() {
    let producer = Producer::builder(slow(secs(1))).buffer(OVERHEAD + 1).build();
    let first = enqueue(&producer, 0..1).await;
    let (waiting, summary) = tokio::join!(producer.send("late"), async {
        sleep(ms(1)).await;
        producer.close(secs(30)).await
    });
    assert_eq!(waiting.err(), Some(SendError::Closed));
    assert_eq!(summary.published, 1);
    all_published(first).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_published_by_the_deadline_is_abandoned_and_counted_to_the_message() {
    let topic = slow(secs(4));
    let producer = Producer::builder(topic.clone()).max_in_flight(1).build();
    let tickets = enqueue(&producer, 0..35).await;
    let start = Instant::now();
    let summary = producer.close(secs(10)).await;
    assert_eq!(start.elapsed(), secs(10));
    let outcomes = outcomes(tickets).await;
    let abandoned = outcomes.iter().filter(|outcome| **outcome == Err(SendError::Abandoned)).count();
    assert_eq!((summary.published, summary.abandoned), (topic.published().len() as u64, abandoned as u64));
    assert_eq!(summary, Summary { published: 20, refused: 0, failed: 0, spooled: 0, abandoned: 15 });
}

#[tokio::test(start_paused = true)]
async fn closing_in_an_outage_ends_at_the_deadline() {
    let topic = Memory::standard("messages").faults(|_| Faults::call(Fault::unavailable("down")));
    let producer = Producer::builder(topic).retry_for(None).build();
    let tickets = enqueue(&producer, 0..10).await;
    sleep(secs(60)).await;
    let start = Instant::now();
    assert_eq!(producer.close(secs(7)).await.abandoned, 10);
    assert_eq!(start.elapsed(), secs(7));
    assert!(outcomes(tickets).await.iter().all(|outcome| *outcome == Err(SendError::Abandoned)));
}

#[tokio::test(start_paused = true)]
async fn closing_a_producer_with_nothing_to_do_takes_no_time() {
    let producer = Producer::builder(Memory::standard("messages")).build();
    assert_eq!(timeout(ms(1), producer.close(secs(30))).await, Ok(Summary::default()));
}

#[tokio::test(start_paused = true)]
async fn every_message_is_taken_or_refused_by_a_close_in_the_middle_of_a_flood() {
    let topic = slow(ms(20));
    let producer = Producer::builder(topic.clone()).build();
    let flood: Vec<_> = (0..20)
        .map(|sender| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                for number in 0.. {
                    let body = format!("{sender}-{number}");
                    match producer.send(body.as_str()).await {
                        Ok(_) => accepted.push(body),
                        Err(error) => return (accepted, error),
                    }
                }
                unreachable!()
            })
        })
        .collect();
    sleep(ms(500)).await;
    let summary = producer.close(secs(30)).await;
    let mut accepted = Vec::new();
    for sender in flood {
        let (bodies, error) = sender.await.unwrap();
        assert_eq!(error, SendError::Closed);
        accepted.extend(bodies);
    }
    let mut arrived = topic.bodies();
    accepted.sort();
    arrived.sort();
    assert_eq!(accepted, arrived);
    assert_eq!((summary.published, summary.abandoned), (arrived.len() as u64, 0));
}
