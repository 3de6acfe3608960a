//! A queue's redrive policy and the dead-letter queue that it names.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::{ErrorKind, QueueError, Redrive};
use super::address::QueueArn;

/// A redrive policy, read (SQS API reference, `SetQueueAttributes`, `RedrivePolicy`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) dead_letter_queue: QueueArn,
    max_receive_count: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    dead_letter_target_arn: String,
    max_receive_count: Count,
}

/// SQS keeps the count as it was written: as a number or as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u32),
    Text(String),
    Other(IgnoredAny),
}

impl Policy {
    pub(super) fn parse(text: &str) -> Result<Self, QueueError> {
        let unreadable = || QueueError::new(ErrorKind::Invalid, format!("a redrive policy that can't be read: {text}"));
        let json: Json = serde_json::from_str(text).map_err(|_| unreadable())?;
        let max_receive_count = match json.max_receive_count {
            Count::Number(count) => Some(count),
            Count::Text(count) => count.parse().ok(),
            Count::Other(_) => None,
        };
        Ok(Self {
            dead_letter_queue: json.dead_letter_target_arn.parse().map_err(|_| unreadable())?,
            max_receive_count: max_receive_count.ok_or_else(unreadable)?,
        })
    }

    pub(super) fn into_redrive(self) -> Redrive {
        Redrive { dead_letter_queue: self.dead_letter_queue.name, max_receive_count: self.max_receive_count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_may_be_a_number_or_a_string() {
        for count in ["5", "\"5\""] {
            let arn = "arn:aws:sqs:us-east-1:000000000000:messages-dlq";
            let text = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{count}}}"#);
            let policy = Policy::parse(&text).unwrap();
            assert_eq!(policy.dead_letter_queue.account, "000000000000");
            let redrive = Redrive { dead_letter_queue: "messages-dlq".to_owned(), max_receive_count: 5 };
            assert_eq!(policy.into_redrive(), redrive);
        }
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_an_error_that_shows_it() {
        for text in ["", "{}", r#"{"deadLetterTargetArn":"x","maxReceiveCount":5}"#, "5"] {
            let error = Policy::parse(text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid);
            assert!(error.message.contains(text), "{error}");
        }
    }
}
