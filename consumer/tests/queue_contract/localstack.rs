//! SQS as LocalStack has it, in real time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use upbeat_consumer::message::{Attribute, AttributeValue};
use upbeat_consumer::queue::sqs::{QueueAddress, SqsQueue};
use upbeat_consumer::queue::{DeadLetter as Rejected, ErrorKind, Queue, QueueError, Receive, Received};
use upbeat_testkit::{LocalStack, Options, Resources, clients};

use crate::broker::{Broker, DeadLetter, MAX_RECEIVES, Sent, sorted};

struct OnLocalStack {
    resources: Resources,
    queue: SqsQueue,
}

impl OnLocalStack {
    async fn make(fifo: bool, max_receive_count: Option<u32>) -> Self {
        let options = Options { fifo, max_receive_count, ..Options::default() };
        let resources = Resources::make(LocalStack::shared().await, options).await;
        let queue = find(&resources.queue.name).await.unwrap();
        Self { resources, queue }
    }
}

async fn find(address: &str) -> Result<SqsQueue, QueueError> {
    let client = clients::sqs(LocalStack::shared().await.url());
    let address: QueueAddress = address.parse().unwrap();
    SqsQueue::find(client.config().clone(), &address).await
}

impl Broker for OnLocalStack {
    type Queue = SqsQueue;

    const REPEATS_ATTEMPTS: bool = false;
    const REFUSES_CHANGE_AFTER_LEASE: bool = false;

    async fn standard() -> Self {
        Self::make(false, Some(MAX_RECEIVES)).await
    }

    async fn fifo() -> Self {
        Self::make(true, Some(MAX_RECEIVES)).await
    }

    async fn without_redrive() -> Self {
        Self::make(false, None).await
    }

    async fn missing() -> SqsQueue {
        find(&format!("{}/000000000000/no-such-queue", LocalStack::shared().await.url())).await.unwrap()
    }

    fn queue(&self) -> &SqsQueue {
        &self.queue
    }

    async fn send(&self, message: Sent) {
        static SENT: AtomicU32 = AtomicU32::new(0);
        let unique = || format!("unique-{}", SENT.fetch_add(1, Ordering::Relaxed));
        let queue = &self.resources.queue;
        let deduplication_id = message.deduplication_id.or_else(|| message.group.as_ref().map(|_| unique()));
        let mut request = queue
            .client
            .send_message()
            .queue_url(&queue.url)
            .message_body(message.body)
            .set_message_deduplication_id(deduplication_id)
            .set_message_group_id(message.group);
        for (name, attribute) in message.attributes {
            request = request.message_attributes(name, sdk_value(attribute));
        }
        request.send().await.unwrap();
    }

    async fn counts(&self) -> (usize, usize) {
        let counts = self.resources.queue.counts().await;
        (usize::try_from(counts.visible).unwrap(), usize::try_from(counts.in_flight).unwrap())
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        let queue = find(&self.resources.dlq().name).await.unwrap();
        let receive = Receive { max: 10, wait: Duration::ZERO, lease: Duration::ZERO, attempt_id: None };
        let letters = queue.receive(receive).await.unwrap().into_iter().map(|letter| DeadLetter {
            body: letter.payload.received_body().to_owned(),
            attributes: sorted(letter.payload.received_attributes().iter()),
            group: letter.delivery.group.as_deref().map(str::to_owned),
        });
        letters.collect()
    }
}

fn sdk_value(attribute: Attribute) -> MessageAttributeValue {
    let value = MessageAttributeValue::builder().data_type(attribute.data_type);
    let value = match attribute.value {
        AttributeValue::Text(text) => value.string_value(text),
        AttributeValue::Binary(bytes) => value.binary_value(Blob::new(bytes)),
    };
    value.build().unwrap()
}

contract!(OnLocalStack, #[tokio::test]);

#[tokio::test]
async fn a_queue_is_found_by_name_url_and_arn() {
    let queue = Resources::make(LocalStack::shared().await, Options::default()).await.queue;
    for address in [&queue.name, &queue.url, &queue.arn] {
        let found = find(address).await.unwrap();
        assert_eq!(found.url(), queue.url);
        assert_eq!(found.info().await.unwrap().name, queue.name);
    }
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_not_found_and_not_made() {
    for address in ["no-such-queue", "arn:aws:sqs:us-east-1:000000000000:no-such-queue"] {
        for _ in 0..2 {
            let error = find(address).await.map(|queue| queue.url().to_owned()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        }
    }
}

#[tokio::test]
async fn a_dead_letter_queue_that_was_replaced_is_found_anew() {
    let broker = OnLocalStack::standard().await;
    broker.send_all(&["bad"]).await;
    let Received { delivery, payload } = broker.receive_one(Duration::from_mins(1)).await;
    let letter = Rejected { delivery, payload: payload.into(), reason: "bad".to_owned() };
    broker.queue.dead_letter(letter.clone()).await.unwrap();
    broker.resources.dlq().remove().await;
    let error = broker.queue.dead_letter(letter.clone()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");

    let other = Resources::make(LocalStack::shared().await, Options::default()).await.queue;
    let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":7}}"#, other.arn);
    let queue = &broker.resources.queue;
    let name = QueueAttributeName::RedrivePolicy;
    queue.client.set_queue_attributes().queue_url(&queue.url).attributes(name, policy).send().await.unwrap();
    broker.queue.dead_letter(letter).await.unwrap();
    assert_eq!(other.counts().await.visible, 1);
    let redrive = broker.queue.info().await.unwrap().redrive.unwrap();
    assert_eq!((redrive.dead_letter_queue, redrive.max_receive_count), (other.name, 7));
}
