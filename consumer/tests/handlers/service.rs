//! Services of tower, with tower's own layers.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceBuilder, service_fn};
use upbeat_consumer::handler::{self, service};
use upbeat_consumer::{Message, Outcome};

use crate::scene::{Running, consume_all, options, outcome_of, queue_of, reasons, until};

#[tokio::test(start_paused = true)]
async fn the_response_of_a_service_is_the_outcome_and_its_error_a_failure() {
    let answer = |message: Message| async move {
        match (message.body(), message.attempt()) {
            ("bad", _) => Ok(Outcome::Reject { reason: "bad".to_owned() }),
            ("flaky", 1) => Err("not now"),
            _ => Ok(Outcome::Done),
        }
    };
    let queue = queue_of(["good", "bad", "flaky"]);
    let summary = consume_all(&queue, service(service_fn(answer))).await;
    assert_eq!((summary.handled, summary.failed, summary.rejected), (3, 1, 1));
    assert_eq!(reasons(&queue), ["bad"]);
    let outcome = outcome_of(&queue_of(["flaky"]), options(), service(service_fn(answer))).await;
    assert_eq!(outcome, Outcome::Failed { error: "not now".to_owned() });
}

#[tokio::test(start_paused = true)]
async fn a_timeout_layer_makes_a_slow_message_a_failure() {
    let slow = service_fn(|_: Message| async {
        sleep(Duration::from_mins(1)).await;
        Ok::<_, Infallible>(())
    });
    let layered = ServiceBuilder::new().timeout(Duration::from_secs(2)).service(slow);
    let started = Instant::now();
    let outcome = outcome_of(&queue_of(["slow"]), options(), service(layered)).await;
    assert_eq!(outcome, Outcome::Failed { error: "request timed out".to_owned() });
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_below_a_buffer_spreads_messages_and_none_is_lost() {
    let queue = queue_of(0..100);
    let limited = ServiceBuilder::new()
        .buffer(8)
        .rate_limit(5, Duration::from_secs(1))
        .service(service_fn(|_: Message| async { Ok::<_, BoxError>(()) }));
    let started = Instant::now();
    let summary = consume_all(&queue, service(limited)).await;
    assert_eq!((summary.handled, summary.failed), (100, 0));
    let took = started.elapsed();
    assert!((Duration::from_secs(19)..Duration::from_secs(25)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_holds_across_the_clones_and_readiness_is_waited_for() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, highest) = (Arc::clone(&running), Arc::clone(&most));
    let limited = ServiceBuilder::new().concurrency_limit(3).service(service_fn(move |_: Message| {
        let (count, highest) = (Arc::clone(&count), Arc::clone(&highest));
        async move {
            highest.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_secs(1)).await;
            count.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Infallible>(())
        }
    }));
    let summary = consume_all(&queue_of(0..40), service(limited)).await;
    assert_eq!((summary.handled, most.load(Ordering::SeqCst)), (40, 3));
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_sheds_is_tried_again() {
    let shedding = ServiceBuilder::new().load_shed().concurrency_limit(2).service(service_fn(|_: Message| async {
        sleep(Duration::from_millis(100)).await;
        Ok::<_, Infallible>(())
    }));
    let summary = consume_all(&queue_of(0..8), service(shedding)).await;
    assert_eq!(summary.handled, 8);
    assert!(summary.failed > 0);
}

/// A service that is never ready but says why.
#[derive(Clone)]
struct Broken;

impl tower::Service<Message> for Broken {
    type Response = ();
    type Error = &'static str;
    type Future = std::future::Ready<Result<(), &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Err("out of order"))
    }

    fn call(&mut self, _: Message) -> Self::Future {
        panic!("called without being ready")
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_not_called() {
    let outcome = outcome_of(&queue_of(["x"]), options(), handler::service(Broken)).await;
    assert_eq!(outcome, Outcome::Failed { error: "out of order".to_owned() });
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_service_costs_its_message_a_try_only() {
    let queue = queue_of(0..30);
    let flaky = service_fn(|message: Message| async move {
        assert!(message.attempt() > 1 || message.body() != "7", "seven");
        Ok::<_, Infallible>(())
    });
    let running = Running::start(&queue, options(), service(flaky));
    until("the queue is empty", || queue.is_empty()).await;
    assert_eq!(running.stop().await.failed, 1);
}
