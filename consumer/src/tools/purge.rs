//! Everything out of a queue.

use std::process::ExitCode;

use clap::Args;

use super::{chosen, explained, limited, messages};
use crate::queue::sqs::{SqsQueue, is_purge_in_progress};

/// Remove every message from the queue
///
/// Removes every message from the queue, for good: waiting, delayed, and in flight, even while a consumer handles it.
///
/// SQS takes up to 60 seconds; messages that are sent meanwhile may go, too. It takes one purge of a queue every 60 seconds.
///
/// Exit codes: 0 purged, 1 not, 2 without --yes, after saying how many would go.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Really do it
    #[arg(long)]
    yes: bool,

    /// Purge the dead-letter queue instead
    #[arg(long, env = "DEAD_LETTERS")]
    dead_letters: bool,
}

pub(super) async fn purge(arguments: Arguments, queue: &SqsQueue) -> anyhow::Result<ExitCode> {
    let dead_letters = chosen(queue, arguments.dead_letters).await?;
    let queue = dead_letters.as_ref().unwrap_or(queue);
    let name = queue.name();
    let attributes = limited(queue.all_attributes()).await;
    let counts =
        attributes.map_err(|error| explained(&format!("cannot count the messages of {name}"), &error))?.counts();
    let total = messages(counts.total());
    if !arguments.yes {
        eprintln!(
            "error: about {total} would go from {name} ({} waiting, {} in flight, {} delayed); add --yes to remove them for good",
            counts.waiting, counts.in_flight, counts.delayed
        );
        return Ok(ExitCode::from(2));
    }
    limited(queue.purge()).await.map_err(|error| {
        if is_purge_in_progress(&error) {
            anyhow::anyhow!(
                "{name} was purged less than 60 seconds ago, and SQS takes one purge every 60 seconds; try again in a minute"
            )
        } else {
            explained(&format!("cannot purge {name}"), &error)
        }
    })?;
    println!("purged {name}: about {total}; SQS may take 60 seconds for it");
    Ok(ExitCode::SUCCESS)
}
