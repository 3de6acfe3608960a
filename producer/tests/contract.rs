//! The contract of [`Publisher`], held to the topic in memory and to SNS as LocalStack has it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sns::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use upbeat_producer::memory::Memory;
use upbeat_producer::{Batch, Description, Entry, FaultKind, Message, Publisher, Receipt, Sns, Topic};
use upbeat_testkit::clients::{KEY, REGION};
use upbeat_testkit::{LocalStack, Options, Resources};

/// What arrived from a topic: the body and the attribute `id` of each message, in order.
type Arrived = Vec<(String, String)>;

const ARRIVES_WITHIN: Duration = Duration::from_secs(20);

fn batch_of(topic: &Description, messages: impl IntoIterator<Item = Message>) -> Batch {
    let mut batch = Batch::new(topic.max_bytes);
    for message in messages {
        let entry = Entry::check(message, topic, Some(&"all".into())).unwrap();
        assert_eq!(batch.push(entry), None);
    }
    batch
}

async fn publish(publisher: &impl Publisher, batch: &Batch) -> Vec<Receipt> {
    let receipts = publisher.publish_batch(batch).await.unwrap();
    receipts.into_iter().map(Result::unwrap).collect()
}

fn content(batch: &Batch) -> Arrived {
    batch.entries().iter().map(|entry| (entry.body().to_owned(), entry.id().to_string())).collect()
}

/// What holds for every publisher. `arrived` waits for so many messages and takes them away.
async fn holds(publisher: &impl Publisher, arrived: impl AsyncFn(usize) -> Arrived) {
    let topic = publisher.describe();
    assert_eq!(topic, publisher.describe());

    // Each entry has a receipt of its own, and everything arrives.
    let ten = batch_of(&topic, (0..10).map(|n| Message::new(format!("ten {n}")).attribute("kind", "test")));
    let receipts = publish(publisher, &ten).await;
    let ids: HashSet<_> = receipts.iter().map(|receipt| &receipt.message_id).collect();
    assert_eq!(ids.len(), 10);
    assert_eq!(
        receipts.iter().filter(|receipt| receipt.sequence_number.is_some()).count(),
        if topic.fifo { 10 } else { 0 }
    );
    let mut got = arrived(10).await;
    if !topic.fifo {
        got.sort();
    }
    assert_eq!(got, content(&ten), "in order on a FIFO topic");

    // One alone, of any characters, and one as large as can be.
    for body in [" \"ä\"\t<&>\r\n\u{1F600}+%00 ".to_owned(), "x".repeat(topic.max_bytes - 44)] {
        let one = batch_of(&topic, [Message::new(body)]);
        assert_eq!(publish(publisher, &one).await.len(), 1);
        assert_eq!(arrived(1).await, content(&one));
    }

    // A repetition is recognized on a FIFO topic.
    let twice = batch_of(&topic, [Message::new("twice")]);
    publish(publisher, &twice).await;
    publish(publisher, &twice).await;
    let last = batch_of(&topic, [Message::new("last")]);
    publish(publisher, &last).await;
    let copies = if topic.fifo { 1 } else { 2 };
    let mut got = arrived(copies + 1).await;
    got.retain(|message| *message != content(&last)[0]);
    assert_eq!(got, vec![content(&twice)[0].clone(); copies]);

    // What the topic does not take is a refusal of the call, and no outage. Our own checks let neither of these through.
    let mut wrong = Vec::new();
    let mut too_large = Batch::new(2 * topic.max_bytes);
    for _ in 0..2 {
        let body = "x".repeat(topic.max_bytes - 44);
        assert_eq!(too_large.push(Entry::check(body.into(), &topic, Some(&"all".into())).unwrap()), None);
    }
    wrong.push(too_large);
    if topic.fifo {
        wrong.push(batch_of(&Description { fifo: false, ..topic }, ["without a group".into()]));
    }
    for batch in wrong {
        let fault = publisher.publish_batch(&batch).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Refused, "{}", fault.reason);
    }
}

async fn holds_in_memory(topic: Memory) {
    let seen = std::cell::Cell::new(0);
    holds(&topic, async |count| {
        let published = topic.published().split_off(seen.get());
        assert_eq!(published.len(), count);
        seen.set(seen.get() + count);
        published.iter().map(|stored| (stored.entry.body().to_owned(), stored.entry.id().to_string())).collect()
    })
    .await;
}

fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(KEY, KEY, None, None, "test")))
        .http_client(Builder::new().build_http())
        // As in the service: then only the first call goes all of the SDK's way.
        .retry_config(RetryConfig::disabled())
        .build()
}

async fn holds_for_sns(options: Options, by_arn: bool) {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, options).await;
    let topic: Topic = if by_arn { &resources.topic_arn } else { &resources.topic }.parse().unwrap();
    let sns = topic.connect(&config(localstack.url())).await.unwrap();
    assert_eq!(sns.arn(), resources.topic_arn);
    assert_eq!((&*sns.describe().name, sns.describe().fifo), (&*resources.topic, options.fifo));
    holds(&sns, async |count| {
        let arrived = resources.queue.drain_until(count, ARRIVES_WITHIN).await;
        arrived.into_iter().map(|message| (message.body, message.attributes["id"].clone())).collect()
    })
    .await;
}

#[tokio::test]
async fn a_standard_topic_in_memory_holds_the_contract() {
    holds_in_memory(Memory::standard("messages")).await;
}

#[tokio::test]
async fn a_fifo_topic_in_memory_holds_the_contract() {
    holds_in_memory(Memory::fifo("messages.fifo")).await;
}

#[tokio::test]
async fn a_standard_topic_of_sns_holds_the_contract() {
    holds_for_sns(Options::default(), false).await;
}

#[tokio::test]
async fn a_fifo_topic_of_sns_holds_the_contract() {
    holds_for_sns(Options { fifo: true, ..Options::default() }, true).await;
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_an_outage_and_is_not_made() {
    let localstack = LocalStack::shared().await;
    let config = config(localstack.url());
    let missing: Topic = "no-such-topic".parse().unwrap();
    for _ in 0..2 {
        let why = missing.connect(&config).await.unwrap_err().to_string();
        assert!(why.contains("no topic is named no-such-topic in us-east-1"), "{why}");
    }
    let description = Description::standard("no-such-topic");
    let arn = "arn:aws:sns:us-east-1:000000000000:no-such-topic".to_owned();
    let sns = Sns::new(aws_sdk_sns::Client::new(&config), arn, description.clone());
    let fault = sns.publish_batch(&batch_of(&description, ["x".into()])).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unavailable, "{}", fault.reason);
    assert!(fault.reason.contains("NotFound"), "{}", fault.reason);
}

#[tokio::test]
async fn a_name_is_found_among_more_topics_than_a_page_of_the_list_has() {
    let localstack = LocalStack::shared().await;
    let sns = upbeat_testkit::clients::sns(localstack.url());
    for n in 0..120 {
        sns.create_topic().name(format!("one-of-many-{n}")).send().await.unwrap();
    }
    for n in [0, 60, 119] {
        let name = format!("one-of-many-{n}");
        let found = name.parse::<Topic>().unwrap().connect(&config(localstack.url())).await.unwrap();
        assert!(found.arn().ends_with(&format!(":{name}")), "{}", found.arn());
    }
}
