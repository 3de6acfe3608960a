//! What the messages say, without consuming them.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio::time::Instant;

use super::{chosen, explained, interruption, limited, limited_to, messages};
use crate::message::AttributeValue;
use crate::queue::sqs::SqsQueue;
use crate::queue::{Batch, MAX_BATCH, Queue, QueueError, ReceiptHandle, Receive, Received};

/// Messages are hidden for so long, should they not be given back: by a crash, or a network that breaks.
const LEASE: Duration = Duration::from_secs(30);

/// No new receive after so long: what was received first must be given back before its lease ends.
const TIME: Duration = Duration::from_secs(15);

/// A long poll, which asks every server of SQS, unlike a short one.
const WAIT: Duration = Duration::from_secs(1);

/// Show messages without consuming them
///
/// SQS has no way to look at a message without receiving it. So this receives messages, hides them for as long as it
/// takes to print them (30 seconds at most), and gives them back. Each counts as received once more. Where the queue has a dead-letter
/// queue, messages are taken one by one, and it stops at the first that has no receive left; the next receive moves that
/// one to the dead-letter queue. Where one receive is all that a message has, nothing is received. Looking at
/// dead letters does no harm unless their queue has a dead-letter queue of its own. While messages of a FIFO queue are
/// shown, their groups wait.
///
/// Exit codes: 0 shown, as far as there was something; 1 not, or not given back.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Show at most so many
    #[arg(long, env = "PEEK_COUNT", default_value = "10", value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,

    /// Look at the dead-letter queue instead
    #[arg(long, env = "DEAD_LETTERS")]
    dead_letters: bool,

    /// Print the bodies only, as they are, a line each
    #[arg(long, env = "PEEK_RAW")]
    raw: bool,
}

/// Why there are no more messages.
enum End {
    Enough,
    NoMore,
    Interrupted,
    /// A message was received as often as the redrive policy allows.
    LastReceive(String),
}

pub(super) async fn peek(arguments: &Arguments, queue: &SqsQueue) -> anyhow::Result<ExitCode> {
    let dead_letters = chosen(queue, arguments.dead_letters).await?;
    let queue = dead_letters.as_ref().unwrap_or(queue);
    let info = limited(queue.info()).await.map_err(|error| explained("cannot read the queue's attributes", &error))?;
    let last = info.redrive.map(|redrive| redrive.max_receive_count);
    anyhow::ensure!(
        last != Some(1),
        "maxReceiveCount of {} is 1: looking at a message would send it to the dead-letter queue; nothing was received. \
         Set it to 3 or more",
        info.name
    );
    // One by one, so that no more than one message can be at its last receive. A FIFO queue would only show the first of
    // each group.
    let batch = if last.is_some() && !info.fifo { 1 } else { MAX_BATCH };

    let mut held = Vec::new();
    let shown = show(arguments, queue, last, batch, &mut held).await;
    let count = u64::try_from(held.len()).unwrap_or(u64::MAX);
    let given_back = give_back(queue, held).await;
    let end = shown?;
    given_back
        .map_err(|error| explained(&format!("not all were given back, they stay hidden for {LEASE:?}"), &error))?;
    let why = match end {
        End::Enough => "",
        End::NoMore => "; there are no more to receive",
        End::Interrupted => "; interrupted",
        End::LastReceive(id) => &format!(
            "; stopped because {id} has now been received as often as maxReceiveCount allows: the next receive moves it \
             to the dead-letter queue, from where `consumer redrive` brings it back"
        ),
    };
    eprintln!("{} of {} shown and given back{why}", messages(count), queue.name());
    Ok(ExitCode::SUCCESS)
}

