//! Checks of the topic that is to deliver to the queue, and of its subscription.

use std::collections::HashMap;
use std::str::FromStr;

use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::Subscription;
use tokio::time::timeout;
use upbeat_service::aws::describe;
use upbeat_service::doctor::Check;

use super::super::CALL_TIMEOUT;
use super::policy;
use crate::queue::sqs::QueueAttributes;

const SUBSCRIPTION: &str = "subscription";

/// The name or ARN of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(String);

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = match text.split(':').collect::<Vec<_>>()[..] {
            [name] | ["arn", _, "sns", _, _, name] => name,
            _ => "",
        };
        let stem = name.strip_suffix(".fifo").unwrap_or(name);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if stem.is_empty() || !stem.bytes().all(allowed) {
            return Err("not a topic's name or ARN, such as messages or arn:aws:sns:us-east-1:123456789012:messages");
        }
        Ok(Self(text.to_owned()))
    }
}

/// The ARN of the topic to look at, or what to say where there is none.
pub(super) async fn find(
    config: &SdkConfig,
    wanted: Option<&Address>,
    queue: &QueueAttributes,
) -> Result<String, Check> {
    let arn = match wanted {
        Some(Address(arn)) if arn.contains(':') => arn.clone(),
        Some(Address(name)) => {
            let found = timeout(CALL_TIMEOUT, arn_of_name(&Client::new(config), name)).await;
            let found = found.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            let advice = "allow sns:ListTopics, or give the topic's ARN";
            let found = found.map_err(|error| Check::fail("topic", format!("{name}: {error}"), advice))?;
            let missing =
                || Check::fail("topic", format!("no topic is named {name}"), "make it, or name another with --topic");
            found.ok_or_else(missing)?
        }
        None => policy::topics(queue.get("Policy")).into_iter().next().ok_or_else(|| {
            let advice = "name it with --topic, to have policy and subscription checked";
            Check::warn("topic", "not known: the queue's policy names none", advice)
        })?,
    };
    Ok(arn)
}

async fn arn_of_name(client: &Client, name: &str) -> Result<Option<String>, String> {
    let mut pages = client.list_topics().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| describe(&error))?;
        let found =
            page.topics().iter().filter_map(|topic| topic.topic_arn()).find(|arn| arn.rsplit(':').next() == Some(name));
        if let Some(arn) = found {
            return Ok(Some(arn.to_owned()));
        }
    }
    Ok(None)
}

/// Topic, policy and subscription.
pub(super) async fn checks(config: &SdkConfig, topic: Result<String, Check>, queue: &QueueAttributes) -> Vec<Check> {
    let topic = match topic {
        Ok(topic) => topic,
        Err(check) => return vec![check],
    };
    let client = Client::new(config);
    let policy = policy::check(queue.get("Policy"), queue.arn(), &topic);
    let subscription = timeout(CALL_TIMEOUT, subscription(&client, &topic, queue.arn())).await;
    let subscription = match subscription.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
        Ok(found) => found,
        Err(error) if error.starts_with("NotFound") => {
            let advice = "make it, or name another with --topic";
            return vec![Check::fail("topic", format!("{topic}: {error}"), advice), policy];
        }
        Err(error) => {
            let advice =
                "allow sns:ListSubscriptionsByTopic and sns:GetSubscriptionAttributes, and see that SNS can be reached";
            return vec![Check::ok("topic", topic), policy, Check::warn(SUBSCRIPTION, error, advice)];
        }
    };
    let mut checks = vec![Check::ok("topic", topic.clone()), policy];
    match subscription {
        None => checks.push(not_subscribed(&topic, queue.arn())),
        Some((subscription, attributes)) => checks.extend(subscribed(&subscription, &attributes)),
    }
    checks
}

type Found = Option<(Subscription, HashMap<String, String>)>;

