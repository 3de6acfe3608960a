//! The consumer's metrics by their names.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use upbeat_service::metrics::{
    Destination, Errors, Families, Histograms, Outcomes, Registry, counters, durations, histograms,
};

use super::look::Gauges;

/// From a message that was just sent to one at the end of SQS's default retention, four days.
const AGES: [f64; 14] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0, 345_600.0];

const RECEIVE_COUNTS: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 100.0];

/// What every consumer of a process counts.
#[derive(Debug)]
pub(super) struct ConsumerFamilies {
    pub(super) consumed: Family<Destination, Counter>,
    pub(super) age: Histograms<Destination>,
    pub(super) receive_count: Histograms<Destination>,
    pub(super) processed: Histograms<Errors>,
    pub(super) outcomes: Family<Outcomes, Counter>,
    pub(super) deletes: Family<Outcomes, Counter>,
    pub(super) extensions: Family<Outcomes, Counter>,
    pub(super) settled: Family<Outcomes, Counter>,
    pub(super) redeliveries: Family<Outcomes, Counter>,
    pub(super) breaker_trips: Family<Destination, Counter>,
    pub(super) gauges: Gauges,
}

impl Families for ConsumerFamilies {
    fn register(registry: &mut Registry) -> Self {
        let r = registry;
        let families = Self {
            consumed: counters(r, "messaging_client_consumed_messages", "Deliveries that were received"),
            age: histograms(r, "sqs_message_age_seconds", "From when it was sent to when it was received", || {
                Histogram::new(AGES)
            }),
            receive_count: histograms(r, "sqs_receive_count", "How often a message had been received", || {
                Histogram::new(RECEIVE_COUNTS)
            }),
            processed: histograms(r, "messaging_process_duration_seconds", "How long handlers took", durations),
            outcomes: counters(r, "consumer_handler_outcomes", "Tries of handlers, by how they ended"),
            deletes: counters(r, "sqs_deletes", "What the queue said of each message that was to be deleted"),
            extensions: counters(r, "sqs_visibility_extensions", "What the queue said of each lease to be extended"),
            settled: counters(r, "consumer_settled_messages", "Messages that left our hands, and how"),
            redeliveries: counters(r, "consumer_redeliveries", "Messages that came again while we knew them"),
            breaker_trips: counters(r, "consumer_breaker_trips", "How often receiving paused as every handler failed"),
            gauges: Gauges::default(),
        };
        r.register_collector(Box::new(families.gauges.clone()));
        families
    }
}
