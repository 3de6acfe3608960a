//! The dead letters back into the queue.

mod by_hand;
mod by_sqs;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::{advice, explained, limited, messages};
use crate::queue::ErrorKind;
use crate::queue::sqs::{QueueAddress, SqsQueue};

/// Move the dead letters back into the queue
///
/// Nothing is lost on the way: a message leaves the dead-letter queue after the other has confirmed it. So one that
/// was on its way when something broke may be there twice. Run it again to go on after an interruption; what was under way comes back
/// within 30 seconds, for which it waits. Body, attributes and message group are kept; message id, age and receive count start
/// anew, and so does the deduplication id, since SQS would drop what it takes for a copy.
///
/// Exit codes: 0 all was moved, 1 something was not.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Move at most so many (by hand)
    #[arg(long, env = "REDRIVE_MAX", value_name = "MESSAGES", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,

    /// Move them to this queue [default: the queue itself]
    #[arg(long, env = "REDRIVE_TO", value_name = "QUEUE")]
    to: Option<QueueAddress>,

    /// Who moves them
    #[arg(long, env = "REDRIVE_METHOD", default_value = "auto", value_name = "METHOD")]
    method: Method,
}

/// Who moves the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// SQS where it can, by hand otherwise, and for FIFO queues and with --max
    Auto,
    /// SQS, by a message move task
    Sqs,
    /// This process: receive, send, delete
    Hand,
}

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Moved {
    count: u64,
    failed: u64,
    interrupted: bool,
    /// Why some failed, or why it ended early.
    reason: Option<String>,
}

pub(super) async fn redrive(arguments: &Arguments, queue: &SqsQueue) -> anyhow::Result<ExitCode> {
    let from = limited(queue.dead_letter_queue()).await;
    let from = from.map_err(|error| explained(&format!("no dead-letter queue of {}", queue.name()), &error))?;
    let elsewhere = match &arguments.to {
        None => None,
        Some(to) => {
            let found = limited(queue.sibling(to)).await;
            Some(found.map_err(|error| explained(&format!("cannot find the queue {to}"), &error))?)
        }
    };
    let to = elsewhere.as_ref().unwrap_or(queue);
    let cannot_read = |error| explained("cannot read the queues' attributes", &error);
    let from_attributes = limited(from.all_attributes()).await.map_err(cannot_read)?;
    let to_attributes = limited(to.all_attributes()).await.map_err(cannot_read)?;
    let (from_arn, to_arn) = (from_attributes.arn(), to_attributes.arn());
    anyhow::ensure!(from_arn != to_arn, "{} is the dead-letter queue itself; name another with --to", to.name());
    anyhow::ensure!(
        from_attributes.is_fifo() == to_attributes.is_fifo(),
        "one of {} and {} is FIFO, the other not; name a queue of the same type with --to",
        from.name(),
        to.name()
    );

    let total = from_attributes.counts().total();
    let bar = progress(total.min(arguments.max.unwrap_or(u64::MAX)));
    let by_sqs = match arguments.method {
        Method::Hand => false,
        Method::Sqs => {
            anyhow::ensure!(arguments.max.is_none(), "--max needs --method hand: SQS moves all there is");
            true
        }
        // The sender's deduplication id goes with a message that SQS moves, and may make it drop it.
        Method::Auto => arguments.max.is_none() && !from_attributes.is_fifo(),
    };
    let started = if by_sqs { Some(by_sqs::start(&from, from_arn, to_arn).await) } else { None };
    let moved = match started {
        Some(Ok(())) => by_sqs::follow(&from, from_arn, &bar).await?,
        Some(Err(error)) if arguments.method == Method::Sqs || !can_be_done_by_hand(error.kind) => {
            return Err(anyhow::anyhow!(
                "SQS does not move the messages: {error}; {}, or --method hand",
                advice(error.kind)
            ));
        }
        Some(Err(_)) | None => by_hand::transfer(&from, to, total, arguments.max, &bar).await?,
    };
    bar.finish_and_clear();
    let left = limited(from.all_attributes()).await.map(|attributes| attributes.counts().total());
    Ok(told(&moved, from.name(), to.name(), left.ok(), arguments.max))
}

/// A move that may have been started must not be done again by hand at the same time.
const fn can_be_done_by_hand(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::Invalid | ErrorKind::AccessDenied | ErrorKind::NotFound)
}

fn told(moved: &Moved, from: &str, to: &str, left: Option<u64>, max: Option<u64>) -> ExitCode {
    let left = left.map_or_else(String::new, |left| format!(", about {left} left in {from}"));
    println!("moved {} from {from} to {to}, {} failed{left}", messages(moved.count), moved.failed);
    if moved.failed == 0 && !moved.interrupted && moved.reason.is_none() {
        return ExitCode::SUCCESS;
    }
    let reason = match &moved.reason {
        Some(reason) => reason,
        None if moved.interrupted => "interrupted",
        None => "some were not moved",
    };
    let again = if max.is_some() { "" } else { "; run it again to go on" };
    eprintln!("error: {reason}{again}");
    ExitCode::FAILURE
}

/// On a terminal only.
fn progress(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} messages, {per_sec}, {eta} left");
    let bar = ProgressBar::new(total);
    style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
}
