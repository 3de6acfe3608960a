//! What `/health` and `/ready` say, as metrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::{Health, Readiness};

#[derive(Debug)]
struct State {
    health: Health,
    readiness: Readiness,
}

pub(super) fn register(registry: &mut Registry, health: Health, readiness: Readiness) {
    registry.register_collector(Box::new(State { health, readiness }));
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauges = [
            ("upbeat_healthy", "Whether every long-lived task makes progress, as /health says.", self.health.check()),
            ("upbeat_ready", "Whether the service can do its work, as /ready says.", self.readiness.check()),
        ];
        for (name, help, checked) in gauges {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::from(checked.is_ok())).encode(encoder)?;
        }
        Ok(())
    }
}
