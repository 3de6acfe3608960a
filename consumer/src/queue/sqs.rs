//! Amazon SQS as a queue, by its SDK.

mod address;
mod failures;
mod inspect;
mod messages;
mod redrive;
mod transfer;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::change_message_visibility_batch::{
    ChangeMessageVisibilityBatch, ChangeMessageVisibilityBatchInput,
};
use aws_sdk_sqs::operation::delete_message_batch::{DeleteMessageBatch, DeleteMessageBatchInput};
use aws_sdk_sqs::operation::receive_message::{ReceiveMessage, ReceiveMessageInput};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, QueueAttributeName,
};

use upbeat_service::aws::{ShortWay, SigV4};

pub use address::{InvalidQueueAddress, QueueAddress};
pub(crate) use inspect::{QueueAttributes, is_purge_in_progress};
pub(crate) use transfer::{InTransit, MoveTask, fitting};

use super::{
    Batch, DeadLetter, EntryResults, ErrorKind, Queue, QueueDepth, QueueError, QueueInfo, ReceiptHandle, Receive,
    Received, letter, name,
};
use address::{Form, QueueArn};
use failures::failure;
use messages::{entry_id, entry_results, incomplete, seconds};
use redrive::Policy;

/// A queue's visibility timeout if nobody set one (SQS Developer Guide, "Visibility timeout").
const DEFAULT_VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

/// An SQS queue, found and ready.
///
/// One try a call, without a time limit of its own: who calls has both in hand. A time limit is needed, since neither the
/// SDK as [configured](upbeat_service::aws::config) nor SQS has one.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    ways: Ways,
    url: String,
    dead_letter_queue: Mutex<Option<Found>>,
}

/// The calls that are made for every few messages.
#[derive(Clone, Debug)]
struct Ways {
    receive: ShortWay,
    delete: ShortWay,
    change_visibility: ShortWay,
}

/// A dead-letter queue, found once.
#[derive(Clone, Debug)]
struct Found {
    arn: QueueArn,
    url: String,
}

impl SqsQueue {
    /// Finds the queue; a name or ARN by `GetQueueUrl`, a URL as it is. Nothing is created.
    ///
    /// An error of kind [`ErrorKind::NotFound`] if there is none; of a URL that shows with the first request.
    pub async fn find(config: impl Into<aws_sdk_sqs::Config>, address: &QueueAddress) -> Result<Self, QueueError> {
        // Cheaper than the SDK's own ways of signing and of making a request.
        let signing = SigV4::default();
        let ways = Ways {
            receive: ShortWay::new(&ReceiveMessage::new(), &signing),
            delete: ShortWay::new(&DeleteMessageBatch::new(), &signing),
            change_visibility: ShortWay::new(&ChangeMessageVisibilityBatch::new(), &signing),
        };
        let config = config.into();
        let mut builder = config.to_builder().interceptor(signing.clock_watch()).push_auth_scheme(signing);
        if config.interceptors().next().is_none() {
            for way in [&ways.receive, &ways.delete, &ways.change_visibility] {
                builder = builder.interceptor(way.watch());
            }
        }
        Self::find_by(Client::from_conf(builder.build()), ways, address).await
    }

    async fn find_by(client: Client, ways: Ways, address: &QueueAddress) -> Result<Self, QueueError> {
        let url = match &address.0 {
            Form::Url(url) => url.clone(),
            Form::Name(name) => find_url(&client, name, None).await?,
            Form::Arn(arn) => find_url(&client, &arn.name, Some(&arn.account)).await?,
        };
        Ok(Self { client, ways, url, dead_letter_queue: Mutex::new(None) })
    }

    /// The URL by which SQS knows the queue.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn is_fifo(&self) -> bool {
        name::is_fifo(&self.url)
    }

    /// The queue's visibility timeout and redrive policy.
    async fn attributes(&self) -> Result<(Duration, Option<Policy>), QueueError> {
        let wanted = [QueueAttributeName::VisibilityTimeout, QueueAttributeName::RedrivePolicy];
        let request = self.client.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(wanted.into()));
        let attributes = request.send().await.map_err(failure)?.attributes.unwrap_or_default();
        let timeout = attributes.get(&QueueAttributeName::VisibilityTimeout).and_then(|seconds| seconds.parse().ok());
        let policy = attributes.get(&QueueAttributeName::RedrivePolicy).map(|policy| Policy::parse(policy));
        Ok((timeout.map_or(DEFAULT_VISIBILITY_TIMEOUT, Duration::from_secs), policy.transpose()?))
    }

    async fn find_dead_letter_queue(&self) -> Result<Found, QueueError> {
        if let Some(found) = self.known_dead_letter_queue().clone() {
            return Ok(found);
        }
        let (_, policy) = self.attributes().await?;
        let missing = || QueueError::new(ErrorKind::NotFound, "the queue has no redrive policy");
        let arn = policy.ok_or_else(missing)?.dead_letter_queue;
        let url = find_url(&self.client, &arn.name, Some(&arn.account)).await?;
        let found = Found { arn, url };
        *self.known_dead_letter_queue() = Some(found.clone());
        Ok(found)
    }

    fn known_dead_letter_queue(&self) -> std::sync::MutexGuard<'_, Option<Found>> {
        self.dead_letter_queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The SDK's futures are large, and whatever awaits them grows by as much, several times over, and is moved
