//! What nobody has to keep: it is looked at when it is asked for.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// Name, help, a label if there is one, and the value; those of one name come together.
pub(super) type Sample = (&'static str, &'static str, Option<(&'static str, &'static str)>, i64);

/// What can be looked at.
pub(super) trait Held: Send + Sync + 'static {
    fn gauges(&self) -> Vec<Sample>;
}

/// Looks at what it was given, once there is something.
pub(super) struct Look<H>(Arc<OnceLock<H>>);

impl<H> Look<H> {
    /// The first one counts; a process has one.
    pub(super) fn watch(&self, held: H) {
        drop(self.0.set(held));
    }
}

impl<H: Held> Collector for Look<H> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = self.0.get().map(Held::gauges).unwrap_or_default();
        for family in samples.chunk_by(|one, other| one.0 == other.0) {
            let (name, help, ..) = family[0];
            let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            if let [(_, _, None, value)] = family {
                ConstGauge::new(*value).encode(encoder)?;
                continue;
            }
            for (_, _, label, value) in family {
                let labels: Vec<_> = label.iter().copied().collect();
                ConstGauge::new(*value).encode(encoder.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl<H> Default for Look<H> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<H> Clone for Look<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H> fmt::Debug for Look<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Look").finish_non_exhaustive()
    }
}