async fn subscription(client: &Client, topic: &str, queue: &str) -> Result<Found, String> {
    let mut pages = client.list_subscriptions_by_topic().topic_arn(topic).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| describe(&error))?;
        let is_ours = |it: &&Subscription| it.protocol() == Some("sqs") && it.endpoint() == Some(queue);
        let Some(found) = page.subscriptions().iter().find(is_ours) else { continue };
        let arn = found.subscription_arn().unwrap_or_default();
        if !is_confirmed(arn) {
            return Ok(Some((found.clone(), HashMap::new())));
        }
        let attributes = client.get_subscription_attributes().subscription_arn(arn).send().await;
        let attributes = attributes.map_err(|error| describe(&error))?.attributes.unwrap_or_default();
        return Ok(Some((found.clone(), attributes)));
    }
    Ok(None)
}

fn is_confirmed(arn: &str) -> bool {
    arn.starts_with("arn:")
}

fn not_subscribed(topic: &str, queue: &str) -> Check {
    Check::fail(
        SUBSCRIPTION,
        "the queue is not subscribed to the topic",
        format!(
            "aws sns subscribe --topic-arn {topic} --protocol sqs --notification-endpoint {queue} --attributes RawMessageDelivery=true"
        ),
    )
}

fn subscribed(subscription: &Subscription, attributes: &HashMap<String, String>) -> Vec<Check> {
    let arn = subscription.subscription_arn().unwrap_or_default();
    let is = |name: &str| attributes.get(name).map(String::as_str) == Some("true");
    if !is_confirmed(arn) || is("PendingConfirmation") {
        let advice = "confirm it from the queue's account, or subscribe again with that account's credentials";
        return vec![Check::fail(SUBSCRIPTION, "waits for its confirmation, so nothing is delivered", advice)];
    }
    let filter = attributes.get("FilterPolicy").filter(|filter| !matches!(filter.as_str(), "" | "{}"));
    let filter = filter.map_or_else(String::new, |filter| format!("; only what matches the filter policy {filter}"));
    vec![
        Check::ok(SUBSCRIPTION, format!("{arn}{filter}")),
        if is("RawMessageDelivery") {
            Check::ok("raw delivery", "on")
        } else {
            let advice = "set the subscription's RawMessageDelivery to true, unless something else needs the envelope";
            Check::warn(
                "raw delivery",
                "off: messages come in SNS's envelope, which is opened, and are larger for it",
                advice,
            )
        },
    ]
}

#[cfg(test)]
mod tests {
    use upbeat_service::doctor::Level;

    use super::*;

    fn checked(arn: &str, attributes: &[(&str, &str)]) -> Vec<Check> {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        subscribed(&Subscription::builder().subscription_arn(arn).build(), &attributes)
    }

    #[test]
    fn a_raw_subscription_is_fine_and_an_enveloped_one_a_warning() {
        let raw = checked("arn:aws:sns:x", &[("RawMessageDelivery", "true"), ("FilterPolicy", "{\"a\":[1]}")]);
        assert!(raw.iter().all(|check| check.level == Level::Ok), "{raw:?}");
        assert!(raw[0].detail.contains("{\"a\":[1]}"), "{raw:?}");
        let enveloped = checked("arn:aws:sns:x", &[("RawMessageDelivery", "false")]);
        assert_eq!(enveloped[1].level, Level::Warn);
        assert!(enveloped[1].advice.as_deref().unwrap().contains("RawMessageDelivery"));
    }

    #[test]
    fn a_subscription_that_waits_for_confirmation_delivers_nothing() {
        assert_eq!(checked("PendingConfirmation", &[])[0].level, Level::Fail);
        assert_eq!(checked("arn:aws:sns:x", &[("PendingConfirmation", "true")])[0].level, Level::Fail);
    }

    #[test]
    fn a_queue_that_is_not_subscribed_is_a_fault_with_the_command_that_subscribes_it() {
        let check = not_subscribed("topic", "queue");
        assert_eq!(check.level, Level::Fail);
        assert!(check.advice.unwrap().contains("--topic-arn topic --protocol sqs --notification-endpoint queue"));
    }

    #[test]
    fn a_topic_is_named_by_its_name_or_its_arn() {
        for good in ["messages", "a_b-1.fifo", "arn:aws:sns:us-east-1:000000000000:messages"] {
            assert!(good.parse::<Address>().is_ok(), "{good}");
        }
        for bad in ["", "a b", ".fifo", "arn:aws:sqs:us-east-1:000000000000:messages", "http://x/y"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
