//! The publisher that is SNS.

use std::collections::HashMap;

use aws_sdk_sns::Client;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sns::operation::publish_batch::{PublishBatchError, PublishBatchInput, PublishBatchOutput};
use aws_sdk_sns::primitives::Blob;
use aws_sdk_sns::types::{BatchResultErrorEntry, MessageAttributeValue, PublishBatchRequestEntry};
use upbeat_service::aws::{ShortWay, describe};

use crate::batch::Batch;
use crate::entry::{Entry, ID};
use crate::message::Attribute;
use crate::publisher::{Description, Fault, FaultKind, Publisher, Receipt, Receipts};

/// Publishes to one SNS topic by `PublishBatch`.
#[derive(Clone, Debug)]
pub struct Sns {
    client: Client,
    publish: Option<ShortWay>,
    arn: String,
    description: Description,
}

impl Sns {
    /// The topic of this ARN. [`Topic::connect`](crate::Topic::connect) finds out the description.
    #[must_use]
    pub const fn new(client: Client, arn: String, description: Description) -> Self {
        Self { client, publish: None, arn, description }
    }

    /// By way of this call where that is possible.
    #[must_use]
    pub(crate) fn by(self, publish: ShortWay) -> Self {
        Self { publish: Some(publish), ..self }
    }

    /// The topic's ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }
}

impl Publisher for Sns {
    fn describe(&self) -> Description {
        self.description.clone()
    }

    async fn publish_batch(&self, batch: &Batch) -> Result<Receipts, Fault> {
        let entries = batch.entries().iter().enumerate().map(|(position, entry)| request_entry(position, entry));
        let entries = entries.collect::<Result<_, _>>().map_err(|error| Fault::refused(error.to_string()))?;
        let request =
            PublishBatchInput::builder().topic_arn(&self.arn).set_publish_batch_request_entries(Some(entries));
        let answer = match self.publish.as_ref().and_then(ShortWay::get) {
            Some(way) => way.call(request.build().map_err(|error| Fault::refused(error.to_string()))?).await,
            // Boxed: the SDK's futures are large, and whatever awaits them is moved with them.
            None => Box::pin(request.send_with(&self.client)).await,
        };
        Ok(receipts(batch, answer.map_err(|error| fault_of_call(&error))?))
    }
}

/// Entries are numbered by their position, so that no two ids in a batch can be the same.
fn request_entry(position: usize, entry: &Entry) -> Result<PublishBatchRequestEntry, aws_sdk_sns::error::BuildError> {
    let mut attributes = HashMap::with_capacity(entry.attributes().len() + 1);
    attributes.insert(ID.to_owned(), attribute("String").string_value(entry.id().to_string()).build()?);
    for (name, value) in entry.attributes() {
        let typed = attribute(value.data_type());
        let typed = match value {
            Attribute::Binary(bytes) => typed.binary_value(Blob::new(bytes.as_slice())),
            Attribute::String(text) | Attribute::Number(text) | Attribute::StringArray(text) => {
                typed.string_value(text.as_str())
            }
        };
        attributes.insert(name.clone(), typed.build()?);
    }
    PublishBatchRequestEntry::builder()
        .id(position.to_string())
        .message(entry.body())
        .set_message_attributes(Some(attributes))
        .set_subject(entry.subject().map(str::to_owned))
        .set_message_group_id(entry.group_id().map(ToString::to_string))
        .set_message_deduplication_id(entry.deduplication_id().map(str::to_owned))
        .build()
}

fn attribute(data_type: &str) -> aws_sdk_sns::types::builders::MessageAttributeValueBuilder {
    MessageAttributeValue::builder().data_type(data_type)
}

/// The answer names entries by their ids, in an order of its own.
fn receipts(batch: &Batch, answer: PublishBatchOutput) -> Receipts {
    let missing = || Err(Fault::unavailable("the answer has no result for it"));
    let mut receipts: Receipts = batch.entries().iter().map(|_| missing()).collect();
    let mut set = |id: Option<&str>, result| {
        if let Some(receipt) = id.and_then(|id| id.parse::<usize>().ok()).and_then(|at| receipts.get_mut(at)) {
            *receipt = result;
        }
    };
    for entry in answer.successful.unwrap_or_default() {
        let (message_id, sequence_number) = (entry.message_id.unwrap_or_default(), entry.sequence_number);
        set(entry.id.as_deref(), Ok(Receipt { message_id, sequence_number }));
    }
    for entry in answer.failed.unwrap_or_default() {
        set(Some(&entry.id), Err(fault_of_entry(&entry)));
    }
    receipts
}

