//! Topics and queues of a test's own, subscribed and allowed as the project's hook has it.

use std::collections::HashMap;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use crate::message::{DEFAULT_GROUP, batches, is_fifo};
use crate::{Outgoing, Queue, clients};

/// What [`Resources::make`] makes; the defaults are those of the hook.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A FIFO topic and queues with deduplication by content.
    pub fifo: bool,
    /// Messages arrive as published; in SNS's JSON envelope otherwise.
    pub raw: bool,
    /// The queue's own visibility timeout, in whole seconds.
    pub visibility_timeout: Duration,
    /// After how many receives a message goes to the dead-letter queue; there is none without it.
    pub max_receive_count: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { fifo: false, raw: true, visibility_timeout: Duration::from_secs(30), max_receive_count: Some(5) }
    }
}

/// A topic that delivers to a queue, with a dead-letter queue behind it. They are left to LocalStack's end.
#[derive(Clone, Debug)]
pub struct Resources {
    /// The topic's name.
    pub topic: String,
    /// The topic's ARN.
    pub topic_arn: String,
    /// The queue.
    pub queue: Queue,
    /// The dead-letter queue, unless [`Options::max_receive_count`] is `None`.
    pub dlq: Option<Queue>,
    /// For what there is no method for.
    pub sns: aws_sdk_sns::Client,
}

impl Resources {
    /// Makes all of it, with names that nobody else has, on the server at this URL.
    pub async fn make(endpoint: impl AsRef<str>, options: Options) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let suffix = if options.fifo { ".fifo" } else { "" };
        let (sns, sqs) = (clients::sns(endpoint.as_ref()), clients::sqs(endpoint.as_ref()));

        let topic = format!("{name}{suffix}");
        let topic_arn = make_topic(&sns, &topic, options.fifo).await;
        let mut attributes = HashMap::from([
            (QueueAttributeName::VisibilityTimeout, options.visibility_timeout.as_secs().to_string()),
            (QueueAttributeName::Policy, allow(&topic_arn)),
        ]);
        let mut dlq = None;
        if let Some(receives) = options.max_receive_count {
            let made = Queue::make(&sqs, &format!("{name}-dlq{suffix}"), HashMap::new()).await;
            let redrive = json!({"deadLetterTargetArn": made.arn, "maxReceiveCount": receives.to_string()});
            attributes.insert(QueueAttributeName::RedrivePolicy, redrive.to_string());
            dlq = Some(made);
        }
        let queue = Queue::make(&sqs, &topic, attributes).await;
        subscribe(&sns, &topic_arn, &queue, options.raw).await;
        Self { topic, topic_arn, queue, dlq, sns }
    }

    /// The dead-letter queue, where there must be one.
    #[must_use]
    pub fn dlq(&self) -> &Queue {
        self.dlq.as_ref().expect("these resources were made without a dead-letter queue")
    }

    /// Publishes messages to the topic, in batches.
    pub async fn publish(&self, messages: impl IntoIterator<Item = impl Into<Outgoing>>) {
        for batch in batches(messages) {
            let entries = batch.into_iter().enumerate().map(|(index, message)| self.entry(index, message)).collect();
            let call =
                self.sns.publish_batch().topic_arn(&self.topic_arn).set_publish_batch_request_entries(Some(entries));
            let published =
                call.send().await.unwrap_or_else(|error| panic!("cannot publish: {}", DisplayErrorContext(&error)));
            assert!(published.failed().is_empty(), "not all was published: {:?}", published.failed());
        }
    }

    fn entry(&self, index: usize, message: Outgoing) -> PublishBatchRequestEntry {
        let attributes = message.attributes.into_iter().map(|(name, value)| {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            (name, value.expect("a type is given"))
        });
        let group = message.group.or_else(|| is_fifo(&self.topic).then(|| DEFAULT_GROUP.to_owned()));
        PublishBatchRequestEntry::builder()
            .id(index.to_string())
            .message(message.body)
            .set_message_attributes(Some(attributes.collect()))
            .set_message_group_id(group)
            .set_message_deduplication_id(message.deduplication_id)
            .build()
            .expect("id and message are given")
    }
}

async fn make_topic(sns: &aws_sdk_sns::Client, name: &str, fifo: bool) -> String {
    let mut call = sns.create_topic().name(name);
    if fifo {
        call = call.attributes("FifoTopic", "true").attributes("ContentBasedDeduplication", "true");
    }
    let made = call
        .send()
        .await
        .unwrap_or_else(|error| panic!("cannot make the topic {name}: {}", DisplayErrorContext(&error)));
    made.topic_arn.expect("CreateTopic gives an ARN")
}

async fn subscribe(sns: &aws_sdk_sns::Client, topic_arn: &str, queue: &Queue, raw: bool) {
    let call = sns.subscribe().topic_arn(topic_arn).protocol("sqs").endpoint(&queue.arn);
    let subscribed = call.attributes("RawMessageDelivery", raw.to_string()).send().await;
    subscribed.unwrap_or_else(|error| {
        panic!("cannot subscribe {} to {topic_arn}: {}", queue.name, DisplayErrorContext(&error))
    });
}

/// The policy that lets SNS deliver from the topic.
fn allow(topic_arn: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
            "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
        },
    })
    .to_string()
}
