//! How a queue is named by who runs the consumer.

use std::fmt;
use std::str::FromStr;

use super::super::name;

/// A queue's URL, name or ARN, as far as it can be checked without asking SQS.
///
/// ```
/// use upbeat_consumer::queue::sqs::QueueAddress;
///
/// for address in ["messages", "messages.fifo", "https://sqs.eu-west-1.amazonaws.com/123456789012/messages"] {
///     assert!(address.parse::<QueueAddress>().is_ok());
/// }
/// assert!("my messages".parse::<QueueAddress>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAddress(pub(super) Form);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Url(String),
    Name(String),
    Arn(QueueArn),
}

/// What says where a queue is and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueueArn {
    text: String,
    pub(super) account: String,
    pub(super) name: String,
}

/// Text that can't be the address of a queue; says what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidQueueAddress(&'static str);

const INVALID_URL: InvalidQueueAddress = InvalidQueueAddress(
    "not the URL of a queue, such as https://sqs.us-east-1.amazonaws.com/123456789012/messages; \
     a queue's name does, too",
);
const INVALID_ARN: InvalidQueueAddress = InvalidQueueAddress(
    "not the ARN of a queue, such as arn:aws:sqs:us-east-1:123456789012:messages; a queue's name or URL does, too",
);
const INVALID_NAME: InvalidQueueAddress = InvalidQueueAddress(
    "not the name of a queue: up to 80 letters, digits, - and _, with .fifo at the end if the queue is FIFO; \
     a queue's URL does, too",
);

impl QueueAddress {
    /// The queue's name, which is the last part of a URL or ARN.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.0 {
            Form::Url(url) => name_in_url(url),
            Form::Name(name) => name,
            Form::Arn(arn) => &arn.name,
        }
    }
}

impl FromStr for QueueAddress {
    type Err = InvalidQueueAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("://") {
            if is_url(text) { Ok(Self(Form::Url(text.to_owned()))) } else { Err(INVALID_URL) }
        } else if text.starts_with("arn:") {
            text.parse().map(|arn| Self(Form::Arn(arn)))
        } else if name::is_valid(text) {
            Ok(Self(Form::Name(text.to_owned())))
        } else {
            Err(INVALID_NAME)
        }
    }
}

impl FromStr for QueueArn {
    type Err = InvalidQueueAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<_> = text.split(':').collect();
        let ["arn", _partition, "sqs", _region, account, name] = parts[..] else { return Err(INVALID_ARN) };
        let is_account = !account.is_empty() && account.bytes().all(|digit| digit.is_ascii_digit());
        if !is_account || !name::is_valid(name) {
            return Err(INVALID_ARN);
        }
        Ok(Self { text: text.to_owned(), account: account.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for QueueAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match &self.0 {
            Form::Url(url) => url,
            Form::Name(name) => name,
            Form::Arn(arn) => &arn.text,
        })
    }
}

pub(super) fn name_in_url(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host_and_path = rest.and_then(|rest| rest.split_once('/'));
    host_and_path.is_some_and(|(host, path)| {
        !host.is_empty() && !text.contains(char::is_whitespace) && name::is_valid(name_in_url(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_names_and_arns_are_addresses_and_carry_the_name() {
        for (text, name) in [
            ("messages", "messages"),
            ("A-b_9.fifo", "A-b_9.fifo"),
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/messages", "messages"),
            ("http://127.0.0.1:4566/queue/us-east-1/000000000000/messages.fifo", "messages.fifo"),
            ("http://localhost:4566/000000000000/a", "a"),
            ("arn:aws:sqs:us-east-1:123456789012:messages", "messages"),
            ("arn:aws-cn:sqs:cn-north-1:123456789012:messages.fifo", "messages.fifo"),
        ] {
            let address: QueueAddress = text.parse().unwrap();
            assert_eq!(address.name(), name);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn an_arn_gives_the_account_of_the_queue() {
        let address: QueueAddress = "arn:aws:sqs:us-east-1:123456789012:messages".parse().unwrap();
        assert!(matches!(address.0, Form::Arn(QueueArn { account, .. }) if account == "123456789012"));
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_with_what_would_do() {
        let too_long = "q".repeat(81);
        for text in ["", ".fifo", "a b", "a.b", "messages.FIFO", "ä", "a/b", "-\n", too_long.as_str()] {
            assert_eq!(text.parse::<QueueAddress>(), Err(INVALID_NAME), "{text:?}");
        }
        for text in ["ftp://host/a", "https://", "https://host", "https://host/", "https:///a", "https://h/a b", "://"]
        {
            assert_eq!(text.parse::<QueueAddress>(), Err(INVALID_URL), "{text:?}");
        }
        for text in [
            "arn:",
            "arn:aws:sns:us-east-1:1:a",
            "arn:aws:sqs:us-east-1::a",
            "arn:aws:sqs:us-east-1:1:",
            "arn:aws:sqs:r:1:a:b",
        ] {
            assert_eq!(text.parse::<QueueAddress>(), Err(INVALID_ARN), "{text:?}");
        }
    }
}
