//! The real services run under the testkit.

use std::time::Duration;

use serde_json::json;
use upbeat_testkit::{Count, LocalStack, Options, Resources, Service, Signal};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_is_posted_to_the_producer_is_handled_by_the_consumer_once() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let consumer = Service::consumer(localstack).env("QUEUE", &resources.queue.name).start().await;
    let producer = Service::producer(localstack).env("TOPIC", &resources.topic).args(["--interval", "0"]).start().await;
    consumer.wait_ready().await;
    producer.wait_ready().await;
    assert_eq!(consumer.health().await.json(), json!({"status": "UP!"}));

    let sent: Vec<String> = (0..20).map(|n| json!({ "n": n }).to_string()).collect();
    let posted = producer.post("/messages", format!("[{}]", sent.join(","))).await;
    assert_eq!(posted.status, 202, "{posted:?}");
    consumer.wait_events("deleted", sent.len(), LIMIT).await;
    let handled = consumer.events("received").iter().map(|event| event.text("body").to_owned()).collect::<Vec<_>>();
    Count::of(sent, handled).assert_exactly_once();

    for service in [&producer, &consumer] {
        service.signal(Signal::SIGTERM);
        assert_eq!(service.wait_exit(LIMIT).await, 0);
    }
    assert_eq!(resources.queue.counts().await.total(), 0);
}

#[tokio::test]
async fn a_setting_that_cannot_be_right_ends_a_service_with_2() {
    let consumer = Service::consumer("http://127.0.0.1:1").args(["--log-format", "xml"]).spawn().await;
    assert_eq!(consumer.wait_exit(LIMIT).await, 2);
    assert_eq!(consumer.errors().lines().len(), 1);
}
