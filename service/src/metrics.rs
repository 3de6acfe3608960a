//! Metrics: counted where things happen, gathered when `/metrics` is asked for.
//!
//! [`Metrics`] is a handle that is passed to whatever is to be counted; without one, nothing is. Names and labels
//! are OpenTelemetry's messaging conventions in Prometheus' form; `docs/METRICS.md` lists all of them, and a test compares.
//!
//! Labels have few values, all known beforehand: never an id, never what a message or an error says.
//!
//! # Why prometheus-client
//! It is Prometheus' own library: a label's counter is looked up once and is then one atomic addition; and a collector
//! may work out at a scrape what nobody needs to keep. The `prometheus` crate does not speak `OpenMetrics`; the `metrics`
//! facade looks its recorder and labels up at each event, and its exporter brings an HTTP server of its own.

mod aws;
mod endpoint;
mod process;
mod sources;
mod state;
mod text;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
pub use prometheus_client::registry::Registry;

pub use aws::{OK, Requests, Services};
pub use endpoint::routes;
pub use sources::{Look, Source, Sources};

use crate::page::Recent;
use crate::{Health, Readiness};

/// Bounds of the buckets for durations in seconds, as the messaging conventions advise.
pub const DURATIONS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// A family of histograms with the same buckets.
pub type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Where a process's metrics are. Clones share the same ones.
///
/// ```
/// use upbeat_service::Metrics;
/// let metrics = Metrics::of("shop", "1.2.3");
/// assert!(metrics.prometheus().contains(r#"upbeat_build_info{service="shop",version="1.2.3"} 1"#));
/// ```
#[derive(Clone, Default)]
pub struct Metrics {
    gathered: Arc<Mutex<Gathered>>,
    recent: Recent,
}

#[derive(Default)]
struct Gathered {
    registry: Registry,
    families: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

/// Metrics that belong together. Registered once, however many have them.
pub trait Families: Send + Sync + 'static {
    /// Makes them and puts them into the registry.
    fn register(registry: &mut Registry) -> Self;
}

/// What a series is of: a queue or a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
pub struct Destination {
    /// `aws_sqs` or `aws.sns`.
    pub messaging_system: &'static str,
    /// Its name.
    pub messaging_destination_name: Arc<str>,
}

/// As [`Destination`], and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcomes {
    /// `aws_sqs` or `aws.sns`.
    pub messaging_system: &'static str,
    /// Its name.
    pub messaging_destination_name: Arc<str>,
    /// One of a few.
    pub outcome: &'static str,
}

/// As [`Destination`], and why it failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Errors {
    /// `aws_sqs` or `aws.sns`.
    pub messaging_system: &'static str,
    /// Its name.
    pub messaging_destination_name: Arc<str>,
    /// One of a few; empty where nothing went wrong.
    pub error_type: &'static str,
}

/// As [`Destination`], in some state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct States {
    /// `aws_sqs` or `aws.sns`.
    pub messaging_system: &'static str,
    /// Its name.
    pub messaging_destination_name: Arc<str>,
    /// One of a few.
    pub state: &'static str,
}

impl Metrics {
    /// The metrics of a service: what it is, and what the operating system knows of its process.
    #[must_use]
    pub fn of(service: &str, version: &str) -> Self {
        Self::noting(service, version, false)
    }

    /// As [`of`](Self::of); of the last messages the bodies, too, are [noted](Self::recent), if asked for.
    pub(crate) fn noting(service: &str, version: &str, bodies: bool) -> Self {
        let metrics = Self { recent: Recent::new(bodies), ..Self::default() };
        let build = Info::new([("service".to_owned(), service.to_owned()), ("version".to_owned(), version.to_owned())]);
        {
            let registry = &mut metrics.lock().registry;
            registry.register("upbeat_build", "What runs here, always 1", build);
            process::register(registry);
        }
        metrics
    }

    /// Shows, too, what `/health` and `/ready` say.
    pub fn watch(&self, health: &Health, readiness: &Readiness) {
        state::register(&mut self.lock().registry, health.clone(), readiness.clone());
    }

    /// The families of this type: registered the first time, the same ones from then on.
    #[must_use]
    pub fn families<F: Families>(&self) -> Arc<F> {
        let mut gathered = self.lock();
        let Gathered { registry, families } = &mut *gathered;
        let known = families.entry(TypeId::of::<F>()).or_insert_with(|| Arc::new(F::register(registry)));
        // What stands under a type's id is of that type.
        Arc::clone(known).downcast().unwrap_or_else(|_| unreachable!("families stand under their own type"))
    }

