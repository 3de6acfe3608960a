//! Producer → topic → queue → consumer.

use std::collections::BTreeSet;

use upbeat_testkit::process::Input;
use upbeat_testkit::{Count, LocalStack, Options, Resources, Service, Signal};

use crate::{LIMIT, bodies, consumer, handled};

#[tokio::test]
async fn all_that_is_published_is_handled_and_deleted_once() {
    for raw in [true, false] {
        let localstack = LocalStack::shared().await;
        let resources = Resources::make(localstack, Options { raw, ..Options::default() }).await;
        let consumer = consumer(localstack, &resources).start().await;
        let producer = Service::producer(localstack).args(["--topic", &resources.topic, "--stdin"]).input(Input::Pipe);
        let producer = producer.start().await;
        let sent = bodies(500);
        for line in &sent {
            producer.write_line(line);
        }
        producer.close_input();
        assert_eq!(producer.wait_exit(LIMIT).await, 0);
        consumer.wait_events("deleted", sent.len(), LIMIT).await;
        Count::of(sent, handled(&consumer)).assert_exactly_once();
        assert_eq!(resources.queue.counts().await.total(), 0);
    }
}

#[tokio::test]
async fn published_received_and_deleted_lines_share_the_id_of_the_message() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let consumer = consumer(localstack, &resources).start().await;
    let producer = Service::producer(localstack).args(["--topic", &resources.topic, "--interval", "100ms"]);
    let producer = producer.start().await;
    producer.wait_events("published", 5, LIMIT).await;
    producer.signal(Signal::SIGTERM);
    assert_eq!(producer.wait_exit(LIMIT).await, 0);
    let ids = |service: &Service, event: &str| -> BTreeSet<String> {
        service.events(event).iter().map(|event| event.text("id").to_owned()).collect()
    };
    let published = ids(&producer, "published");
    consumer.wait_events("deleted", published.len(), LIMIT).await;
    assert!(published.len() >= 5);
    assert_eq!(ids(&consumer, "received"), published);
    assert_eq!(ids(&consumer, "deleted"), published);
}

#[tokio::test]
async fn a_message_whose_handler_fails_is_tried_five_times_and_ends_in_the_dead_letter_queue() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let fail_on_poison = r#"read -r body; [ "$body" != poison ]"#;
    let consumer = consumer(localstack, &resources).args(["--exec", fail_on_poison]);
    let consumer = consumer.args(["--retry-first", "0", "--wait-time", "2s"]).start().await;
    resources.queue.send(["good", "poison", "fine"]).await;
    let dead = resources.dlq().drain_until(1, LIMIT).await;
    assert_eq!(dead.iter().map(|letter| &*letter.body).collect::<Vec<_>>(), ["poison"]);
    let failed: Vec<_> = consumer.events("not handled").iter().filter_map(|event| event.number("attempt")).collect();
    assert_eq!(failed, [1, 2, 3, 4, 5]);
    assert_eq!(consumer.events("deleted").len(), 2);
}

#[tokio::test]
async fn a_message_that_a_command_rejects_is_in_the_dead_letter_queue_at_once_with_the_reason() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let consumer = consumer(localstack, &resources).args(["--exec", "exit 65"]).start().await;
    resources.queue.send(["bad"]).await;
    let dead = resources.dlq().drain_until(1, LIMIT).await;
    assert!(dead[0].attributes.values().any(|reason| reason.contains("exit status: 65")), "{dead:?}");
    assert_eq!(consumer.events("received").len(), 1);
}

#[tokio::test]
async fn a_handler_that_outlasts_the_visibility_timeout_three_times_is_run_once() {
    let localstack = LocalStack::shared().await;
    let options = Options { visibility_timeout: std::time::Duration::from_secs(2), ..Options::default() };
    let resources = Resources::make(localstack, options).await;
    let consumer = consumer(localstack, &resources).args(["--exec", "sleep 6"]).start().await;
    resources.queue.send(bodies(12)).await;
    consumer.wait_events("deleted", 12, LIMIT).await;
    assert_eq!(consumer.events("received").len(), 12);
    assert_eq!(resources.queue.counts().await.total(), 0);
}

#[tokio::test]
async fn a_command_is_given_the_body_and_what_is_known_of_the_message() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let write = format!(
        r#"{{ cat; echo; echo "$MESSAGE_ID $MESSAGE_ATTEMPT $ATTRIBUTE_colour"; }} > {}/out"#,
        folder.path().display()
    );
    let consumer = consumer(localstack, &resources).args(["--exec", &write]).start().await;
    let message = upbeat_testkit::Outgoing::new("a body").attribute("id", "0190").attribute("colour", "blue");
    resources.publish([message]).await;
    consumer.wait_events("deleted", 1, LIMIT).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("out")).unwrap(), "a body\n0190 1 blue\n");
}
