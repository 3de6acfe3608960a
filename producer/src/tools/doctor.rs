//! Whether all that a producer needs is there and fits together.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use bytesize::ByteSize;
use clap::Args;
use tokio::time::timeout;
use upbeat_service::doctor::{Check, Clock, Report, aws};

use crate::publisher::{DEFAULT_MAX_BYTES, Description, Publisher};
use crate::settings::Settings;
use crate::sns::Sns;
use crate::spool;

/// How long a request may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Check credentials, topic and spool, and say what to do
///
/// Looks at region, credentials, endpoint, clock, topic, size limit, subscriptions and spool, and prints a line for each:
/// ok, warn or FAIL, what it saw, and what to do about it. It changes nothing and publishes nothing. Each request is
/// tried once, for 10 seconds at most.
///
/// Exit codes: 0 no fault, 1 a fault.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {}

/// Exit code 0 when there is no fault, 1 when there is one.
#[must_use]
pub fn run(settings: &Settings) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime");
    runtime.and_then(|runtime| runtime.block_on(doctor(settings))).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn doctor(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut report = Report::stdout();
    let examined = Box::pin(examine(settings, &mut report)).await;
    examined.and_then(|()| report.finish()).context("cannot write the report")
}

async fn examine<W: Write>(settings: &Settings, report: &mut Report<W>) -> io::Result<()> {
    if let Some(config) = aws(report, &["SNS"]).await? {
        examine_topic(settings, &config, report).await?;
    }
    match &settings.spool {
        Some(folder) => report.add(&spool_check(folder, settings.spool_limit.0)),
        None => report.add(&Check::warn(
            "spool",
            "none: what waits in memory is lost by a crash, and an outage of SNS is told to whoever sends",
            "give it a folder with --spool, or let senders repeat what was not answered",
        )),
    }
}

async fn examine_topic<W: Write>(settings: &Settings, config: &SdkConfig, report: &mut Report<W>) -> io::Result<()> {
    let clock = Clock::default();
    let timed = aws_sdk_sns::config::Builder::from(config).interceptor(clock.clone());
    let found = timeout(CALL_TIMEOUT, settings.topic.connect_by(timed)).await;
    if let Some(check) = clock.check() {
        report.add(&check)?;
    }
    let found = found.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {CALL_TIMEOUT:?}")));
    let sns = match found {
        Ok(sns) => sns,
        Err(error) => return report.add(&unreachable(&settings.topic.to_string(), &format!("{error:#}"))),
    };
    let description = sns.describe();
    report.add(&Check::ok("topic", sns.arn()))?;
    report.add(&size_limit(&description))?;
    if description.fifo {
        report.add(&fifo(&description, settings))?;
    }
    report.add(&subscriptions(config, &sns).await)
}

fn unreachable(topic: &str, error: &str) -> Check {
    let advice = if error.contains("no topic is named") || error.contains("NotFound") {
        "make the topic, or name another with --topic; AWS_REGION and the account must be the topic's"
    } else if error.contains("AuthorizationError") || error.contains("AccessDenied") {
        "allow sns:GetTopicAttributes and, for a topic that is given by its name, sns:ListTopics"
    } else {
        "see that AWS_ENDPOINT_URL and AWS_REGION are right, and that the network lets requests through"
    };
    Check::fail("topic", format!("{topic}: {error}"), advice)
}

fn size_limit(description: &Description) -> Check {
    let limit = ByteSize(description.max_bytes as u64).display().iec();
    if description.max_bytes < DEFAULT_MAX_BYTES {
        let advice = "raise the topic's MaximumMessageSize, unless all messages are smaller";
        return Check::warn("size limit", format!("{limit}, of a message and of a batch"), advice);
    }
    Check::ok("size limit", format!("{limit}, of a message and of a batch"))
}