fn fault_of_entry(entry: &BatchResultErrorEntry) -> Fault {
    let reason = format!("{}: {}", entry.code, entry.message.as_deref().unwrap_or("no message"));
    let kind = match kind_of_code(&entry.code) {
        // Throttling is blamed on the sender, too; a code that is not known is taken as it is meant.
        Some(kind) => kind,
        None if entry.sender_fault => FaultKind::Refused,
        None => FaultKind::Unavailable,
    };
    Fault { kind, reason }
}

fn fault_of_call(error: &SdkError<PublishBatchError>) -> Fault {
    let kind = match error {
        SdkError::ServiceError(context) => context.err().code().and_then(kind_of_code),
        _ => None,
    };
    Fault { kind: kind.unwrap_or(FaultKind::Unavailable), reason: describe(error) }
}

/// What the codes that SNS documents for `PublishBatch` call for. All else, such as a topic that is not there, a key
/// that is disabled or credentials that are not valid, can be put right while we wait.
fn kind_of_code(code: &str) -> Option<FaultKind> {
    match code {
        "InvalidParameter"
        | "InvalidParameterValue"
        | "ParameterValueInvalid"
        | "ValidationError"
        | "ValidationException"
        | "BatchRequestTooLong"
        | "InvalidMessageContents" => Some(FaultKind::Refused),
        "RequestLimitExceeded" | "TooManyRequestsException" => Some(FaultKind::Busy),
        _ if code.contains("Throttl") => Some(FaultKind::Busy),
        "NotFound" | "AuthorizationError" | "InternalError" | "InternalFailure" | "ServiceUnavailable" => {
            Some(FaultKind::Unavailable)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn batch_of(messages: impl IntoIterator<Item = Message>) -> Batch {
        let description = Description::standard("messages");
        let mut batch = Batch::new(description.max_bytes);
        for message in messages {
            assert_eq!(batch.push(Entry::check(message, &description, None).unwrap()), None);
        }
        batch
    }

    fn failed(id: &str, code: &str, sender_fault: bool) -> BatchResultErrorEntry {
        BatchResultErrorEntry::builder().id(id).code(code).sender_fault(sender_fault).build().unwrap()
    }

    #[test]
    fn results_are_put_in_the_order_of_the_batch_whatever_the_order_of_the_answer() {
        let batch = batch_of(["a", "b", "c", "d"].map(Message::new));
        let success = |id: &str| {
            aws_sdk_sns::types::PublishBatchResultEntry::builder().id(id).message_id(format!("m{id}")).build()
        };
        let answer = PublishBatchOutput::builder()
            .set_successful(Some(vec![success("3"), success("0"), success("77"), success("x")]))
            .set_failed(Some(vec![failed("2", "InvalidParameter", true)]))
            .build();
        let receipts = receipts(&batch, answer);
        let ids: Vec<_> = receipts.iter().map(|receipt| receipt.as_ref().map(|r| r.message_id.as_str())).collect();
        assert_eq!((ids[0], ids[3]), (Ok("m0"), Ok("m3")));
        assert_eq!(ids[1].unwrap_err().kind, FaultKind::Unavailable, "an entry without a result is not published");
        assert_eq!(ids[2].unwrap_err().kind, FaultKind::Refused);
    }

    #[test]
    fn throttling_is_tried_again_even_where_sns_blames_the_sender() {
        let kind = |code, sender_fault| fault_of_entry(&failed("0", code, sender_fault)).kind;
        assert_eq!(kind("Throttled", true), FaultKind::Busy);
        assert_eq!(kind("KMSThrottling", true), FaultKind::Busy);
        assert_eq!(kind("InternalError", false), FaultKind::Unavailable);
        assert_eq!(kind("SomethingNew", true), FaultKind::Refused);
        assert_eq!(kind("SomethingNew", false), FaultKind::Unavailable);
    }

    #[test]
    fn an_entry_carries_everything_that_the_message_has_and_its_id() {
        let message = Message::new("body")
            .id("my-id")
            .attribute("kind", "order")
            .attribute_value("raw", Attribute::Binary(vec![1, 2]))
            .subject("about")
            .group_id("tenant");
        let batch = batch_of([message]);
        let entry = request_entry(7, &batch.entries()[0]).unwrap();
        assert_eq!((entry.id(), entry.message(), entry.subject()), ("7", "body", Some("about")));
        assert_eq!(entry.message_group_id(), Some("tenant"));
        let attributes = entry.message_attributes().unwrap();
        assert_eq!(attributes["id"].string_value(), Some("my-id"));
        assert_eq!(attributes["kind"].string_value(), Some("order"));
        assert_eq!(attributes["raw"].binary_value().map(AsRef::as_ref), Some(&[1, 2][..]));
    }
}
