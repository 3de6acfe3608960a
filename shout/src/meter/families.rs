//! The metrics by their names.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tokio_util::task::TaskTracker;
use upbeat_service::breaker::Breaker;
use upbeat_service::metrics::{Families, Histograms, Registry, counters, durations, histograms};

use super::look::{Held, Look};
use crate::upstream::Room;

/// As in the interface's description.
const STATUSES: [u16; 8] = [200, 400, 408, 413, 422, 502, 503, 504];

/// Of a hit, the time is far below what messages take.
const QUICK: [f64; 15] =
    [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// What `POST /` was answered.
#[derive(Debug)]
pub(super) struct HttpFamilies {
    pub(super) requests: Family<Code, Counter>,
    pub(super) duration: Histograms<Source>,
    pub(super) look: Look<TaskTracker>,
}

/// What the cache does.
#[derive(Debug)]
pub(super) struct CacheFamilies {
    pub(super) lookups: Family<Outcome, Counter>,
    pub(super) redis_errors: Family<Operation, Counter>,
    pub(super) redis_up: Gauge,
    pub(super) look_at_redis: Look<Gauge>,
    pub(super) look: Look<moka::future::Cache<String, Arc<str>>>,
}

/// What the upstream does.
#[derive(Debug)]
pub(super) struct UpstreamFamilies {
    pub(super) tries: Family<Outcome, Counter>,
    pub(super) duration: Histograms<Outcome>,
    pub(super) rejected: Family<Reason, Counter>,
    pub(super) trips: Counter,
    pub(super) look: Look<(Arc<Room>, Arc<Breaker>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Code {
    pub(super) code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Source {
    pub(super) source: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Outcome {
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Operation {
    pub(super) operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reason {
    pub(super) reason: &'static str,
}

impl Families for HttpFamilies {
    fn register(registry: &mut Registry) -> Self {
        let requests = counters(registry, "shout_http_requests", "Answers to POST /, by status");
        for code in STATUSES {
            drop(requests.get_or_create(&Code { code }));
        }
        let help = "From when the text was there to its answer, by where that came from";
        let duration = histograms(registry, "shout_duration_seconds", help, || Histogram::new(QUICK));
        let look = Look::default();
        registry.register_collector(Box::new(look.clone()));
        Self { requests, duration, look }
    }
}

impl Families for CacheFamilies {
    fn register(registry: &mut Registry) -> Self {
        let lookups = counters(registry, "shout_cache_lookups", "What was looked for in the cache");
        for outcome in ["hit", "miss", "shared"] {
            drop(lookups.get_or_create(&Outcome { outcome }));
        }
        let help = "What Redis did not do, or did badly";
        let redis_errors = counters(registry, "shout_redis_errors", help);
        let look_at_redis = Look::default();
        registry.register_collector(Box::new(look_at_redis.clone()));
        let look = Look::default();
        registry.register_collector(Box::new(look.clone()));
        Self { lookups, redis_errors, redis_up: Gauge::default(), look_at_redis, look }
    }
}

impl Families for UpstreamFamilies {
    fn register(registry: &mut Registry) -> Self {
        let tries = counters(registry, "shout_upstream_tries", "Requests to the upstream, by how they ended");
        let duration = histograms(registry, "shout_upstream_duration_seconds", "How long they took", durations);
        let rejected = counters(registry, "shout_upstream_rejected", "Texts for which the upstream was not asked");
        let pauses = Counter::default();
        let help = "How often the upstream was left alone after many failures";
        registry.register("shout_breaker_trips", help, pauses.clone());
        let look = Look::<(Arc<Room>, Arc<Breaker>)>::default();
        registry.register_collector(Box::new(look.clone()));
        Self { tries, duration, rejected, trips: pauses, look }
    }
}

impl Held for Gauge {
    fn gauges(&self) -> Vec<super::look::Sample> {
        vec![("shout_redis_up", "Whether Redis is asked, and not left alone after failures", None, self.get())]
    }
}

impl Held for TaskTracker {
    fn gauges(&self) -> Vec<super::look::Sample> {
        let under_way = i64::try_from(self.len()).unwrap_or(i64::MAX);
        vec![("shout_requests_under_way", "Requests that are not answered yet", None, under_way)]
    }
}

impl Held for moka::future::Cache<String, Arc<str>> {
    fn gauges(&self) -> Vec<super::look::Sample> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        vec![
            ("shout_cache_entries", "Answers that are kept in memory", None, number(self.entry_count())),
            ("shout_cache_bytes", "What they take, about", None, number(self.weighted_size())),
        ]
    }
}

impl Held for (Arc<Room>, Arc<Breaker>) {
    fn gauges(&self) -> Vec<super::look::Sample> {
        let (room, breaker) = self;
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let calls = "Texts that the upstream is asked for, or is to be";
        vec![
            ("shout_upstream_calls", calls, Some(("state", "under_way")), number(room.under_way())),
            ("shout_upstream_calls", calls, Some(("state", "waiting")), number(room.waiting())),
            ("shout_breaker_open", "The upstream is left alone, but for probes", None, i64::from(breaker.is_open())),
        ]
    }
}
