//! Checks of a queue and its dead-letter queue, by what SQS says of them.

use std::time::Duration;

use upbeat_service::doctor::Check;

use super::advice;
use crate::options::Options;
use crate::queue::sqs::QueueAttributes;
use crate::queue::{ErrorKind, QueueError};

/// Below this a hiccup of the network costs the lease: it is extended with a margin of seconds.
const SHORT_VISIBILITY: Duration = Duration::from_secs(5);

/// How long SQS keeps a message if nobody says (SQS API reference, `MessageRetentionPeriod`).
const DEFAULT_RETENTION: Duration = Duration::from_hours(4 * 24);

pub(super) fn found(name: &str, attributes: &QueueAttributes) -> Check {
    let kind = if attributes.is_fifo() { "FIFO" } else { "standard" };
    let counts = attributes.counts();
    let (waiting, in_flight, delayed) = (counts.waiting, counts.in_flight, counts.delayed);
    Check::ok("queue", format!("{name}, {kind}: {waiting} waiting, {in_flight} in flight, {delayed} delayed"))
}

/// The consumer leases for the shorter of its own lease and the queue's timeout, and extends while the handler runs.
pub(super) fn visibility(attributes: &QueueAttributes, options: &Options) -> Check {
    let what = "visibility";
    let timeout = attributes.seconds("VisibilityTimeout").unwrap_or(Duration::from_secs(30));
    let lease = options.lease.min(timeout);
    let written = humantime::format_duration;
    let handler = written(options.handler_timeout);
    if timeout < SHORT_VISIBILITY {
        return Check::warn(
            what,
            format!("timeout {}, too short to be extended in time while a handler runs", written(timeout)),
            "set VisibilityTimeout to 30 seconds or more",
        );
    }
    let detail = format!("timeout {}, lease {}", written(timeout), written(lease));
    Check::ok(what, format!("{detail}, extended while a handler runs, for {handler} at most"))
}

pub(super) fn encryption(attributes: &QueueAttributes) -> Check {
    let what = "encryption";
    match attributes.get("KmsMasterKeyId") {
        Some(key) if key.ends_with("alias/aws/sqs") => Check::fail(
            what,
            "by the key that AWS manages (alias/aws/sqs), with which SNS can't deliver",
            "use SSE-SQS (SqsManagedSseEnabled), or a key of your own whose policy lets SNS use it",
        ),
        Some(key) => Check::warn(
            what,
            format!("by the KMS key {key}, whose policy is not checked"),
            "its policy must allow kms:GenerateDataKey and kms:Decrypt to sns.amazonaws.com, and kms:Decrypt to the consumer",
        ),
        None if attributes.get("SqsManagedSseEnabled") == Some("true") => Check::ok(what, "by SQS itself"),
        None => Check::ok(what, "none"),
    }
}

pub(super) fn no_dead_letter_queue(attributes: &QueueAttributes) -> Check {
    let retention = humantime::format_duration(retention(attributes));
    Check::warn(
        "dead letters",
        format!(
            "no dead-letter queue: a message that always fails comes back until it is {retention} old, then it is lost"
        ),
        "make a queue for them and name it in the RedrivePolicy, with maxReceiveCount 5 or so",
    )
}

pub(super) fn max_receive_count(count: u32) -> Check {
    let what = "maxReceiveCount";
    if count <= 1 {
        Check::warn(
            what,
            format!("{count}: one crash, one release or one peek sends a message to the dead-letter queue unhandled"),
            "set maxReceiveCount in the RedrivePolicy to 5 or so",
        )
    } else {
        Check::ok(what, count.to_string())
    }
}

pub(super) fn unreachable_dead_letter_queue(name: &str, error: &QueueError) -> Check {
    let what = "dead letters";
    match error.kind {
        ErrorKind::NotFound => Check::fail(
            what,
            format!("{name} does not exist: messages that fail too often have nowhere to go"),
            format!("make the queue {name}, or name another in the RedrivePolicy"),
        ),
        ErrorKind::AccessDenied => Check::warn(
            what,
            format!("{name}: {error}"),
            "allow sqs:GetQueueUrl, sqs:GetQueueAttributes and sqs:SendMessage on it; rejected messages are sent there",
        ),
        kind => Check::fail(what, format!("{name}: {error}"), advice(kind)),
    }
}

pub(super) fn dead_letter_queue(name: &str, queue: &QueueAttributes, dead: &QueueAttributes) -> Vec<Check> {
    let what = "dead letters";
    let kind = |fifo| if fifo { "FIFO" } else { "standard" };
    let mut checks = Vec::new();
    let total = dead.counts().total();
    if queue.is_fifo() != dead.is_fifo() {
        checks.push(Check::fail(
            what,
            format!("{name} is {}, the queue is {}", kind(dead.is_fifo()), kind(queue.is_fifo())),
            "name a dead-letter queue of the same type in the RedrivePolicy",
        ));
    } else if total > 0 {
        let held = if total == 1 { "1 message".to_owned() } else { format!("{total} messages") };
        let advice = "see `consumer peek --dead-letters`, then `consumer redrive` or `consumer purge --dead-letters`";
        checks.push(Check::warn(what, format!("{name} holds {held}"), advice));
    } else {
        checks.push(Check::ok(what, format!("{name}, empty")));
    }
    checks.push(retentions(queue, dead));
    checks
}

