//! The producer's metrics by their names.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use upbeat_service::metrics::{Destination, Errors, Families, Histograms, Registry, counters, durations, histograms};

use super::look::Gauges;

const BATCHES: [f64; 10] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];

/// As in the interface's description.
const STATUSES: [u16; 11] = [202, 207, 400, 401, 403, 408, 413, 415, 422, 429, 503];

/// What every producer of a process counts.
#[derive(Debug)]
pub(super) struct ProducerFamilies {
    pub(super) accepted: Family<Destination, Counter>,
    pub(super) refused: Family<Errors, Counter>,
    pub(super) sent: Family<Errors, Counter>,
    pub(super) retried: Family<Destination, Counter>,
    pub(super) delay: Histograms<Destination>,
    pub(super) batch: Histograms<Destination>,
    pub(super) gauges: Gauges,
}

/// What `POST /messages` was answered.
#[derive(Debug)]
pub(super) struct HttpFamilies {
    pub(super) answers: Family<Code, Counter>,
}

/// A status of HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Code {
    pub(crate) code: u16,
}

impl Families for ProducerFamilies {
    fn register(registry: &mut Registry) -> Self {
        let r = registry;
        let families = Self {
            accepted: counters(r, "producer_accepted_messages", "Messages taken: into the buffer or onto the disk"),
            refused: counters(r, "producer_refused_messages", "Messages that were not taken"),
            sent: counters(r, "messaging_client_sent_messages", "Messages that were published, or never will be"),
            retried: counters(r, "producer_retried_messages", "Further tries of messages that SNS had not taken"),
            delay: histograms(
                r,
                "producer_publish_delay_seconds",
                "From when a message came to the publish loop to SNS's confirmation",
                durations,
            ),
            batch: histograms(r, "producer_batch_messages", "Messages in a call", || Histogram::new(BATCHES)),
            gauges: Gauges::default(),
        };
        r.register_collector(Box::new(families.gauges.clone()));
        families
    }
}

impl Families for HttpFamilies {
    fn register(registry: &mut Registry) -> Self {
        let answers = counters(registry, "producer_http_requests", "Answers to POST /messages, by status");
        for code in STATUSES {
            drop(answers.get_or_create(&Code { code }));
        }
        Self { answers }
    }
}
