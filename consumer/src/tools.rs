//! Looking at a queue and putting it right, for the person who runs it: subcommands of the `consumer` binary.
//!
//! - [`doctor`]: whether all that a consumer needs is there and fits together;
//! - [`peek`]: what the messages say, without consuming them;
//! - [`redrive`]: the dead letters back into the queue;
//! - [`purge`]: everything out of a queue.
//!
//! Each call is tried once and has a limit, so that none of them hangs.

pub mod doctor;
pub mod peek;
pub mod purge;
pub mod redrive;

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use upbeat_service::aws;
use upbeat_service::settings::refuse;

use crate::queue::sqs::SqsQueue;
use crate::queue::{ErrorKind, QueueError};
use crate::settings::Settings;

/// How long a call may take, but for the wait of a long poll.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Looking for the region may go through the network.
const CONFIG_TIMEOUT: Duration = Duration::from_secs(15);

/// What to look at, or to put right. The help of each is in the docs of its arguments.
#[expect(missing_docs, reason = "docs here would take the place of that help")]
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Tool {
    Doctor(doctor::Arguments),
    Peek(peek::Arguments),
    Redrive(redrive::Arguments),
    Purge(purge::Arguments),
}

/// Runs a tool to its end. Exit code 0 when it did what it was to do, 1 with one line on standard error when it did not,
/// 2 when it was asked for what can't be right.
#[must_use]
pub fn run(tool: Tool, settings: &Settings) -> ExitCode {
    if let Err(contradiction) = settings.options().check() {
        refuse(contradiction);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime");
    let ended = runtime.and_then(|runtime| runtime.block_on(dispatch(tool, settings)));
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn dispatch(tool: Tool, settings: &Settings) -> anyhow::Result<ExitCode> {
    if let Tool::Doctor(arguments) = tool {
        return Box::pin(doctor::doctor(&arguments, settings)).await;
    }
    let queue = Box::pin(find(settings)).await?;
    match tool {
        Tool::Doctor(_) => Ok(ExitCode::SUCCESS),
        Tool::Peek(arguments) => Box::pin(peek::peek(&arguments, &queue)).await,
        Tool::Redrive(arguments) => Box::pin(redrive::redrive(&arguments, &queue)).await,
        Tool::Purge(arguments) => Box::pin(purge::purge(arguments, &queue)).await,
    }
}

async fn find(settings: &Settings) -> anyhow::Result<SqsQueue> {
    let config = timeout(CONFIG_TIMEOUT, aws::config()).await;
    let config =
        config.map_err(|_| anyhow::anyhow!("no region found in time; set AWS_REGION, such as us-east-1"))??;
    let address = &settings.consumer.queue;
    let found = limited(SqsQueue::find(&config, address)).await;
    found.map_err(|error| explained(&format!("cannot find the queue {address}"), &error))
}

/// The queue itself, or its dead-letter queue.
async fn chosen(queue: &SqsQueue, dead_letters: bool) -> anyhow::Result<Option<SqsQueue>> {
    if !dead_letters {
        return Ok(None);
    }
    let found = limited(queue.dead_letter_queue()).await;
    found.map(Some).map_err(|error| explained(&format!("no dead-letter queue of {}", queue.name()), &error))
}

/// A call with a limit.
type Limited<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueueError>> + 'a>>;

/// One try, within [`CALL_TIMEOUT`]; the SDK has no limit of its own.
fn limited<'a, T>(call: impl Future<Output = Result<T, QueueError>> + 'a) -> Limited<'a, T> {
    limited_to(CALL_TIMEOUT, call)
}

fn limited_to<'a, T>(limit: Duration, call: impl Future<Output = Result<T, QueueError>> + 'a) -> Limited<'a, T> {
    Box::pin(async move {
        let result = timeout(limit, call).await;
        result.unwrap_or_else(|_| Err(QueueError::new(ErrorKind::Timeout, "no answer in time")))
    })
}

/// What could not be done, why, and what would help.
fn explained(what: &str, error: &QueueError) -> anyhow::Error {
    anyhow::anyhow!("{what}: {error}; {}", advice(error.kind))
}

/// What to do about an error of this kind.
const fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => {
            "make the queue, or name another with --queue; AWS_REGION and the account must be the queue's"
        }
        ErrorKind::AccessDenied => "see that the credentials are valid and their IAM policy allows it on this queue",
        ErrorKind::Throttled => "wait a moment and try again",
        ErrorKind::Timeout | ErrorKind::Unavailable => {
            "see that AWS_ENDPOINT_URL and AWS_REGION are right, and that the network lets requests through"
        }
        ErrorKind::Invalid => "see that the settings fit the queue",
    }
}

/// Fires on the first Ctrl-C or SIGTERM; a second one ends the process at once.
fn interruption() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot catch signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot catch signals")?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
            }
        };
        next().await;
        stop.cancel();
        next().await;
        std::process::exit(130);
    });
    Ok(token)
}

/// With its noun, in the singular or the plural.
fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}
