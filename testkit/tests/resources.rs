//! What is published arrives where it should, and can be counted.

use std::time::Duration;

use serde_json::Value;
use upbeat_testkit::{Count, LocalStack, Options, Outgoing, Resources};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_is_published_arrives_as_it_is_when_raw() {
    let resources = Resources::make(LocalStack::shared().await, Options::default()).await;
    let sent: Vec<String> = (0..25).map(|n| format!("{{\"n\": {n}}}")).collect();
    resources.publish(&sent).await;
    resources.publish([Outgoing::new("with attribute").attribute("id", "7")]).await;

    let received = resources.queue.drain_until(26, LIMIT).await;
    let attribute = received.iter().find_map(|message| message.attributes.get("id"));
    assert_eq!(attribute.map(String::as_str), Some("7"));
    assert!(received.iter().all(|message| message.receive_count == 1), "{received:?}");
    let sent = sent.into_iter().chain(["with attribute".to_owned()]);
    Count::of(sent, received.into_iter().map(|message| message.body)).assert_exactly_once();
    assert_eq!(resources.queue.counts().await.total(), 0);
}

#[tokio::test]
async fn what_is_published_arrives_in_an_envelope_when_not_raw() {
    let options = Options { raw: false, ..Options::default() };
    let resources = Resources::make(LocalStack::shared().await, options).await;
    resources.publish(["hello"]).await;

    let received = resources.queue.drain_until(1, LIMIT).await;
    let envelope: Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!((&envelope["Type"], &envelope["Message"]), (&"Notification".into(), &"hello".into()));
    assert_eq!(envelope["TopicArn"], resources.topic_arn.as_str());
}

#[tokio::test]
async fn a_fifo_topic_keeps_the_order_of_each_group() {
    let options = Options { fifo: true, ..Options::default() };
    let resources = Resources::make(LocalStack::shared().await, options).await;
    let messages = (0..24).map(|n| Outgoing::new(n.to_string()).group(["even", "odd"][n % 2]));
    resources.publish(messages).await;

    let received = resources.queue.drain_until(24, LIMIT).await;
    for (group, first) in [("even", 0), ("odd", 1)] {
        let of_group = received.iter().filter(|message| message.group.as_deref() == Some(group));
        let order: Vec<&str> = of_group.map(|message| message.body.as_str()).collect();
        let sent: Vec<String> = (first..24).step_by(2).map(|n| n.to_string()).collect();
        assert_eq!(order, sent, "{group}");
    }
}

#[tokio::test]
async fn a_received_message_is_in_flight_and_goes_to_the_dead_letter_queue_after_its_receives() {
    let visibility_timeout = Duration::from_secs(1);
    let options = Options { visibility_timeout, max_receive_count: Some(1), ..Options::default() };
    let resources = Resources::make(LocalStack::shared().await, options).await;
    resources.queue.send(["poison"]).await;
    assert_eq!(resources.queue.counts().await.visible, 1);

    let received = resources.queue.receive(LIMIT).await;
    assert_eq!(received.len(), 1);
    assert_eq!(resources.queue.counts().await.in_flight, 1);
    // The queue moves it when it would be received a second time.
    tokio::time::sleep(visibility_timeout + Duration::from_millis(200)).await;
    assert_eq!(resources.queue.drain().await, []);
    let dead = resources.dlq().drain_until(1, LIMIT).await;
    assert_eq!(dead[0].body, "poison");
}

#[tokio::test]
async fn a_purged_queue_is_empty_and_resources_without_dead_letters_have_no_such_queue() {
    let options = Options { max_receive_count: None, ..Options::default() };
    let resources = Resources::make(LocalStack::shared().await, options).await;
    assert!(resources.dlq.is_none());
    resources.queue.send((0..12).map(|n| n.to_string())).await;
    assert_eq!(resources.queue.counts().await.total(), 12);
    resources.queue.purge().await;
    resources.queue.wait_empty(LIMIT).await;
}
