//! SIGTERM and Ctrl-C.

use std::time::{Duration, Instant};

use upbeat_testkit::{Count, LocalStack, Options, Resources, Signal};

use crate::{LIMIT, bodies, consumer, handled};

#[tokio::test]
async fn a_consumer_stopped_again_and_again_loses_and_repeats_nothing() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let sent = bodies(10_000);
    resources.queue.send(&sent).await;
    let consumer = consumer(localstack, &resources);
    let mut all_handled = Vec::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT].repeat(10) {
        let running = consumer.start().await;
        // Fewer than there are, so that each of them is stopped amid its work.
        running.wait_events("received", fastrand::usize(1..450), LIMIT).await;
        running.signal(signal);
        assert_eq!(running.wait_exit(LIMIT).await, 0, "{running:?}");
        assert_eq!(running.events("stopped").len(), 1);
        assert_eq!(resources.queue.counts().await.in_flight, 0, "all were deleted or released");
        all_handled.extend(handled(&running));
    }
    let last = consumer.start().await;
    resources.queue.wait_empty(LIMIT).await;
    last.signal(Signal::SIGTERM);
    assert_eq!(last.wait_exit(LIMIT).await, 0);
    all_handled.extend(handled(&last));
    Count::of(sent, all_handled).assert_exactly_once();
}

#[tokio::test]
async fn what_a_poll_brings_within_its_grace_is_released_at_once() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let idle = consumer(localstack, &resources).args(["--poll-grace", "20s", "--drain-timeout", "45s"]).start().await;
    idle.wait_ready().await;
    idle.signal(Signal::SIGTERM);
    idle.wait_events("stopping", 1, LIMIT).await;
    resources.queue.send(["late"]).await;
    assert_eq!(idle.wait_exit(LIMIT).await, 0);
    assert!(handled(&idle).is_empty());
    let counts = resources.queue.counts().await;
    assert_eq!((counts.visible, counts.in_flight), (1, 0));
}

#[tokio::test]
async fn what_a_poll_that_was_cut_off_may_swallow_is_back_within_the_lease() {
    let localstack = LocalStack::shared().await;
    let visibility_timeout = Duration::from_mins(10);
    let resources = Resources::make(localstack, Options { visibility_timeout, ..Options::default() }).await;
    let consumer = consumer(localstack, &resources).args(["--lease", "3s"]);
    let idle = consumer.start().await;
    idle.wait_ready().await;
    idle.signal(Signal::SIGTERM);
    assert_eq!(idle.wait_exit(LIMIT).await, 0);
    resources.queue.send(["next"]).await;
    let next = consumer.start().await;
    next.wait_events("deleted", 1, LIMIT).await;
    assert_eq!(handled(&next), ["next"]);
}

#[tokio::test]
async fn handlers_run_on_after_the_signal_and_their_messages_are_deleted() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let running = consumer(localstack, &resources).args(["--exec", "sleep 3"]).start().await;
    resources.queue.send(bodies(10)).await;
    running.wait_events("received", 10, LIMIT).await;
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait_exit(LIMIT).await, 0);
    let stopped = running.events("stopped").remove(0);
    assert_eq!((stopped.number("handled"), stopped.number("released")), (Some(10), Some(0)));
    assert_eq!(resources.queue.counts().await.total(), 0);
}

#[tokio::test]
async fn handlers_that_outlast_the_drain_timeout_are_cut_off_and_their_messages_released() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    // A poll that is still open at the stop would take what is released, and keep it until its lease ends.
    let running = consumer(localstack, &resources).args(["--exec", "sleep 600", "--drain-timeout", "4s"]);
    let running = running.args(["--wait-time", "0"]).start().await;
    resources.queue.send(bodies(10)).await;
    running.wait_events("received", 10, LIMIT).await;
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait_exit(LIMIT).await, 0);
    let stopped = running.events("stopped").remove(0);
    assert_eq!((stopped.number("handled"), stopped.number("released")), (Some(0), Some(10)));
    assert_eq!(resources.queue.counts().await.visible, 10);
}

#[tokio::test]
async fn a_draining_consumer_is_unready_but_up() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let running = consumer(localstack, &resources).args(["--exec", "sleep 5"]).start().await;
    resources.queue.send(["a"]).await;
    running.wait_events("received", 1, LIMIT).await;
    running.signal(Signal::SIGTERM);
    running.wait_events("stopping", 1, LIMIT).await;
    assert_eq!(running.health().await.status, 200);
    let ready = running.ready().await;
    assert_eq!((ready.status, ready.body.contains("draining")), (503, true));
    assert_eq!(running.wait_exit(LIMIT).await, 0);
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let running = consumer(localstack, &resources).args(["--exec", "sleep 600"]).start().await;
    resources.queue.send(["a"]).await;
    running.wait_events("received", 1, LIMIT).await;
    running.signal(Signal::SIGINT);
    running.wait_events("stopping", 1, LIMIT).await;
    running.signal(Signal::SIGINT);
    let signalled = Instant::now();
    assert_eq!(running.wait_exit(LIMIT).await, 130);
    assert!(signalled.elapsed() < Duration::from_secs(10), "{:?}", signalled.elapsed());
}
