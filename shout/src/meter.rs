//! What is counted, on counters that are looked up once.

mod families;
mod look;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tokio_util::task::TaskTracker;
use upbeat_service::Metrics;
use upbeat_service::breaker::Breaker;

use crate::cache::Found;
use crate::error::ShoutError;
use crate::shouter::From;
use crate::upstream::Room;
use families::{CacheFamilies, Code, HttpFamilies, Operation, Outcome, Reason, Source, UpstreamFamilies};

/// Counts answers.
#[derive(Clone, Debug)]
pub(crate) struct HttpMeter {
    families: Arc<HttpFamilies>,
    /// What most answers are.
    good: Counter,
    hits: Histogram,
}

impl HttpMeter {
    pub(crate) fn new(metrics: &Metrics, under_way: &TaskTracker) -> Self {
        let families: Arc<HttpFamilies> = metrics.families();
        families.look.watch(under_way.clone());
        let good = families.requests.get_or_create_owned(&Code { code: 200 });
        let hits = families.duration.get_or_create_owned(&Source { source: From::Cache.name() });
        Self { families, good, hits }
    }

    pub(crate) fn answered(&self, code: u16) {
        match code {
            200 => self.good.inc(),
            code => self.families.requests.get_or_create(&Code { code }).inc(),
        };
    }

    pub(crate) fn shouted(&self, from: Option<From>, took: Duration) {
        if from == Some(From::Cache) {
            return self.hits.observe(took.as_secs_f64());
        }
        let source = from.map_or("none", From::name);
        self.families.duration.get_or_create(&Source { source }).observe(took.as_secs_f64());
    }
}

/// Counts what the cache does.
#[derive(Clone, Debug)]
pub(crate) struct CacheMeter {
    families: Arc<CacheFamilies>,
    hits: Counter,
}

impl CacheMeter {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let families: Arc<CacheFamilies> = metrics.families();
        let hits = families.lookups.get_or_create_owned(&Outcome { outcome: "hit" });
        Self { families, hits }
    }

    pub(crate) fn lookup(&self, found: Found) {
        let outcome = match found {
            Found::Kept => {
                self.hits.inc();
                return;
            }
            Found::Made => "miss",
            Found::Shared => "shared",
        };
        self.families.lookups.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn redis_failed(&self, operation: &'static str) {
        self.families.redis_errors.get_or_create(&Operation { operation }).inc();
    }

    pub(crate) fn redis_up(&self, up: bool) {
        let gauge: &Gauge = &self.families.redis_up;
        gauge.set(i64::from(up));
        self.families.look_at_redis.watch(gauge.clone());
    }

    pub(crate) fn watch(&self, kept: &moka::future::Cache<String, Arc<str>>) {
        self.families.look.watch(kept.clone());
    }
}

/// Counts what the upstream does.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamMeter(Arc<UpstreamFamilies>);

impl UpstreamMeter {
    pub(crate) fn new(metrics: &Metrics, room: &Arc<Room>, breaker: &Arc<Breaker>) -> Self {
        let families: Arc<UpstreamFamilies> = metrics.families();
        families.look.watch((Arc::clone(room), Arc::clone(breaker)));
        Self(families)
    }

    pub(crate) fn tried(&self, outcome: &'static str, took: Duration) {
        let outcome = Outcome { outcome };
        self.0.tries.get_or_create(&outcome).inc();
        self.0.duration.get_or_create(&outcome).observe(took.as_secs_f64());
    }

    pub(crate) fn rejected(&self, error: &ShoutError) {
        let reason = if matches!(error, ShoutError::Full) { "full" } else { "paused" };
        self.0.rejected.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn tripped(&self) {
        self.0.trips.inc();
    }
}
