//! What nobody has to keep: it is seen when it is asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use upbeat_service::metrics::{self, Destination, Sources, gauges};

/// What a producer holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    /// Messages in the publish loop, waiting or under way.
    pub(crate) messages: u64,
    pub(crate) buffer_taken: usize,
    pub(crate) buffer: usize,
}

/// What is seen of a producer at a scrape.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(super) destination: Destination,
    pub(super) held: Held,
    pub(super) in_flight: usize,
    pub(super) gate_closed: bool,
    pub(super) spool: Option<SpoolLook>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpoolLook {
    pub(super) messages: i64,
    pub(super) bytes: i64,
    pub(super) limit: i64,
    pub(super) dead_letters: i64,
    pub(super) oldest_ms: i64,
    pub(super) failing: bool,
}

/// All producers that are there.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauges(pub(super) Sources<Look>);

impl metrics::Look for Look {
    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn add(&mut self, other: &Self) {
        self.held.messages += other.held.messages;
        self.held.buffer_taken += other.held.buffer_taken;
        self.held.buffer += other.held.buffer;
        self.in_flight += other.in_flight;
        self.gate_closed |= other.gate_closed;
        self.spool = match (self.spool, other.spool) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
    }
}

impl SpoolLook {
    fn and(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            limit: self.limit + other.limit,
            dead_letters: self.dead_letters + other.dead_letters,
            oldest_ms: self.oldest_ms.max(other.oldest_ms),
            failing: self.failing || other.failing,
        }
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let looks = self.0.look();
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let mut gauge = |name: &str, help: &str, value: &dyn Fn(&Look) -> Option<i64>| {
            let samples = looks.iter().filter_map(|look| Some((look.destination.clone(), value(look)?)));
            gauges(&mut encoder, name, help, samples)
        };
        gauge("producer_buffer_messages", "Messages in the publish loop, waiting or under way.", &|look| {
            i64::try_from(look.held.messages).ok()
        })?;
        gauge("producer_buffer_bytes", "What they take of the buffer, with what waits for them.", &|look| {
            Some(number(look.held.buffer_taken))
        })?;
        gauge("producer_buffer_limit_bytes", "The buffer.", &|look| Some(number(look.held.buffer)))?;
        gauge("producer_batches_in_flight", "Calls to SNS under way.", &|look| Some(number(look.in_flight)))?;
        gauge("producer_gate_closed", "Whether calls are held back, as SNS can't take any.", &|look| {
            Some(look.gate_closed.into())
        })?;
        gauge("producer_spool_messages", "Messages on the disk.", &|look| Some(look.spool?.messages))?;
        gauge("producer_spool_bytes", "What they count against the limit.", &|look| Some(look.spool?.bytes))?;
        gauge("producer_spool_limit_bytes", "What may be on the disk.", &|look| Some(look.spool?.limit))?;
        gauge("producer_spool_dead_letters", "Messages that SNS refused for good, put aside on the disk.", &|look| {
            Some(look.spool?.dead_letters)
        })?;
        gauge("producer_spool_failing", "Whether the disk can't be written.", &|look| {
            Some(look.spool?.failing.into())
        })?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of an age are nowhere near 2^52")]
        let ages = looks.iter().filter_map(|look| Some((look.destination.clone(), look.spool?.oldest_ms as f64 / 1e3)));
        let help = "Age of the oldest message on the disk.";
        gauges(&mut encoder, "producer_spool_oldest_message_age_seconds", help, ages)
    }
}
