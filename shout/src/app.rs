//! How the binary starts and stops: texts are answered until the service is to stop, and those under way after that.

use std::time::Duration;

use axum::Router;
use tokio::time::timeout;
use tracing::{info, warn};
use upbeat_service::{Service, Stopped};

use crate::cache::Cache;
use crate::http::{self, Gateway};
use crate::settings::Settings;
use crate::shouter::Shouter;
use crate::upstream::{Limits, Upstream};

/// The routes, and the work: until the service is to stop and all that was begun is answered.
pub fn start(
    service: Service,
    settings: &Settings,
    drain_timeout: Duration,
) -> (Router, impl Future<Output = anyhow::Result<Stopped>> + use<>) {
    let (routes, gateway) = match gateway(&service, settings) {
        Ok(gateway) => (http::routes(gateway.clone()), Ok(gateway)),
        Err(error) => (Router::new(), Err(error)),
    };
    (routes, async move {
        let gateway = gateway?;
        service.stop.cancelled().await;
        let drained = timeout(drain_timeout, gateway.idle()).await;
        let abandoned = gateway.under_way();
        if drained.is_err() {
            warn!(abandoned, "stopped");
            return Ok(Stopped::Unfinished);
        }
        info!(abandoned, "stopped");
        Ok(Stopped::Clean)
    })
}

fn gateway(service: &Service, settings: &Settings) -> anyhow::Result<Gateway> {
    let Service { metrics, readiness, traces, .. } = service;
    let limits = Limits {
        timeout: settings.upstream_timeout,
        tries: settings.upstream_tries,
        concurrency: settings.upstream_concurrency.into(),
        queue: settings.upstream_queue.into(),
        breaker_threshold: settings.breaker_threshold,
    };
    let upstream = settings.upstream.as_ref();
    let upstream = upstream.map(|endpoint| Upstream::new(endpoint, limits, metrics, readiness, traces)).transpose()?;
    let shown = upstream.as_ref().map_or_else(|| "none".to_owned(), |upstream| upstream.uri().to_string());
    if upstream.is_none() {
        readiness.note("upstream", "none");
    }
    let cache = Cache::new(&settings.cache, &shown, settings.cache_size, settings.cache_ttl, metrics, readiness)?;
    info!(upstream = %shown, cache = ?settings.cache, "shouting");
    let shouter = Shouter::new(upstream, cache, settings.deadline);
    Ok(Gateway::new(shouter, settings.max_body, metrics, traces))
}