fn fifo(description: &Description, settings: &Settings) -> Check {
    let by = if description.content_based_deduplication { "by content" } else { "by the messages' ids" };
    let group = &settings.group_id.0;
    let detail = format!("repetitions are recognized {by}; messages that name no group are in {group}");
    if settings.group_batch > 1 {
        let advice = "set --group-batch 1 if a group's order matters more than its speed";
        return Check::warn("FIFO", format!("{detail}; a group shares batches"), advice);
    }
    Check::ok("FIFO", detail)
}

/// A topic that nobody is subscribed to takes messages and forgets them.
async fn subscriptions(config: &SdkConfig, sns: &Sns) -> Check {
    let what = "subscriptions";
    let asked = Client::new(config).list_subscriptions_by_topic().topic_arn(sns.arn()).send();
    match timeout(CALL_TIMEOUT, asked).await {
        Ok(Ok(page)) => {
            let confirmed =
                page.subscriptions().iter().filter(|one| one.subscription_arn().is_some_and(is_arn)).count();
            let more = if page.next_token().is_some() { " or more" } else { "" };
            if confirmed == 0 {
                let advice = "subscribe a queue to it; until then every message is lost once SNS has it";
                return Check::warn(what, "none", advice);
            }
            Check::ok(what, format!("{confirmed}{more}"))
        }
        Ok(Err(error)) => {
            let error = upbeat_service::aws::describe(&error);
            Check::warn(what, error, "allow sns:ListSubscriptionsByTopic to have them counted")
        }
        Err(_elapsed) => Check::warn(what, "no answer in time", "try again"),
    }
}

fn is_arn(arn: &str) -> bool {
    arn.starts_with("arn:")
}

/// Writes and removes a file of its own, and looks at what is in the spool.
fn spool_check(folder: &Path, limit: u64) -> Check {
    let what = "spool";
    let shown = folder.display();
    if let Err(error) = tempfile::Builder::new().prefix(".doctor-").tempfile_in(folder) {
        let advice = "make the folder, and let this user write to it";
        return Check::fail(what, format!("{shown}: {error}"), advice);
    }
    let free = nix::sys::statvfs::statvfs(folder).map(|disk| disk.blocks_available() * disk.fragment_size());
    let held = match spool::stats(folder) {
        Ok(stats) if stats.dead_letters > 0 => {
            let advice = "see what they are by producer spool --take-dead-letters";
            return Check::warn(what, format!("{shown}: {} dead letters", stats.dead_letters), advice);
        }
        Ok(stats) => format!("{} messages, {}", stats.messages, ByteSize(stats.bytes).display().iec()),
        // There is none in it yet.
        Err(_) => "no messages".to_owned(),
    };
    let limit_shown = ByteSize(limit).display().iec();
    match free {
        Ok(free) if free < limit => Check::warn(
            what,
            format!("{shown}: {held}; {} free, and it may grow to {limit_shown}", ByteSize(free).display().iec()),
            "make room, or lower --spool-limit; a full disk refuses new messages",
        ),
        _ => Check::ok(what, format!("{shown}: {held}; up to {limit_shown}")),
    }
}

#[cfg(test)]
mod tests {
    use upbeat_service::doctor::Level;

    use super::*;

    #[test]
    fn a_topic_that_can_not_be_had_is_a_fault_with_what_to_do_by_its_cause() {
        for (error, advice) in [
            ("no topic is named x in us-east-1", "make the topic"),
            ("NotFound: Topic does not exist", "make the topic"),
            ("AuthorizationError: not authorized to perform", "sns:GetTopicAttributes"),
            ("Connection refused", "AWS_ENDPOINT_URL"),
        ] {
            let check = unreachable("x", error);
            assert_eq!(check.level, Level::Fail);
            assert!(check.advice.unwrap().contains(advice), "{error}");
        }
    }

    #[test]
    fn a_spool_has_to_be_writable_and_have_room() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(spool_check(folder.path(), 1).level, Level::Ok);
        assert_eq!(spool_check(folder.path(), u64::MAX).level, Level::Warn);
        assert_eq!(spool_check(&folder.path().join("missing"), 1).level, Level::Fail);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "it leaves nothing behind");
    }
}
