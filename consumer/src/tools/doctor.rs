//! Whether all that a consumer needs is there and fits together.

mod policy;
mod queue;
mod topic;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use upbeat_service::doctor::{Check, Clock, Report, aws};

use super::{advice, limited};
use crate::options::Options;
use crate::queue::sqs::{QueueAttributes, SqsQueue};
use crate::queue::{Batch, ErrorKind, Queue, QueueError, ReceiptHandle};
use crate::settings::Settings;
use topic::Address;

/// Check credentials, topic, subscription, queue and dead-letter queue, and say what to do
///
/// Looks at region, credentials, endpoint, queue, permissions, policy, subscription, dead-letter queue, visibility timeout and clock,
/// and prints a line for each: ok, warn or FAIL, what it saw, and what to do about it. It changes nothing and receives nothing.
/// Each request is tried once, for 10 seconds at most.
///
/// Exit codes: 0 no fault, 1 a fault.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Topic that should deliver to the queue: a name or an ARN [default: the one that the queue's policy names]
    #[arg(long, env = "TOPIC", value_name = "TOPIC")]
    topic: Option<Address>,
}

pub(super) async fn doctor(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut report = Report::stdout();
    let examined = Box::pin(examine(arguments, settings, &mut report)).await;
    examined.and_then(|()| report.finish()).context("cannot write the report")
}

async fn examine<W: Write>(arguments: &Arguments, settings: &Settings, report: &mut Report<W>) -> io::Result<()> {
    let Some(config) = aws(report, &["SQS", "SNS"]).await? else { return Ok(()) };
    let clock = Clock::default();
    let sqs = aws_sdk_sqs::config::Builder::from(&config).interceptor(clock.clone()).build();
    let address = &settings.consumer.queue;
    let found = limited(async {
        let queue = SqsQueue::find(sqs, address).await?;
        let attributes = queue.all_attributes().await?;
        Ok((queue, attributes))
    });
    let found = found.await;
    if let Some(check) = clock.check() {
        report.add(&check)?;
    }
    let (queue, attributes) = match found {
        Ok(found) => found,
        Err(error) => return report.add(&unreachable(&address.to_string(), &error)),
    };
    report.add(&queue::found(queue.name(), &attributes))?;
    report.add(&permissions(&queue).await)?;
    for check in queue_checks(&queue, &attributes, &settings.options()).await {
        report.add(&check)?;
    }
    let topic = topic::find(&config, arguments.topic.as_ref(), &attributes).await;
    for check in topic::checks(&config, topic, &attributes).await {
        report.add(&check)?;
    }
    Ok(())
}

fn unreachable(queue: &str, error: &QueueError) -> Check {
    let needs = match error.kind {
        ErrorKind::AccessDenied => "; it must allow sqs:GetQueueUrl and sqs:GetQueueAttributes",
        _ => "",
    };
    Check::fail("queue", format!("{queue}: {error}"), format!("{}{needs}", advice(error.kind)))
}

async fn queue_checks(queue: &SqsQueue, attributes: &QueueAttributes, options: &Options) -> Vec<Check> {
    let mut checks = vec![queue::visibility(attributes, options), queue::encryption(attributes)];
    match attributes.redrive() {
        None => checks.push(queue::no_dead_letter_queue(attributes)),
        Some(Err(error)) => {
            checks.push(Check::fail("dead letters", error.to_string(), "set a RedrivePolicy that SQS can read"));
        }
        Some(Ok(redrive)) => {
            checks.push(queue::max_receive_count(redrive.max_receive_count));
            let dead = limited(async { queue.dead_letter_queue().await?.all_attributes().await }).await;
            match dead {
                Ok(dead) => checks.extend(queue::dead_letter_queue(&redrive.dead_letter_queue, attributes, &dead)),
                Err(error) => checks.push(queue::unreachable_dead_letter_queue(&redrive.dead_letter_queue, &error)),
            }
        }
    }
    checks
}

/// Asks for what can do no harm: a receipt handle that nobody has. A real receive would hide messages.
async fn permissions(queue: &SqsQueue) -> Check {
    let nobodys = || ReceiptHandle("nobody-has-this-receipt-handle".to_owned());
    let deleted = limited(queue.delete(Batch::from_iter([nobodys()]))).await;
    let hidden = limited(queue.change_visibility(Batch::from_iter([(nobodys(), Duration::ZERO)]))).await;
    let denied = |result: &Result<crate::queue::EntryResults, QueueError>| match result {
        Ok(results) => {
            results.iter().filter_map(|result| result.as_ref().err()).any(|e| e.reason.contains("AccessDenied"))
        }
        Err(error) => error.kind == ErrorKind::AccessDenied,
    };
    let tried = [("sqs:DeleteMessage", denied(&deleted)), ("sqs:ChangeMessageVisibility", denied(&hidden))];
    let denied: Vec<_> = tried.iter().filter(|(_, denied)| *denied).map(|(action, _)| *action).collect();
    if denied.is_empty() {
        Check::ok("permissions", "delete and change of visibility allowed; receive not tried, it would hide messages")
    } else {
        let denied = denied.join(" and ");
        Check::fail(
            "permissions",
            format!("{denied} denied"),
            "allow it, and sqs:ReceiveMessage, in the consumer's IAM policy",
        )
    }
}
