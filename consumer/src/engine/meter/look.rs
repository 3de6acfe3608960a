//! What nobody has to keep: it is seen when it is asked for.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use upbeat_service::metrics::{self, Destination, Sources, gauges};

use crate::queue::QueueDepth;

/// What an engine holds.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct Held {
    /// Messages whose handler runs, that wait for their turn, that are being deleted, that are being given back.
    pub(in crate::engine) messages: [usize; 4],
    /// When the oldest of them was sent.
    pub(in crate::engine) oldest: Option<SystemTime>,
    pub(in crate::engine) concurrency: usize,
    pub(in crate::engine) bytes: u64,
    pub(in crate::engine) most_bytes: u64,
    pub(in crate::engine) breaker_open: bool,
}

/// What is seen of an engine at a scrape.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Look {
    pub(super) destination: Destination,
    pub(super) held: Held,
    pub(super) polls_open: usize,
    pub(super) oldest_ms: i64,
    pub(super) depth: Option<QueueDepth>,
}

/// All engines that are there.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauges(pub(super) Sources<Look>);

impl metrics::Look for Look {
    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn add(&mut self, other: &Self) {
        let (sum, more) = (&mut self.held, &other.held);
        sum.messages.iter_mut().zip(more.messages).for_each(|(sum, more)| *sum += more);
        sum.concurrency += more.concurrency;
        sum.bytes += more.bytes;
        sum.most_bytes += more.most_bytes;
        sum.breaker_open |= more.breaker_open;
        self.polls_open += other.polls_open;
        self.oldest_ms = self.oldest_ms.max(other.oldest_ms);
        self.depth = self.depth.or(other.depth);
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let looks = self.0.look();
        let mut out = Out { encoder: &mut encoder, looks: &looks };
        out.states(
            "sqs_in_flight_messages",
            "Messages in our hands, from the receive to the confirmed end.",
            |look| {
                let [handling, waiting, deleting, releasing] = look.held.messages.map(count);
                Some([("handling", handling), ("waiting", waiting), ("deleting", deleting), ("releasing", releasing)])
            },
        )?;
        out.seconds(
            "sqs_oldest_message_age_seconds",
            "Age of the oldest message in our hands; while nothing is received, of the oldest that was received last.",
            |look| look.oldest_ms,
        )?;
        out.gauge("consumer_concurrency", "Most messages that may be in flight.", |look| count(look.held.concurrency))?;
        out.gauge("consumer_in_flight_bytes", "Room that messages in flight take.", |look| bytes(look.held.bytes))?;
        out.gauge("consumer_in_flight_bytes_limit", "Most bytes that may be in flight.", |look| {
            bytes(look.held.most_bytes)
        })?;
        out.gauge("consumer_polls_open", "Receives under way.", |look| count(look.polls_open))?;
        out.gauge("consumer_breaker_open", "Whether receiving pauses since every handler fails.", |look| {
            i64::from(look.held.breaker_open)
        })?;
        out.states("sqs_queue_messages", "Messages in the queue, as SQS says now and then.", |look| {
            let QueueDepth { visible, in_flight, delayed, .. } = look.depth?;
            Some([("visible", bytes(visible)), ("in_flight", bytes(in_flight)), ("delayed", bytes(delayed))])
        })?;
        out.some("sqs_dlq_messages", "Messages in the dead-letter queue, as SQS says now and then.", |look| {
            look.depth?.dead_letters.map(bytes)
        })
    }
}

struct Out<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
    looks: &'a [Look],
}

impl Out<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl Fn(&Look) -> i64) -> fmt::Result {
        self.some(name, help, |look| Some(value(look)))
    }

    fn some(&mut self, name: &str, help: &str, value: impl Fn(&Look) -> Option<i64>) -> fmt::Result {
        let samples = self.looks.iter().filter_map(|look| Some((look.destination.clone(), value(look)?)));
        gauges(self.encoder, name, help, samples)
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds of an age are nowhere near 2^52")]
    fn seconds(&mut self, name: &str, help: &str, millis: impl Fn(&Look) -> i64) -> fmt::Result {
        let samples = self.looks.iter().map(|look| (look.destination.clone(), millis(look) as f64 / 1e3));
        gauges(self.encoder, name, help, samples)
    }

    fn states<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Fn(&Look) -> Option<[(&'static str, i64); N]>,
    ) -> fmt::Result {
        let samples = self.looks.iter().filter_map(|look| Some((look, values(look)?)));
        let samples =
            samples.flat_map(|(look, values)| values.map(|(state, value)| (look.destination.state(state), value)));
        gauges(self.encoder, name, help, samples)
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
