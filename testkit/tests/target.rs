//! The load target, by the SDK.

use std::time::Duration;

use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry};
use upbeat_testkit::target::Options;
use upbeat_testkit::{Target, clients};

fn target(messages: usize) -> Target {
    Target::start(Options { messages, body: r#"{"a":"ä"}"#.to_owned(), latency: Duration::ZERO, cpu: None })
}

#[tokio::test]
async fn messages_are_handed_out_once_and_deleted_by_their_handles_once() {
    let target = target(13);
    let sqs = clients::sqs(&target.url());
    let url = sqs.get_queue_url().queue_name("messages").send().await.unwrap().queue_url.unwrap();
    let receive = || sqs.receive_message().queue_url(&url).max_number_of_messages(10);
    let mut handles = Vec::new();
    for expected in [10, 3, 0] {
        let messages = receive().send().await.unwrap().messages.unwrap_or_default();
        assert_eq!(messages.len(), expected);
        assert!(messages.iter().all(|message| message.body() == Some(r#"{"a":"ä"}"#)));
        handles.extend(messages.into_iter().map(|message| message.receipt_handle.unwrap()));
    }

    let delete = async |handles: &[String]| {
        let entry = |(position, handle): (usize, &String)| {
            DeleteMessageBatchRequestEntry::builder().id(position.to_string()).receipt_handle(handle).build().unwrap()
        };
        let entries = handles.iter().enumerate().map(entry).collect();
        let answer = sqs.delete_message_batch().queue_url(&url).set_entries(Some(entries)).send().await.unwrap();
        (answer.successful.len(), answer.failed.len())
    };
    assert_eq!(delete(&handles[..10]).await, (10, 0));
    assert_eq!(target.wait_done(Duration::ZERO), None);
    assert_eq!(delete(&["made up".to_owned(), handles[0].clone(), handles[10].clone()]).await, (1, 2));
    assert_eq!(delete(&handles[11..]).await, (2, 0));

    let counts = target.wait_done(Duration::from_secs(10)).unwrap();
    assert_eq!(
        (counts.requests, counts.empty_receives, counts.received, counts.deleted, counts.refused),
        (6, 1, 13, 13, 2)
    );
}

#[tokio::test]
async fn system_attributes_come_when_asked_for_and_visibility_can_be_changed() {
    let target = target(2);
    let sqs = clients::sqs(&target.url());
    let receive = || sqs.receive_message().queue_url(target.url());
    let plain = receive().send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(plain.attributes, None);
    let all = aws_sdk_sqs::types::MessageSystemAttributeName::All;
    let full = receive().message_system_attribute_names(all).send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(full.attributes.unwrap().len(), 3);
    let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id("0").receipt_handle("r").visibility_timeout(1);
    let change = sqs.change_message_visibility_batch().queue_url(target.url()).entries(entry.build().unwrap());
    assert_eq!(change.send().await.unwrap().successful.len(), 1);
}

#[tokio::test]
async fn what_is_published_is_counted() {
    let target = target(3);
    let sns = clients::sns(&target.url());
    let topics = sns.list_topics().send().await.unwrap();
    let arn = topics.topics()[0].topic_arn().unwrap();
    sns.get_topic_attributes().topic_arn(arn).send().await.unwrap();
    assert!(sns.publish().topic_arn(arn).message("Id=1&.Id=2").send().await.unwrap().message_id.is_some());
    let entry =
        |id: &str| aws_sdk_sns::types::PublishBatchRequestEntry::builder().id(id).message("&.Id=7").build().unwrap();
    let batch = sns.publish_batch().topic_arn(arn).publish_batch_request_entries(entry("0"));
    let answer = batch.publish_batch_request_entries(entry("1")).send().await.unwrap();
    let ids: Vec<_> = answer.successful().iter().map(|entry| entry.id().unwrap()).collect();
    assert_eq!(ids, ["0", "1"]);
    let counts = target.wait_done(Duration::from_secs(10)).unwrap();
    assert_eq!((counts.published, counts.requests), (3, 2));
}
