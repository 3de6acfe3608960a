//! The topic as a setting, and how it is found.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail, ensure};
use aws_config::{Region, SdkConfig};
use aws_sdk_sns::Client;
use aws_sdk_sns::operation::publish_batch::PublishBatch;
use upbeat_service::aws::{ShortWay, SigV4, describe};

use crate::publisher::{DEFAULT_MAX_BYTES, Description};
use crate::sns::Sns;

/// The most characters of a topic's name (SNS API reference, `CreateTopic`).
const MAX_NAME: usize = 256;

/// A topic, by its ARN or by its name in the account and region that the credentials are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic(Address);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    Arn(String),
    Name(String),
}

impl Topic {
    /// Whether this may be the topic of that ARN.
    pub(crate) fn may_be(&self, known: &str) -> bool {
        match &self.0 {
            Address::Arn(arn) => arn == known,
            Address::Name(name) => name == name_in(known),
        }
    }

    /// Finds the topic and what it takes; makes nothing. An ARN is asked for directly, a name is looked for among the
    /// topics of the account.
    pub async fn connect(&self, config: &SdkConfig) -> anyhow::Result<Sns> {
        self.connect_by(config.into()).await
    }

    /// As [`connect`](Self::connect), by a client that is set up so.
    pub(crate) async fn connect_by(&self, config: aws_sdk_sns::config::Builder) -> anyhow::Result<Sns> {
        // Cheaper than the SDK's own ways of signing and of making a request.
        let signing = SigV4::default();
        let publish = ShortWay::new(&PublishBatch::new(), &signing);
        let config = config.build();
        let mut builder = config.to_builder().interceptor(signing.clock_watch()).push_auth_scheme(signing);
        if config.interceptors().next().is_none() {
            builder = builder.interceptor(publish.watch());
        }
        let sns = match &self.0 {
            Address::Arn(arn) => {
                let region = Region::new(arn.split(':').nth(3).unwrap_or_default().to_owned());
                topic_of_arn(Client::from_conf(builder.region(region).build()), arn.clone()).await
            }
            Address::Name(name) => {
                let client = Client::from_conf(builder.build());
                let arn = arn_of_name(&client, name).await?;
                topic_of_arn(client, arn).await
            }
        };
        Ok(sns?.by(publish))
    }
}

async fn topic_of_arn(client: Client, arn: String) -> anyhow::Result<Sns> {
    let answer = client.get_topic_attributes().topic_arn(&arn).send().await;
    let answer = answer.map_err(|error| anyhow::anyhow!("cannot read topic {arn}: {}", describe(&error)))?;
    let attribute = |name: &str| answer.attributes().and_then(|attributes| attributes.get(name)).map(String::as_str);
    let description = Description {
        name: name_in(&arn).into(),
        fifo: attribute("FifoTopic") == Some("true"),
        content_based_deduplication: attribute("ContentBasedDeduplication") == Some("true"),
        max_bytes: match attribute("MaximumMessageSize") {
            Some(size) => size.parse().with_context(|| format!("cannot read MaximumMessageSize {size:?} of {arn}"))?,
            None => DEFAULT_MAX_BYTES,
        },
    };
    Ok(Sns::new(client, arn, description))
}

async fn arn_of_name(client: &Client, name: &str) -> anyhow::Result<String> {
    let mut pages = client.list_topics().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| anyhow::anyhow!("cannot list topics: {}", describe(&error)))?;
        let arns = page.topics().iter().filter_map(|topic| topic.topic_arn());
        if let Some(arn) = arns.into_iter().find(|arn| name_in(arn) == name) {
            return Ok(arn.to_owned());
        }
    }
    let region = client.config().region().map_or("", Region::as_ref);
    bail!("no topic is named {name} in {region}")
}

fn name_in(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

impl FromStr for Topic {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text.starts_with("arn:") {
            let parts: Vec<_> = text.split(':').collect();
            let [_, partition, "sns", region, account, name] = parts[..] else {
                bail!("an SNS topic's ARN is like arn:aws:sns:us-east-1:123456789012:messages");
            };
            let complete = !partition.is_empty() && !region.is_empty();
            let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
            ensure!(complete && is_account, "an SNS topic's ARN is like arn:aws:sns:us-east-1:123456789012:messages");
            check_name(name)?;
            Ok(Self(Address::Arn(text.to_owned())))
        } else {
            check_name(text)?;
            Ok(Self(Address::Name(text.to_owned())))
        }
    }
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = !stem.is_empty() && name.len() <= MAX_NAME && stem.bytes().all(allowed);
    ensure!(
        fits,
        "a topic's name is 1 to {MAX_NAME} letters, digits, - or _, with .fifo at its end if it is one; or give its ARN"
    );
    Ok(())
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Arn(text) | Address::Name(text) => formatter.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_an_arn_of_sns_is_taken_as_it_is() {
        for good in [
            "messages",
            "orders_2-eu.fifo",
            "arn:aws:sns:us-east-1:000000000000:messages",
            "arn:aws-cn:sns:cn-north-1:123456789012:orders.fifo",
        ] {
            assert_eq!(good.parse::<Topic>().map(|topic| topic.to_string()).ok().as_deref(), Some(good));
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_would_do() {
        for bad in ["", "a b", "orders.v2", ".fifo", "http://localhost:4566/orders", &"x".repeat(257)] {
            let why = bad.parse::<Topic>().unwrap_err().to_string();
            assert!(why.contains("letters, digits"), "{bad}: {why}");
        }
        for bad in ["arn:aws:sqs:us-east-1:000000000000:messages", "arn:aws:sns:us-east-1:messages", "arn:aws:sns::1:a"]
        {
            let why = bad.parse::<Topic>().unwrap_err().to_string();
            assert!(why.contains("arn:aws:sns:us-east-1:123456789012:messages"), "{bad}: {why}");
        }
        assert!("arn:aws:sns:us-east-1:000000000000:a/b".parse::<Topic>().is_err());
    }
}
