//! Requests to AWS: how many, how long, and how they ended.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Destination, Families, Histograms, Metrics, counters, durations, histograms};

/// How a request that succeeded is labelled.
pub const OK: &str = "ok";

/// What all services count of their requests.
pub struct Services {
    requests: Family<Request, Counter>,
    durations: Histograms<Operation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    messaging_system: &'static str,
    messaging_operation_name: &'static str,
    messaging_destination_name: Arc<str>,
    error_type: &'static str,
}

/// One kind of request, with its counters looked up.
#[derive(Clone)]
pub struct Requests {
    services: Arc<Services>,
    /// As AWS names it.
    action: &'static str,
    /// As the messaging conventions do.
    name: &'static str,
    destination: Destination,
    succeeded: Counter,
    duration: Histogram,
}

impl Families for Services {
    fn register(registry: &mut Registry) -> Self {
        Self {
            requests: counters(registry, "aws_requests", "Requests to AWS, by how they ended"),
            durations: histograms(
                registry,
                "messaging_client_operation_duration_seconds",
                "How long requests to the queue or topic took, long polls with their wait",
                durations,
            ),
        }
    }
}

impl Services {
    pub(super) fn count(&self, operation: &'static str, outcome: &'static str) {
        self.requests.get_or_create(&Request { operation, outcome }).inc();
    }
}

impl Requests {
    /// Requests of this action on a queue or topic. `errors`: how they may fail, to be shown as 0 until they do.
    #[must_use]
    pub fn new(
        metrics: &Metrics,
        destination: &Destination,
        action: &'static str,
        name: &'static str,
        errors: &[&'static str],
    ) -> Self {
        let services = metrics.families::<Services>();
        for outcome in errors {
            drop(services.requests.get_or_create(&Request { operation: action, outcome }));
        }
        let succeeded = services.requests.get_or_create_owned(&Request { operation: action, outcome: OK });
        let duration = services.durations.get_or_create_owned(&operation(destination, name, ""));
        Self { services, action, name, destination: destination.clone(), succeeded, duration }
    }

    /// A request has ended; `error` is one of a few words.
    pub fn ended(&self, took: Duration, error: Option<&'static str>) {
        let Some(error) = error else {
            self.succeeded.inc();
            self.duration.observe(took.as_secs_f64());
            return;
        };
        self.services.count(self.action, error);
        let labels = operation(&self.destination, self.name, error);
        self.services.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Requests").field("action", &self.action).finish_non_exhaustive()
    }
}

fn operation(destination: &Destination, name: &'static str, error_type: &'static str) -> Operation {
    Operation {
        messaging_system: destination.messaging_system,
        messaging_operation_name: name,
        messaging_destination_name: Arc::clone(&destination.messaging_destination_name),
        error_type,
    }
}
