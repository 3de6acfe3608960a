//! The JSON envelope in which SNS delivers a message to a queue unless raw delivery is on.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;
use serde::Deserialize;

use super::attributes::{Attribute, AttributeValue, Attributes};

/// What an SNS envelope holds.
#[derive(Clone, Debug)]
pub(super) struct Notification {
    pub(super) body: String,
    pub(super) subject: Option<String>,
    pub(super) attributes: Attributes,
}

/// Amazon SNS Developer Guide, "HTTP/HTTPS notification JSON format", which queues get too.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    r#type: String,
    #[serde(rename = "TopicArn")]
    _topic_arn: String,
    message: String,
    subject: Option<String>,
    #[serde(default)]
    message_attributes: BTreeMap<String, EnvelopeAttribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EnvelopeAttribute {
    r#type: String,
    value: String,
}

impl Notification {
    /// `None` if the body is no SNS envelope: then it is the message itself, whatever it holds.
    pub(super) fn open(body: &str) -> Option<Self> {
        let can_be_one =
            body.trim_ascii_start().starts_with('{') && memmem::find(body.as_bytes(), b"\"TopicArn\"").is_some();
        if !can_be_one {
            return None;
        }
        let envelope: Envelope = serde_json::from_str(body).ok()?;
        if envelope.r#type != "Notification" {
            return None;
        }
        let attributes = envelope.message_attributes.into_iter().map(|(name, attribute)| (name, attribute.into()));
        Some(Self { body: envelope.message, subject: envelope.subject, attributes: attributes.collect() })
    }
}

impl From<EnvelopeAttribute> for Attribute {
    fn from(attribute: EnvelopeAttribute) -> Self {
        let EnvelopeAttribute { r#type: data_type, value } = attribute;
        let binary = data_type.starts_with("Binary").then(|| BASE64_STANDARD.decode(&value).ok()).flatten();
        Self { data_type, value: binary.map_or(AttributeValue::Text(value), AttributeValue::Binary) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Payload;
    use super::*;

    const ENVELOPE: &str = r#"{
        "Type" : "Notification", "MessageId" : "m", "TopicArn" : "arn:aws:sns:us-east-1:000000000000:messages",
        "Subject" : "greeting", "Message" : "{\"a\":\"ä\\n\"}", "Timestamp" : "2021-01-30T00:25:58.000Z",
        "SignatureVersion" : "1", "Signature" : "s", "SigningCertURL" : "u", "UnsubscribeURL" : "u",
        "MessageAttributes" : {
            "id" : {"Type":"String","Value":"0190"},
            "raw" : {"Type":"Binary","Value":"AAEC/w=="}
        }
    }"#;

    #[test]
    fn an_envelope_is_opened_and_kept_as_received() {
        let payload = Payload::new(ENVELOPE.to_owned(), Attributes::default());
        assert_eq!(payload.body(), "{\"a\":\"ä\\n\"}");
        assert_eq!(payload.subject(), Some("greeting"));
        assert_eq!(payload.attributes().get("id"), Some(&Attribute::string("0190")));
        assert_eq!(payload.attributes().get("raw"), Some(&Attribute::binary([0, 1, 2, 255])));
        assert_eq!(payload.received_body(), ENVELOPE);
    }

    #[test]
    fn a_body_that_is_no_envelope_is_the_message_itself() {
        let bodies = [
            "",
            " ",
            "{",
            "null",
            "\u{0}",
            "{\"TopicArn\":",
            "{\"TopicArn\":1}",
            "[\"TopicArn\"]",
            r#"{"Type":"SubscriptionConfirmation","TopicArn":"t","Message":"m"}"#,
            r#"{"Type":"Notification","Message":"m"}"#,
            r#"{"Type":"Notification","TopicArn":"t","Message":1}"#,
        ];
        for body in bodies {
            let attributes = Attributes::from_iter([("a".to_owned(), Attribute::string("b"))]);
            let payload = Payload::new(body.to_owned(), attributes.clone());
            assert_eq!(payload.body(), body);
            assert_eq!(payload.attributes(), &attributes);
        }
    }
}