// with it; so those of each message's calls are boxed here.
impl Queue for SqsQueue {
    async fn info(&self) -> Result<QueueInfo, QueueError> {
        let (visibility_timeout, policy) = self.attributes().await?;
        let target = policy.as_ref().map(|policy| &policy.dead_letter_queue);
        // The policy may name another queue by now.
        self.known_dead_letter_queue().take_if(|known| Some(&known.arn) != target);
        Ok(QueueInfo {
            name: address::name_in_url(&self.url).to_owned(),
            fifo: self.is_fifo(),
            visibility_timeout,
            redrive: policy.map(Policy::into_redrive),
        })
    }

    async fn depth(&self) -> Result<Option<QueueDepth>, QueueError> {
        Box::pin(self.depth_with_dead_letters()).await.map(Some)
    }

    async fn receive(&self, receive: Receive) -> Result<Vec<Received>, QueueError> {
        let Receive { max, wait, lease, attempt_id } = receive;
        let request = ReceiveMessageInput::builder()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max).unwrap_or(i32::MAX))
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(lease))
            .set_receive_request_attempt_id(attempt_id.filter(|_| self.is_fifo()))
            .set_message_system_attribute_names(Some(messages::SYSTEM_ATTRIBUTES.into()))
            .message_attribute_names("All");
        let answer = match self.ways.receive.get() {
            Some(way) => way.call(request.build().map_err(incomplete)?).await,
            None => Box::pin(request.send_with(&self.client)).await,
        };
        let answer = answer.map_err(failure)?;
        Ok(answer.messages.into_iter().flatten().filter_map(messages::received).collect())
    }

    async fn delete(&self, receipts: Batch<ReceiptHandle>) -> Result<EntryResults, QueueError> {
        let count = receipts.len();
        let entries = receipts.into_iter().enumerate().map(|(position, ReceiptHandle(receipt))| {
            DeleteMessageBatchRequestEntry::builder().id(entry_id(position)).receipt_handle(receipt).build()
        });
        let entries = entries.collect::<Result<_, _>>().map_err(incomplete)?;
        let request = DeleteMessageBatchInput::builder().queue_url(&self.url).set_entries(Some(entries));
        let answer = match self.ways.delete.get() {
            Some(way) => way.call(request.build().map_err(incomplete)?).await,
            None => Box::pin(request.send_with(&self.client)).await,
        };
        let answer = answer.map_err(failure)?;
        Ok(entry_results(count, answer.successful.into_iter().map(|entry| entry.id), answer.failed))
    }

    async fn change_visibility(&self, entries: Batch<(ReceiptHandle, Duration)>) -> Result<EntryResults, QueueError> {
        let count = entries.len();
        let entries = entries.into_iter().enumerate().map(|(position, (ReceiptHandle(receipt), timeout))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(entry_id(position))
                .receipt_handle(receipt)
                .visibility_timeout(seconds(timeout))
                .build()
        });
        let entries = entries.collect::<Result<_, _>>().map_err(incomplete)?;
        let request = ChangeMessageVisibilityBatchInput::builder().queue_url(&self.url).set_entries(Some(entries));
        let answer = match self.ways.change_visibility.get() {
            Some(way) => way.call(request.build().map_err(incomplete)?).await,
            None => Box::pin(request.send_with(&self.client)).await,
        };
        let answer = answer.map_err(failure)?;
        Ok(entry_results(count, answer.successful.into_iter().map(|entry| entry.id), answer.failed))
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), QueueError> {
        let queue = self.find_dead_letter_queue().await?;
        let deduplication_id = name::is_fifo(&queue.arn.name).then(|| letter.delivery.message_id.as_ref().to_owned());
        let mut request = self
            .client
            .send_message()
            .queue_url(queue.url)
            .message_body(letter.payload.received_body())
            .set_message_group_id(letter.delivery.group.as_deref().map(str::to_owned))
            .set_message_deduplication_id(deduplication_id);
        for (name, attribute) in letter::attributes(&letter) {
            request = request.message_attributes(name, messages::attribute_value(attribute)?);
        }
        let result = Box::pin(request.send()).await.map_err(failure);
        if result.as_ref().is_err_and(|error| error.kind == ErrorKind::NotFound) {
            // It is looked for anew next time.
            self.known_dead_letter_queue().take();
        }
        result.map(drop)
    }
}

async fn find_url(client: &Client, name: &str, account: Option<&str>) -> Result<String, QueueError> {
    let request = client.get_queue_url().queue_name(name).set_queue_owner_aws_account_id(account.map(str::to_owned));
    let answer = request.send().await.map_err(failure)?;
    answer.queue_url.ok_or_else(|| QueueError::new(ErrorKind::Unavailable, "SQS gave no URL of the queue"))
}

#[cfg(test)]
mod tests;
