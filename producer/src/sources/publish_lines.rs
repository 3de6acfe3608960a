//! Standard input or a file: a line a message, many on their way at a time.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::Context;
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncRead, BufReader};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use upbeat_service::Health;

use super::Heart;
use super::lines::{Line, Lines};
use super::progress::Progress;
use crate::error::SendError;
use crate::message::Message;
use crate::producer::{Producer, Ticket};
use crate::refusal::Refusal;

/// How many lines may be on their way: enough to keep every batch full, and few enough to flush quickly on a stop.
const MAX_UNDER_WAY: usize = 1000;

/// How much is read at a time.
const READ: usize = 64 * 1024;

/// Lines that are read, and what becomes of them.
#[derive(Debug)]
pub(crate) struct PublishLines<R> {
    lines: Lines<R>,
    /// In the order of the lines, so that only the first of them wakes this task.
    under_way: VecDeque<(u64, Ticket)>,
    report: Report,
    heart: Heart,
    progress: Progress,
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many lines were read.
    pub lines: u64,
    /// How many of them were blank, and so skipped.
    pub blank: u64,
    /// How many were published or, with a spool, put there.
    pub published: u64,
    /// How many were not, for whatever reason.
    pub failed: u64,
    /// Whether all of the input was read.
    pub complete: bool,
}

impl Report {
    /// Whether there is nothing that was not published.
    #[must_use]
    pub const fn all_published(&self) -> bool {
        self.complete && self.failed == 0
    }
}

impl PublishLines<BufReader<Box<dyn AsyncRead + Send + Unpin>>> {
    /// Lines of standard input.
    pub(crate) fn of_stdin(producer: &Producer, health: &Health) -> Self {
        let lines = Self::new(BufReader::with_capacity(READ, Box::new(tokio::io::stdin())), producer, health);
        Self { progress: Progress::new(None), ..lines }
    }

    /// Lines of a file.
    pub(crate) async fn of_file(path: &Path, producer: &Producer, health: &Health) -> anyhow::Result<Self> {
        let file = File::open(path).await.with_context(|| format!("cannot open {}", path.display()))?;
        // A pipe has no length.
        let length = file.metadata().await.ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
        let lines = Self::new(BufReader::with_capacity(READ, Box::new(file)), producer, health);
        Ok(Self { progress: Progress::new(length), ..lines })
    }
}

impl<R: AsyncBufRead + Unpin> PublishLines<R> {
    pub(crate) fn new(input: R, producer: &Producer, health: &Health) -> Self {
        Self {
            lines: Lines::new(input, producer.topic().max_bytes),
            under_way: VecDeque::with_capacity(MAX_UNDER_WAY),
            report: Report::default(),
            heart: Heart::new(health, "lines"),
            progress: Progress::hidden(),
        }
    }

    /// Reads and publishes until all lines are settled, or until `stop`, which leaves the rest to
    /// [`finish`](Self::finish).
    pub(crate) async fn run(&mut self, producer: &Producer, stop: &CancellationToken) {
        while !self.report.complete || !self.under_way.is_empty() {
            let room = !self.report.complete && self.under_way.len() < MAX_UNDER_WAY;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                (number, outcome) = first_settled(&mut self.under_way), if !self.under_way.is_empty() => {
                    let disk_fails = matches!(outcome, Err(SendError::NotSpooled { .. }));
                    self.report.settled(number, outcome);
                    self.progress.show(&self.report);
                    if disk_fails {
                        error!("reads no further, since the spool does not take what is read");
                        return;
                    }
                }
                line = self.lines.next(), if room => match line {
                    Ok(Some((number, line))) => {
                        self.progress.read(line.length() + 1);
                        let taken = take(producer, &mut self.report, number, line);
                        tokio::select! {
                            ticket = taken => self.under_way.extend(ticket.map(|ticket| (number, ticket))),
                            () = stop.cancelled() => return self.report.settled(number, Err(SendError::Closed)),
                            never = self.heart.beat() => match never {},
                        }
                    }
                    Ok(None) => self.report.complete = true,
                    Err(error) => {
                        error!(%error, "cannot read on");
                        return;
                    }
                },
                never = self.heart.beat() => match never {},
            }
        }
    }

    /// Waits for the lines that are on their way, and sums up.
    pub(crate) async fn finish(mut self) -> Report {
        let settling = async {
            for (number, mut ticket) in self.under_way {
                self.report.settled(number, ticket.settled().await);
            }
        };
        tokio::select! {
            () = settling => {}
            never = self.heart.beat() => match never {},
        }
        self.heart.stop();
        self.report
    }
}

/// Enqueues the line, waiting while the buffer is full. A line that can't be published is reported alone.
async fn take(producer: &Producer, report: &mut Report, number: u64, line: Line) -> Option<Ticket> {
    report.lines += 1;
    let message = match line {
        Line::Blank => {
            report.blank += 1;
            return None;
        }
        Line::TooLong(bytes) => Err(Refusal::TooLarge { bytes, limit: producer.topic().max_bytes }),
        Line::Bytes(bytes) => Message::from_bytes(bytes),
    };
    let taken = match message {
        Ok(message) => producer.enqueue(message).await,
        Err(refusal) => Err(refusal.into()),
    };
    taken.map_err(|error| report.settled(number, Err(error))).ok()
}