/// A message keeps its age on its way into a standard dead-letter queue, and starts anew in a FIFO one
/// (SQS Developer Guide, "Dead-letter queues").
fn retentions(queue: &QueueAttributes, dead: &QueueAttributes) -> Check {
    let (of_queue, of_dead) = (retention(queue), retention(dead));
    let written = humantime::format_duration;
    let detail = format!("{} in the queue, {} in the dead-letter queue", written(of_queue), written(of_dead));
    let enough = if queue.is_fifo() { of_dead >= of_queue } else { of_dead > of_queue };
    if enough {
        Check::ok("retention", detail)
    } else {
        let why = if queue.is_fifo() { "" } else { ", where a message keeps its age" };
        let advice = "set MessageRetentionPeriod of the dead-letter queue to 14 days (1209600)";
        Check::warn("retention", format!("{detail}{why}"), advice)
    }
}

fn retention(attributes: &QueueAttributes) -> Duration {
    attributes.seconds("MessageRetentionPeriod").unwrap_or(DEFAULT_RETENTION)
}

#[cfg(test)]
mod tests {
    use upbeat_service::doctor::Level;

    use super::*;

    fn attributes<const N: usize>(pairs: [(&str, &str); N]) -> QueueAttributes {
        pairs.into_iter().collect()
    }

    #[track_caller]
    fn assert_check(check: &Check, level: Level, detail: &str, advice: &str) {
        assert_eq!(check.level, level, "{check:?}");
        assert!(check.detail.contains(detail), "{check:?}");
        assert!(check.advice.as_deref().unwrap_or_default().contains(advice), "{check:?}");
    }

    #[test]
    fn a_visibility_timeout_that_cannot_be_extended_in_time_is_a_warning() {
        let check = |seconds| visibility(&attributes([("VisibilityTimeout", seconds)]), &Options::default());
        assert_check(&check("0"), Level::Warn, "too short", "VisibilityTimeout");
        assert_check(&check("4"), Level::Warn, "too short", "VisibilityTimeout");
        assert_check(&check("5"), Level::Ok, "lease 5s", "");
        assert_check(&check("3600"), Level::Ok, "timeout 1h, lease 30s", "");
    }

    #[test]
    fn the_key_that_aws_manages_is_a_fault_and_one_of_your_own_is_to_be_looked_at() {
        let check = |key| encryption(&attributes([("KmsMasterKeyId", key)]));
        assert_check(&check("alias/aws/sqs"), Level::Fail, "can't deliver", "SSE-SQS");
        assert_check(&check("alias/mine"), Level::Warn, "alias/mine", "sns.amazonaws.com");
        assert_check(&encryption(&attributes([])), Level::Ok, "none", "");
    }

    #[test]
    fn no_dead_letter_queue_is_a_warning_that_says_what_becomes_of_messages() {
        let check = no_dead_letter_queue(&attributes([("MessageRetentionPeriod", "86400")]));
        assert_check(&check, Level::Warn, "1day old", "RedrivePolicy");
    }

    #[test]
    fn a_single_receive_is_a_warning() {
        assert_check(&max_receive_count(1), Level::Warn, "unhandled", "maxReceiveCount");
        assert_check(&max_receive_count(2), Level::Ok, "2", "");
    }

    #[test]
    fn a_dead_letter_queue_that_is_missing_is_a_fault_and_one_that_is_hidden_a_warning() {
        let check = |kind| unreachable_dead_letter_queue("dead", &QueueError::new(kind, "why"));
        assert_check(&check(ErrorKind::NotFound), Level::Fail, "does not exist", "make the queue dead");
        assert_check(&check(ErrorKind::AccessDenied), Level::Warn, "why", "sqs:SendMessage");
        assert_check(&check(ErrorKind::Timeout), Level::Fail, "why", "AWS_ENDPOINT_URL");
    }

    #[test]
    fn a_dead_letter_queue_of_the_other_type_is_a_fault() {
        let fifo = attributes([("FifoQueue", "true")]);
        assert_check(
            &dead_letter_queue("dead", &fifo, &attributes([]))[0],
            Level::Fail,
            "the queue is FIFO",
            "same type",
        );
        assert_check(&dead_letter_queue("dead", &attributes([]), &fifo)[0], Level::Fail, "dead is FIFO", "same type");
    }

    #[test]
    fn dead_letters_are_a_warning_that_names_the_tools() {
        let dead = attributes([("ApproximateNumberOfMessages", "3")]);
        let checks = dead_letter_queue("dead", &attributes([]), &dead);
        assert_check(&checks[0], Level::Warn, "dead holds 3 messages", "consumer redrive");
    }

    #[test]
    fn dead_letters_must_be_kept_longer_or_as_long_where_their_age_starts_anew() {
        let kept = |fifo, queue, dead| {
            let queue = attributes([("FifoQueue", fifo), ("MessageRetentionPeriod", queue)]);
            let dead = attributes([("FifoQueue", fifo), ("MessageRetentionPeriod", dead)]);
            retentions(&queue, &dead)
        };
        assert_check(&kept("false", "345600", "1209600"), Level::Ok, "14days", "");
        assert_check(&kept("false", "345600", "345600"), Level::Warn, "keeps its age", "1209600");
        assert_check(&kept("true", "345600", "345600"), Level::Ok, "", "");
        assert_check(&kept("true", "345600", "60"), Level::Warn, "1m", "1209600");
    }
}
