//! Receive, send, delete: a message is deleted after the other queue has confirmed it, never before.

use std::collections::HashSet;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::{CALL_TIMEOUT, explained, interruption, limited, limited_to};
use super::Moved;
use crate::queue::sqs::{InTransit, SqsQueue, fitting};
use crate::queue::{Batch, EntryError, EntryResults, ErrorKind, MAX_BATCH, Queue, QueueError, ReceiptHandle};

/// Longer than one request to send and one to delete may take.
const LEASE: Duration = Duration::from_secs(30);

const WAIT: Duration = Duration::from_secs(1);

/// What an interrupted run has hidden is back by then.
const PATIENCE: Duration = Duration::from_secs(32);

/// Moves as many as there were at the start: a consumer at work may fail the same ones again, and so on for ever.
pub(super) async fn transfer(
    from: &SqsQueue,
    to: &SqsQueue,
    total: u64,
    max: Option<u64>,
    bar: &ProgressBar,
) -> anyhow::Result<Moved> {
    let interruption = interruption()?;
    let mut failures = Failures::default();
    let mut moved = Moved::default();
    let result =
        transfer_until(from, to, total.min(max.unwrap_or(u64::MAX)), bar, &interruption, &mut failures, &mut moved);
    let result = result.await;
    moved.interrupted = interruption.is_cancelled();
    moved.failed = u64::try_from(failures.receipts.len()).unwrap_or(u64::MAX);
    moved.reason = failures.reason;
    give_back(from, failures.receipts).await;
    if let Err(error) = result {
        moved.reason = Some(format!("{error:#}"));
    }
    Ok(moved)
}

/// What was received and not moved; given back at the end, so that it is not received again before that.
#[derive(Debug, Default)]
struct Failures {
    receipts: Vec<ReceiptHandle>,
    reason: Option<String>,
}

impl Failures {
    fn add(&mut self, message: &InTransit, reason: &str) {
        self.receipts.push(message.receipt.clone());
        self.reason.get_or_insert_with(|| format!("some were not moved, the first because of {reason}"));
    }
}

async fn transfer_until(
    from: &SqsQueue,
    to: &SqsQueue,
    limit: u64,
    bar: &ProgressBar,
    interruption: &CancellationToken,
    failures: &mut Failures,
    moved: &mut Moved,
) -> anyhow::Result<()> {
    let mut last = Instant::now();
    loop {
        let done = moved.count + u64::try_from(failures.receipts.len()).unwrap_or(u64::MAX);
        if done >= limit || interruption.is_cancelled() {
            return Ok(());
        }
        let max = usize::try_from(limit - done).unwrap_or(MAX_BATCH).min(MAX_BATCH);
        let received = limited_to(WAIT + CALL_TIMEOUT, from.receive_for_transit(max, WAIT, LEASE)).await;
        let received = received.map_err(|error| explained("cannot receive the dead letters", &error))?;
        if received.is_empty() {
            let in_flight = limited(from.all_attributes()).await.map_or(0, |attributes| attributes.counts().in_flight);
            let elsewhere = in_flight > u64::try_from(failures.receipts.len()).unwrap_or(u64::MAX);
            if !elsewhere || last.elapsed() > PATIENCE {
                return Ok(());
            }
            continue;
        }
        last = Instant::now();
        let before = moved.count;
        let result = move_batch(from, to, received, failures, moved).await;
        bar.inc(moved.count - before);
        result?;
    }
}

async fn move_batch(
    from: &SqsQueue,
    to: &SqsQueue,
    received: Vec<InTransit>,
    failures: &mut Failures,
    moved: &mut Moved,
) -> anyhow::Result<()> {
    let fifo = to.is_fifo();
    // A message must not overtake one of its group that was not moved.
    let mut held_groups = HashSet::new();
    let mut rest = received.as_slice();
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(if fifo { 1 } else { fitting(rest) });
        rest = later;
        if fifo && chunk.iter().any(|message| held_groups.contains(&message.group)) {
            for message in chunk {
                failures.add(message, "an earlier one of its group");
            }
            continue;
        }
        let sent = match send(to, chunk).await {
            Ok(results) => results,
            Err(error) => {
                // Without an answer nobody knows whether they were sent; they stay, and may be there twice.
                for message in chunk.iter().chain(rest) {
                    failures.add(message, &error.message);
                }
                return Err(explained(&format!("cannot send to {}", to.name()), &error));
            }
        };
        let mut receipts = Batch::new();
        for (message, result) in chunk.iter().zip(sent) {
            match result {
                Ok(()) => receipts.push(message.receipt.clone()),
                Err(error) => {
                    held_groups.insert(message.group.clone());
                    failures.add(message, &error.reason);
                }
            }
        }
        moved.count += u64::try_from(receipts.len()).unwrap_or(u64::MAX);
        delete(from, receipts).await?;
    }
    Ok(())
}

/// The result of each. A request that SQS refuses as a whole is made again message by message, so that one that can't be
/// sent, such as a larger one than the queue takes, does not hold up the others.
async fn send(to: &SqsQueue, chunk: &[InTransit]) -> Result<EntryResults, QueueError> {
    let refused = |error: QueueError| EntryError { sender_fault: true, reason: error.message };
    match limited(to.forward(chunk)).await {
        Err(error) if error.kind == ErrorKind::Invalid && chunk.len() > 1 => {
            let mut results = EntryResults::new();
            for message in chunk {
                match limited(to.forward(std::slice::from_ref(message))).await {
                    Ok(one) => results.extend(one),
                    Err(error) if error.kind == ErrorKind::Invalid => results.push(Err(refused(error))),
                    Err(error) => return Err(error),
                }
            }
            Ok(results)
        }
        Err(error) if error.kind == ErrorKind::Invalid => Ok(EntryResults::from_iter([Err(refused(error))])),
        other => other,
    }
}

/// What can't be deleted is there twice; one more try is worth it, since it costs nothing.
async fn delete(from: &SqsQueue, mut receipts: Batch<ReceiptHandle>) -> anyhow::Result<()> {
    for _ in 0..2 {
        if receipts.is_empty() {
            return Ok(());
        }
        if let Ok(results) = limited(from.delete(receipts.clone())).await {
            receipts = not_deleted(receipts, &results);
        }
    }
    anyhow::ensure!(receipts.is_empty(), "{} were moved but can't be deleted, so they are there twice", receipts.len());
    Ok(())
}

fn not_deleted(receipts: Batch<ReceiptHandle>, results: &EntryResults) -> Batch<ReceiptHandle> {
    let failed = |(_, result): &(ReceiptHandle, &Result<(), EntryError>)| result.is_err();
    receipts.into_iter().zip(results).filter(failed).map(|(receipt, _)| receipt).collect()
}

/// If it fails, the lease ends by itself.
async fn give_back(from: &SqsQueue, receipts: Vec<ReceiptHandle>) {
    for chunk in receipts.chunks(MAX_BATCH) {
        let entries = chunk.iter().map(|receipt| (receipt.clone(), Duration::ZERO)).collect();
        drop(limited(from.change_visibility(entries)).await);
    }
}