async fn show(
    arguments: &Arguments,
    queue: &SqsQueue,
    last: Option<u32>,
    batch: usize,
    held: &mut Vec<ReceiptHandle>,
) -> anyhow::Result<End> {
    let interruption = interruption()?;
    let deadline = Instant::now() + TIME;
    let count = usize::try_from(arguments.count).unwrap_or(usize::MAX);
    while held.len() < count {
        if interruption.is_cancelled() {
            return Ok(End::Interrupted);
        }
        if Instant::now() > deadline {
            return Ok(End::NoMore);
        }
        let max = batch.min(count - held.len());
        let receive = Receive { max, wait: WAIT, lease: LEASE, attempt_id: None };
        // Never cancelled: what it brings would be lost to us and hidden.
        let received = limited_to(WAIT + super::CALL_TIMEOUT, queue.receive(receive)).await;
        let received = received.map_err(|error| explained("cannot receive", &error))?;
        if received.is_empty() {
            return Ok(End::NoMore);
        }
        held.extend(received.iter().map(|received| received.delivery.receipt.clone()));
        for received in &received {
            print(received, arguments.raw, SystemTime::now())?;
        }
        let spent = |received: &&Received| last.is_some_and(|last| received.delivery.receive_count >= last);
        if let Some(spent) = received.iter().find(spent) {
            return Ok(End::LastReceive(spent.delivery.message_id.to_string()));
        }
    }
    Ok(End::Enough)
}

/// Makes the messages visible at once; the error is the last of any.
async fn give_back(queue: &SqsQueue, held: Vec<ReceiptHandle>) -> Result<(), QueueError> {
    let mut result = Ok(());
    for chunk in held.chunks(MAX_BATCH) {
        let entries: Batch<_> = chunk.iter().map(|receipt| (receipt.clone(), Duration::ZERO)).collect();
        match limited(queue.change_visibility(entries)).await {
            Ok(results) => {
                for error in results.into_iter().filter_map(Result::err) {
                    result = Err(QueueError::new(crate::queue::ErrorKind::Unavailable, error.reason));
                }
            }
            Err(error) => result = Err(error),
        }
    }
    result
}

fn print(received: &Received, raw: bool, now: SystemTime) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = if raw {
        writeln!(out, "{}", received.payload.body())
    } else {
        out.write_all(described(received, now).as_bytes())
    };
    match written.and_then(|()| out.flush()) {
        // Who reads has seen enough, as `head` does; what is held is given back all the same.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// A message as several lines, with control characters escaped.
fn described(received: &Received, now: SystemTime) -> String {
    let Received { delivery, payload } = received;
    let own_id = payload.id();
    let mut head = vec![escaped(own_id.unwrap_or(&delivery.message_id))];
    head.extend(own_id.map(|_| format!("message id {}", delivery.message_id)));
    head.push(format!("received {} times", delivery.receive_count));
    let age = delivery.sent_at.and_then(|sent| now.duration_since(sent).ok());
    head.extend(age.map(|age| format!("age {}", humantime::format_duration(Duration::from_secs(age.as_secs())))));
    head.extend(delivery.group.as_ref().map(|group| format!("group {}", escaped(group))));

    let mut lines = vec![head.join("  ")];
    lines.extend(payload.subject().map(|subject| format!("  subject: {}", escaped(subject))));
    let mut attributes: Vec<_> = payload.attributes().iter().collect();
    attributes.sort_unstable_by_key(|(name, _)| *name);
    lines.extend(attributes.into_iter().map(|(name, attribute)| {
        let value = match &attribute.value {
            AttributeValue::Text(text) => escaped(text),
            AttributeValue::Binary(bytes) => format!("{} bytes", bytes.len()),
        };
        format!("  {} ({}): {value}", escaped(name), escaped(&attribute.data_type))
    }));
    lines.push(format!("  {}\n", escaped(payload.body())));
    lines.join("\n")
}

/// A body must neither forge a line nor drive the terminal.
fn escaped(text: &str) -> String {
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Attribute, Attributes, Payload};
    use crate::queue::Delivery;

    #[test]
    fn a_message_is_shown_with_its_ids_count_age_group_attributes_and_an_escaped_body() {
        let now = SystemTime::now();
        let delivery = Delivery {
            message_id: "m-1".into(),
            receipt: ReceiptHandle("r".to_owned()),
            receive_count: 3,
            group: Some("g".into()),
            sent_at: Some(now - Duration::from_secs(75)),
            first_received_at: None,
        };
        let attributes =
            [("id".to_owned(), Attribute::string("own-1")), ("bytes".to_owned(), Attribute::binary([1, 2]))];
        let payload = Payload::new("a\n\u{1b}[2Jb".to_owned(), Attributes::from_iter(attributes));
        assert_eq!(
            described(&Received { delivery, payload }, now),
            "own-1  message id m-1  received 3 times  age 1m 15s  group g\n  bytes (Binary): 2 bytes\n  \
             id (String): own-1\n  a\\n\\u{1b}[2Jb\n"
        );
    }
}