    /// The last messages, where they are noted as they are counted.
    #[must_use]
    pub const fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Counts a request to AWS that is of no queue or topic yet, such as one that looks for it.
    pub fn request(&self, action: &'static str, outcome: &'static str) {
        self.families::<Services>().count(action, outcome);
    }

    /// All of them as Prometheus has read them ever since: text, version 0.0.4.
    #[must_use]
    pub fn prometheus(&self) -> String {
        text::prometheus(&self.encoded())
    }

    /// All of them as `OpenMetrics` text, version 1.0.0.
    #[must_use]
    pub fn openmetrics(&self) -> String {
        let mut text = self.encoded();
        text.push_str("# EOF\n");
        text
    }

    fn encoded(&self) -> String {
        let mut text = String::with_capacity(32 * 1024);
        // Writing to a string does not fail.
        let _ = encode_registry(&mut text, &self.lock().registry);
        text
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Destination {
    /// A queue of SQS.
    pub fn sqs(name: impl Into<Arc<str>>) -> Self {
        Self { messaging_system: "aws_sqs", messaging_destination_name: name.into() }
    }

    /// A topic of SNS.
    pub fn sns(name: impl Into<Arc<str>>) -> Self {
        Self { messaging_system: "aws.sns", messaging_destination_name: name.into() }
    }

    /// With what became of it.
    #[must_use]
    pub fn outcome(&self, outcome: &'static str) -> Outcomes {
        let Self { messaging_system, messaging_destination_name } = self.clone();
        Outcomes { messaging_system, messaging_destination_name, outcome }
    }

    /// With why it failed; an empty text where it did not.
    #[must_use]
    pub fn error(&self, error_type: &'static str) -> Errors {
        let Self { messaging_system, messaging_destination_name } = self.clone();
        Errors { messaging_system, messaging_destination_name, error_type }
    }

    /// In this state.
    #[must_use]
    pub fn state(&self, state: &'static str) -> States {
        let Self { messaging_system, messaging_destination_name } = self.clone();
        States { messaging_system, messaging_destination_name, state }
    }
}

/// A family of histograms, in the registry.
pub fn histograms<L>(registry: &mut Registry, name: &str, help: &str, histogram: fn() -> Histogram) -> Histograms<L>
where
    L: Clone + fmt::Debug + std::hash::Hash + Eq + EncodeLabelSet + Send + Sync + 'static,
{
    let family = Histograms::new_with_constructor(histogram);
    registry.register(name, help, family.clone());
    family
}

/// A family of counters, in the registry. The name goes without `_total`, which is added at a scrape.
pub fn counters<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Counter>
where
    L: Clone + fmt::Debug + std::hash::Hash + Eq + EncodeLabelSet + Send + Sync + 'static,
{
    let family = Family::<L, Counter>::default();
    registry.register(name, help, family.clone());
    family
}

/// Writes gauges that are seen at a scrape, each with its labels; nothing of a family without samples.
pub fn gauges<L: EncodeLabelSet, N>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (L, N)>,
) -> fmt::Result
where
    ConstGauge<N>: EncodeMetric,
{
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A histogram of durations in seconds.
#[must_use]
pub fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Greetings(Family<Outcomes, Counter>);

    impl Families for Greetings {
        fn register(registry: &mut Registry) -> Self {
            Self(counters(registry, "greetings", "Greetings"))
        }
    }

    #[test]
    fn families_are_registered_once_and_counted_together() {
        let metrics = Metrics::default();
        let queue = Destination::sqs("messages");
        for _ in 0..2 {
            metrics.families::<Greetings>().0.get_or_create(&queue.outcome("heard")).inc();
        }
        let text = metrics.openmetrics();
        let sample =
            r#"greetings_total{messaging_system="aws_sqs",messaging_destination_name="messages",outcome="heard"} 2"#;
        assert!(text.contains(sample), "{text}");
        assert_eq!(text.matches("# TYPE greetings counter").count(), 1, "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_hostile_destination_can_not_forge_a_series() {
        let metrics = Metrics::default();
        let queue = Destination::sqs("a\"} 1\nforged{b=\"\\");
        metrics.families::<Greetings>().0.get_or_create(&queue.outcome("heard")).inc();
        let text = metrics.prometheus();
        assert!(!text.lines().any(|line| line.starts_with("forged")), "{text}");
    }
}
