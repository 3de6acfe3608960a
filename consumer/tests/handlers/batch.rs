//! Handlers of many messages at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use upbeat_consumer::handler::batch;
use upbeat_consumer::queue::memory::{MemoryQueue, NewMessage};
use upbeat_consumer::{Handler, Message, Options, Outcome};

use crate::scene::{Running, consume_all, failed, options, outcome_of, queue_of, reasons, until};

const WAIT: Duration = Duration::from_millis(500);

/// The bodies of each batch, in order.
#[derive(Clone, Default)]
struct Batches(Arc<Mutex<Vec<Vec<String>>>>);

impl Batches {
    fn note(&self, messages: &[Message]) {
        self.0.lock().unwrap().push(messages.iter().map(|message| message.body().to_owned()).collect());
    }

    fn sizes(&self) -> Vec<usize> {
        self.0.lock().unwrap().iter().map(Vec::len).collect()
    }

    fn bodies(&self) -> Vec<String> {
        let mut bodies = self.0.lock().unwrap().concat();
        bodies.sort();
        bodies
    }

    /// Notes its batches and is done.
    fn handler(&self, size: usize) -> impl Handler + use<> {
        let batches = self.clone();
        batch(size, WAIT, move |messages: Vec<Message>| {
            batches.note(&messages);
            async {}
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_begins_at_once_and_one_that_stays_short_when_its_time_is_over() {
    let (queue, batches) = (queue_of(100..114), Batches::default());
    let running = Running::start(&queue, options(), batches.handler(10));
    let started = Instant::now();
    until("the first begins", || !batches.sizes().is_empty()).await;
    assert!(started.elapsed() < Duration::from_millis(50), "{:?}", started.elapsed());
    until("the second begins", || batches.sizes().len() == 2).await;
    assert!((WAIT..WAIT * 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert_eq!(batches.sizes(), [10, 4]);
    assert_eq!(running.stop().await.handled, 14);
    assert_eq!(batches.bodies(), (100..114).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn each_message_has_its_own_outcome() {
    let queue = queue_of(["done", "bad", "fail", "later"]);
    let handler = batch(4, WAIT, |messages: Vec<Message>| async move {
        let outcome = |message: &Message| match message.body() {
            "bad" => Outcome::Reject { reason: "bad".to_owned() },
            "fail" if message.attempt() == 1 => failed(),
            "later" if message.attempt() == 1 => Outcome::Retry { after: Duration::from_mins(5) },
            _ => Outcome::Done,
        };
        messages.iter().map(outcome).collect::<Vec<_>>()
    });
    let started = Instant::now();
    let summary = consume_all(&queue, handler).await;
    assert_eq!((summary.handled, summary.failed, summary.rejected), (4, 2, 1));
    assert_eq!(reasons(&queue), ["bad"]);
    assert!(started.elapsed() > Duration::from_mins(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_error_a_panic_or_a_wrong_number_of_outcomes_is_a_failure_of_each() {
    async fn error_of<H: Handler>(handler: impl Fn() -> H) -> String {
        let queue = queue_of(0..3);
        let running = Running::start(&queue, options(), handler());
        // Their second try is not before another half second.
        sleep(Duration::from_millis(400)).await;
        assert_eq!((running.stop().await.failed, queue.deleted()), (3, 0));
        match outcome_of(&queue_of(0..3), options(), handler()).await {
            Outcome::Failed { error } => error,
            other => panic!("{other:?}"),
        }
    }
    let error = || batch(3, WAIT, |_| async { Err::<(), _>("no transaction") });
    let panic = || batch(3, WAIT, |messages: Vec<Message>| async move { assert!(messages.is_empty(), "told you") });
    let wrong = || batch(3, WAIT, |messages: Vec<Message>| async move { vec![Outcome::Done; messages.len() - 1] });
    assert_eq!(error_of(error).await, "no transaction");
    assert_eq!(error_of(panic).await, "the batch handler panicked: told you");
    assert_eq!(error_of(wrong).await, "the batch handler returned 2 outcomes for 3 messages");
}

#[tokio::test(start_paused = true)]
async fn several_batches_run_at_a_time_and_all_messages_are_in_one_each() {
    let (queue, batches) = (queue_of(0..1000), Batches::default());
    let noted = batches.clone();
    let handler = batch(7, WAIT, move |messages: Vec<Message>| {
        noted.note(&messages);
        sleep(Duration::from_secs(1))
    });
    let started = Instant::now();
    let running = Running::start(&queue, Options { concurrency: 70, ..options() }, handler);
    until("the queue is empty", || queue.is_empty()).await;
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    assert_eq!(running.stop().await.handled, 1000);
    assert!(batches.sizes().iter().all(|size| *size <= 7));
    let mut all: Vec<_> = (0..1000).map(|n: u32| n.to_string()).collect();
    all.sort();
    assert_eq!(batches.bodies(), all);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_fifo_queue_holds_one_message_of_a_group_and_keeps_their_order() {
    let queue = MemoryQueue::new("messages.fifo");
    for n in 0..5 {
        for group in ["a", "b", "c"] {
            queue.send(NewMessage::new(format!("{group}{n}")).group(group)).unwrap();
        }
    }
    let batches = Batches::default();
    consume_all(&queue, batches.handler(10)).await;
    let batches = batches.0.lock().unwrap().clone();
    for group in ["a", "b", "c"] {
        assert!(batches.iter().all(|batch| batch.iter().filter(|body| body.starts_with(group)).count() <= 1));
        let order: Vec<_> = batches.concat().into_iter().filter(|body| body.starts_with(group)).collect();
        assert_eq!(order, (0..5).map(|n| format!("{group}{n}")).collect::<Vec<_>>());
    }
    assert_eq!(batches.len(), 5, "{batches:?}");
}

#[tokio::test(start_paused = true)]
async fn messages_cancelled_while_their_batch_gathers_are_not_in_it() {
    // The batch would begin long after their tasks are dropped, or while they are still given a moment to end.
    for wait in [Duration::from_mins(10), Duration::from_millis(5200)] {
        let (queue, batches) = (queue_of(0..3), Batches::default());
        let noted = batches.clone();
        let handler = batch(10, wait, move |messages: Vec<Message>| {
            noted.note(&messages);
            async {}
        });
        let options = Options { handler_timeout: Duration::from_secs(5), ..options() };
        let running = Running::start(&queue, options, handler);
        // Before any of them has its second try.
        sleep(Duration::from_millis(5800)).await;
        assert!(batches.sizes().is_empty(), "{wait:?}: {:?}", batches.sizes());
        let summary = running.stop().await;
        assert_eq!((summary.failed, summary.abandoned, queue.deleted()), (3, 0, 0), "{wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_that_outlast_the_drain_are_dropped_and_their_messages_released() {
    let queue = queue_of(0..10);
    let dropped = Arc::new(());
    let held = Arc::clone(&dropped);
    let handler = batch(10, WAIT, move |_| {
        let held = Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
        }
    });
    let running = Running::start(&queue, options(), handler);
    until("it runs", || Arc::strong_count(&dropped) == 3).await;
    let summary = running.stop().await;
    assert_eq!((summary.released, summary.abandoned), (10, 0));
    assert_eq!(Arc::strong_count(&dropped), 1, "neither the handler nor what it ran is left");
    assert_eq!(queue.counts().visible, 10);
}

mod members {
    //! One message's task ends, and the others of its batch go on: driven by hand, without a consumer.

    use std::pin::pin;
    use std::task::Poll;

    use futures_util::poll;

    use super::*;

    /// Messages as a consumer would hand them out: by one that keeps them for the test.
    async fn messages(count: usize) -> Vec<Message> {
        let queue = queue_of(0..count);
        let taken = Arc::<Mutex<Vec<Message>>>::default();
        let keep = Arc::clone(&taken);
        let running = Running::start(&queue, options(), move |message: Message| {
            keep.lock().unwrap().push(message);
            async {}
        });
        until("all are there", || taken.lock().unwrap().len() == count).await;
        running.stop().await;
        taken.lock().unwrap().drain(..).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_may_go_before_the_batch_begins_and_is_then_not_in_it() {
        let (batches, mut messages) = (Batches::default(), messages(3).await);
        let handler = batches.handler(10);
        let mut first = Box::pin(handler.handle(messages.remove(0)));
        let mut second = pin!(handler.handle(messages.remove(0)));
        let mut third = pin!(handler.handle(messages.remove(0)));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        drop(first);
        assert_eq!((second.await, third.await), (Outcome::Done, Outcome::Done));
        assert_eq!(batches.0.lock().unwrap().clone(), [["1", "2"]]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_whose_task_runs_the_batch_may_go_and_the_batch_goes_on() {
        let mut messages = messages(2).await;
        let begun = Arc::new(Mutex::new(0));
        let count = Arc::clone(&begun);
        let handler = batch(2, WAIT, move |_| {
            *count.lock().unwrap() += 1;
            sleep(Duration::from_secs(5))
        });
        let mut first = Box::pin(handler.handle(messages.remove(0)));
        assert!(poll!(&mut first).is_pending());
        let mut second = Box::pin(handler.handle(messages.remove(0)));
        assert!(poll!(&mut second).is_pending());
        // The first is the last to have polled, so the batch would wake its task.
        assert!(poll!(&mut first).is_pending());
        drop(first);
        let started = Instant::now();
        assert_eq!(second.await, Outcome::Done);
        assert!(started.elapsed() >= Duration::from_secs(5) && *begun.lock().unwrap() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_runs_is_dropped_with_the_last_of_its_members() {
        let mut messages = messages(2).await;
        let held = Arc::new(());
        let inner = Arc::clone(&held);
        let handler = batch(2, WAIT, move |_| {
            let inner = Arc::clone(&inner);
            async move {
                std::future::pending::<()>().await;
                drop(inner);
            }
        });
        let mut first = Box::pin(handler.handle(messages.remove(0)));
        let mut second = Box::pin(handler.handle(messages.remove(0)));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        assert_eq!(Arc::strong_count(&held), 3);
        drop(first);
        assert_eq!(Arc::strong_count(&held), 3);
        drop(second);
        assert_eq!(Arc::strong_count(&held), 2, "the handler is left, and nothing that it ran");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_all_have_left_is_forgotten() {
        let (batches, mut messages) = (Batches::default(), messages(3).await);
        let handler = batches.handler(2);
        let mut gone = Box::pin(handler.handle(messages.remove(0)));
        assert!(poll!(&mut gone).is_pending());
        drop(gone);
        tokio::time::advance(WAIT * 2).await;
        let mut first = Box::pin(handler.handle(messages.remove(0)));
        assert!(poll!(&mut first).is_pending(), "a new batch with a wait of its own");
        let mut second = Box::pin(handler.handle(messages.remove(0)));
        assert_eq!(poll!(&mut second), Poll::Ready(Outcome::Done), "full with the second");
        assert_eq!(first.await, Outcome::Done);
        assert_eq!(batches.sizes(), [2]);
    }
}
