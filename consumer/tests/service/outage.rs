//! The broker or the network goes away.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use upbeat_testkit::process::binary;
use upbeat_testkit::{LocalStack, Options, Proxy, Resources, Service, eventually};

use crate::{LIMIT, consumer};

/// Asks for liveness again and again, until told to end; every answer must be 200.
fn watch_health(service: &Arc<Service>, end: &CancellationToken) -> tokio::task::JoinHandle<u32> {
    let (service, end) = (Arc::clone(service), end.clone());
    tokio::spawn(async move {
        let mut asked = 0;
        while !end.is_cancelled() {
            let health = service.health().await;
            assert_eq!((health.status, health.body.trim()), (200, r#"{"status":"UP!"}"#), "{service:?}");
            asked += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        asked
    })
}

#[tokio::test]
async fn both_outlive_a_restart_of_localstack_and_are_up_all_the_while() {
    let mut localstack = LocalStack::start().await;
    let producer = Arc::new(Service::producer(&localstack).args(["--interval", "200ms"]).start().await);
    let consumer = Arc::new(Service::consumer(&localstack).args(["--wait-time", "2s"]).start().await);
    let end = CancellationToken::new();
    let watches = [watch_health(&producer, &end), watch_health(&consumer, &end)];
    consumer.wait_events("deleted", 5, LIMIT).await;

    localstack.stop().await;
    for service in [&producer, &consumer] {
        eventually("unreadiness", LIMIT, async || match service.ready().await {
            ready if ready.status == 503 => Ok(()),
            ready => Err(format!("{ready:?}")),
        })
        .await;
    }
    localstack.start_again().await;
    producer.wait_ready_within(LIMIT).await;
    consumer.wait_ready_within(LIMIT).await;
    let before = consumer.events("deleted").len();
    consumer.wait_events("deleted", before + 5, LIMIT).await;

    end.cancel();
    for watch in watches {
        assert!(watch.await.unwrap() > 20);
    }
}

#[tokio::test]
async fn a_poller_whose_server_accepts_and_never_answers_recovers_by_its_timeout() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let mut proxy = Proxy::to(localstack);
    let running = Arc::new(consumer(proxy.url(), &resources).args(["--wait-time", "1s"]).start().await);
    running.wait_ready().await;
    let end = CancellationToken::new();
    let watch = watch_health(&running, &end);
    proxy.black_hole();
    eventually("unreadiness", LIMIT, async || match running.ready().await {
        ready if ready.status == 503 && ready.body.contains("no answer in time") => Ok(()),
        ready => Err(format!("{ready:?}")),
    })
    .await;
    proxy.pass();
    resources.queue.send(["a"]).await;
    running.wait_events("deleted", 1, LIMIT).await;
    running.wait_ready().await;
    end.cancel();
    assert!(watch.await.unwrap() > 20);
}

#[tokio::test]
async fn a_queue_that_is_not_there_yet_is_waited_for() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    resources.queue.remove().await;
    let running = consumer(localstack, &resources).start().await;
    eventually("a reason", LIMIT, async || match running.ready().await {
        ready if ready.status == 503 && ready.body.contains("NonExistentQueue") => Ok(()),
        ready => Err(format!("{ready:?}")),
    })
    .await;
    assert_eq!(running.health().await.status, 200);
    let again = upbeat_testkit::Queue::make(&resources.queue.client, &resources.queue.name, [].into()).await;
    again.send(["a"]).await;
    running.wait_events("deleted", 1, LIMIT).await;
    running.wait_ready().await;
    let told = running.events("not ready").len();
    assert!(told <= 3, "a line a change, not a line a try: {told}");
}

#[tokio::test]
async fn a_missing_region_or_endpoint_is_waited_for() {
    drop(binary("consumer").await);
    for variable in ["AWS_REGION", "AWS_ENDPOINT_URL"] {
        let nowhere = Service::consumer("http://127.0.0.1:9").env_remove(variable);
        // Without an endpoint the real one would be asked.
        let nowhere = if variable == "AWS_REGION" { nowhere } else { nowhere.env(variable, "http://127.0.0.1:9") };
        let running = nowhere.start().await;
        assert_eq!(running.ready().await.status, 503, "from the first answer on");
        eventually("a reason", LIMIT, async || match running.ready().await {
            ready if ready.status == 503 && !ready.body.contains("connection: starting") => Ok(()),
            ready => Err(format!("{ready:?}")),
        })
        .await;
        assert_eq!(running.health().await.status, 200);
    }
}
