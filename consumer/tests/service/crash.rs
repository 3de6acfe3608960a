//! kill -9.

use upbeat_testkit::{Count, LocalStack, Options, Resources, Signal};

use crate::{LIMIT, bodies, consumer, handled};

#[tokio::test]
async fn a_consumer_killed_again_and_again_loses_nothing() {
    let localstack = LocalStack::shared().await;
    // Killed so often, a message may well be received more than five times.
    let resources = Resources::make(localstack, Options { max_receive_count: None, ..Options::default() }).await;
    let sent = bodies(10_000);
    resources.queue.send(&sent).await;
    let consumer = consumer(localstack, &resources).args(["--lease", "2s"]);
    let mut all_handled = Vec::new();
    for _ in 0..20 {
        let running = consumer.start().await;
        // Fewer than there are, so that each of them is killed amid its work.
        running.wait_events("received", fastrand::usize(1..450), LIMIT).await;
        running.kill().await;
        all_handled.extend(handled(&running));
    }
    let last = consumer.start().await;
    resources.queue.wait_empty(LIMIT).await;
    last.signal(Signal::SIGTERM);
    assert_eq!(last.wait_exit(LIMIT).await, 0);
    all_handled.extend(handled(&last));
    Count::of(sent, all_handled).assert_nothing_lost();
}

#[tokio::test]
async fn after_a_kill_messages_come_back_within_the_lease_whatever_the_queues_visibility_timeout() {
    let localstack = LocalStack::shared().await;
    let visibility_timeout = std::time::Duration::from_mins(10);
    let resources = Resources::make(localstack, Options { visibility_timeout, ..Options::default() }).await;
    resources.queue.send(bodies(20)).await;
    let slow = consumer(localstack, &resources).args(["--exec", "sleep 600", "--lease", "3s"]).start().await;
    slow.wait_events("received", 20, LIMIT).await;
    slow.kill().await;
    let next = consumer(localstack, &resources).start().await;
    next.wait_events("deleted", 20, LIMIT).await;
}
