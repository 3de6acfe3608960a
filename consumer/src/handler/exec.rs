//! The handler that runs a command for each message.

mod environment;
mod group;
mod output;

use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join3;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};
use tokio::time::timeout;
use tracing::info;

use super::Handler;
use crate::message::Message;
use crate::outcome::Outcome;
use environment::environment;
use group::Group;
use output::Output;

/// The exit code by which a command asks for another try (`EX_TEMPFAIL` of `sysexits.h`).
pub const RETRY: i32 = 75;

/// The exit code by which a command rejects a message (`EX_DATAERR` of `sysexits.h`).
pub const REJECT: i32 = 65;

/// How long after its end a command's output may come: more is there if it has left something running.
const LATE_OUTPUT: Duration = Duration::from_millis(200);

/// Runs a shell command for each message.
///
/// The body is on standard input, which need not be read. What is known of the message is in the environment:
/// `MESSAGE_ID` (the sender's own id), `MESSAGE_ATTEMPT`, `MESSAGE_GROUP` (empty if there is none), and `ATTRIBUTE_name`
/// for each attribute, where characters that no shell takes in a name are `_`, and what is binary is in base64. (Linux
/// takes up to 128 KiB in a variable; a longer attribute makes the message a failure.)
///
/// | exit code | outcome |
/// | --- | --- |
/// | 0 | done |
/// | 65 ([`REJECT`]) | [`Outcome::Reject`]: to the dead-letter queue at once |
/// | 75 ([`RETRY`]) and all others, and death by a signal | [`Outcome::Failed`]: another try, after a wait that grows with the tries |
///
/// Each line that it writes, on standard output or standard error, is an event in the log; of a very long line only the
/// beginning, of very many lines only the first. The last line on standard error is in the text of a failure or rejection.
///
/// The command has a process group of its own. When the message is [cancelled](Message::cancellation), the group is sent
/// SIGTERM; what is left of it half a second later is killed. What a command that has ended by itself has left running in the
/// background is not waited for and goes on; so does a command whose consumer is killed itself.
#[derive(Clone, Debug)]
pub struct Exec {
    command: String,
}

impl Exec {
    /// Runs `command` by `sh -c`.
    #[must_use]
    pub fn new(command: impl Into<String>) -> Self {
        Self { command: command.into() }
    }

    async fn run(&self, message: &Message) -> anyhow::Result<(ExitStatus, Option<String>)> {
        let mut child = Command::new("sh")
            .args(["-c", &self.command])
            .envs(environment(message))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Not ours, or Ctrl-C would end the commands that the stop waits for.
            .process_group(0)
            .spawn()
            .context("cannot start sh")?;
        let mut group = Group::of(&child);
        let (mut stdout, mut stderr) = (Output::new("stdout"), Output::new("stderr"));
        let id = message.id();
        let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let status = {
            let mut pipes = pin!(join3(feed(input, message.body()), stdout.log(out, id), stderr.log(err, id)));
            let (mut open, mut told) = (true, false);
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status.context("cannot wait for the command")?,
                    _ = &mut pipes, if open => open = false,
                    _ = message.cancellation().cancelled(), if !told => {
                        group.terminate();
                        told = true;
                    }
                }
            };
            group.ended();
            if open {
                // Not the end of the output, but all that is waited for.
                let _ = timeout(LATE_OUTPUT, pipes).await;
            }
            status
        };
        stdout.end(id);
        Ok((status, stderr.end(id)))
    }
}

/// Writes the body. A command that does not read it closes the pipe at its end; its exit code says how it went.
async fn feed(stdin: Option<ChildStdin>, body: &str) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(body.as_bytes()).await;
    }
}

impl Handler for Exec {
    async fn handle(&self, message: Message) -> Outcome {
        let id = message.id();
        info!(%id, message_id = %message.delivery().message_id, attempt = message.attempt(), trace_id = message.trace_id(), "received");
        match self.run(&message).await {
            Ok((status, last_line)) => outcome_of(status, last_line.as_deref()),
            Err(error) => Outcome::Failed { error: format!("{error:#}") },
        }
    }
}

fn outcome_of(status: ExitStatus, last_line: Option<&str>) -> Outcome {
    let text = |what: &str| match last_line {
        Some(line) => format!("the command {what} {status}: {line}"),
        None => format!("the command {what} {status}"),
    };
    match status.code() {
        Some(0) => Outcome::Done,
        // At once would be a loop without a pause, and the message soon in the dead-letter queue.
        Some(RETRY) => Outcome::Failed { error: text("asked for another try by") },
        Some(REJECT) => Outcome::Reject { reason: text("ended with") },
        _ => Outcome::Failed { error: text("ended with") },
    }
}