async fn first_settled(under_way: &mut VecDeque<(u64, Ticket)>) -> (u64, Result<(), SendError>) {
    let Some((number, ticket)) = under_way.front_mut() else { return std::future::pending().await };
    let settled = (*number, ticket.settled().await);
    under_way.pop_front();
    settled
}

impl Report {
    fn settled(&mut self, line: u64, outcome: Result<(), SendError>) {
        match outcome {
            Ok(()) => self.published += 1,
            Err(error) => {
                self.failed += 1;
                warn!(line, %error, "line not published");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::time::sleep;

    use super::*;
    use crate::memory::{Faults, Memory};
    use crate::publisher::Fault;

    async fn publish(producer: &Producer, input: &[u8]) -> Report {
        let mut lines = PublishLines::new(input, producer, &Health::default());
        lines.run(producer, &CancellationToken::new()).await;
        lines.finish().await
    }

    #[tokio::test(start_paused = true)]
    async fn every_line_is_published_in_order_and_blank_ones_are_counted() {
        let topic = Memory::standard("messages").faults(|_| Faults::latency(Duration::from_millis(5)));
        let producer = Producer::builder(topic.clone()).max_in_flight(1).build();
        let input: String = (0..3000).flat_map(|n| [format!("line {n}\n"), "\n".to_owned()]).collect();
        let report = publish(&producer, input.as_bytes()).await;
        assert_eq!(report, Report { lines: 6000, blank: 3000, published: 3000, failed: 0, complete: true });
        assert!(report.all_published());
        assert_eq!(topic.bodies(), (0..3000).map(|n| format!("line {n}")).collect::<Vec<_>>());
        let under_full = topic.calls().iter().filter(|call| call.entries < 10).count();
        assert!(under_full <= 2, "many lines are on their way: {under_full} batches were not full");
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_can_not_be_published_fail_alone() {
        let topic = Memory::standard("messages").faults(|call| {
            let bad = call.batch.entries().iter().position(|entry| entry.body() == "bad");
            Faults::entries(bad.map(|position| (position, Fault::refused("no"))))
        });
        let producer = Producer::builder(topic.clone()).build();
        let too_long = "x".repeat(producer.topic().max_bytes + 1);
        let input = [b"one\n\xff\nbad\n", too_long.as_bytes(), b"\n\0\ntwo"].concat();
        let report = publish(&producer, &input).await;
        assert_eq!(report, Report { lines: 6, blank: 0, published: 2, failed: 4, complete: true });
        assert!(!report.all_published());
        assert_eq!(topic.bodies(), ["one", "two"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_leaves_the_rest_unread_and_publishes_what_was_read() {
        let topic = Memory::standard("messages").faults(|_| Faults::latency(Duration::from_millis(500)));
        let producer = Producer::builder(topic.clone()).build();
        let (mut writer, reader) = duplex(1000);
        let (health, stop) = (Health::default(), CancellationToken::new());
        let mut lines = PublishLines::new(BufReader::new(reader), &producer, &health);
        writer.write_all(b"one\ntwo\nhalf of thr").await.unwrap();
        tokio::join!(lines.run(&producer, &stop), async {
            sleep(Duration::from_secs(100)).await;
            assert_eq!(health.check(), Ok(()), "waiting for input is no reason to be restarted");
            writer.write_all(b"ee\nfour").await.unwrap();
            sleep(Duration::from_millis(1)).await;
            stop.cancel();
        });
        let (summary, report) = tokio::join!(producer.close(Duration::from_secs(30)), lines.finish());
        assert_eq!(report, Report { lines: 3, blank: 0, published: 3, failed: 0, complete: false });
        assert!(!report.all_published(), "there was more to come");
        assert_eq!((summary.published, summary.abandoned), (3, 0));
        assert_eq!(topic.bodies(), ["one", "two", "half of three"]);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_wait_for_room_and_a_stop_ends_the_wait() {
        let topic = Memory::standard("messages").faults(|_| Faults::latency(Duration::from_secs(1000)));
        let producer = Producer::builder(topic).buffer(4096).retry_for(None).build();
        let (health, stop) = (Health::default(), CancellationToken::new());
        let mut lines = PublishLines::new(&b"a\nb\nc\nd\ne\nf\n"[..], &producer, &health);
        tokio::join!(lines.run(&producer, &stop), async {
            sleep(Duration::from_secs(5)).await;
            stop.cancel();
        });
        let (summary, report) = tokio::join!(producer.close(Duration::from_secs(5)), lines.finish());
        assert_eq!(report, Report { lines: 4, blank: 0, published: 0, failed: 4, complete: false });
        assert_eq!(summary.abandoned, 3);
    }
}
