//! What OpenTelemetry's environment variables say of traces.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};
use tracing::warn;

use super::TraceContext;
use super::client::Collector;

/// How long a request to the collector may take, as the specification has it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many traces may begin here in a second unless a sampler is named. It is few enough to cost nothing to speak of under full load.
const TRACES_A_SECOND: u32 = 100;

/// Which traces are exported.
#[derive(Debug)]
pub(super) struct Sampling {
    root: Root,
    /// Whoever began a trace decides for all of it.
    parent_decides: bool,
}

/// Which of the traces that begin here.
#[derive(Debug)]
enum Root {
    Sampler(Sampler),
    ASecond(Allowance),
}

/// So many a second.
#[derive(Debug)]
struct Allowance {
    since: Instant,
    /// The second, and how many were taken in it.
    taken: AtomicU64,
}

impl Sampling {
    pub(super) fn of_environment() -> Self {
        let Some(sampler) = set("OTEL_TRACES_SAMPLER") else {
            return Self { root: Root::ASecond(Allowance::new()), parent_decides: true };
        };
        let (parent_decides, root) = match sampler.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, sampler.as_str()),
        };
        let root = match root {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(ratio()),
            _ => {
                warn!(%sampler, "OTEL_TRACES_SAMPLER is none that is known here; all traces are exported");
                Sampler::AlwaysOn
            }
        };
        Self { root: Root::Sampler(root), parent_decides }
    }

    /// Whether a trace that begins here is exported.
    pub(super) fn takes(&self, trace_id: impl FnOnce() -> TraceId) -> bool {
        match &self.root {
            Root::Sampler(sampler) => {
                let asked = sampler.should_sample(None, trace_id(), "", &SpanKind::Internal, &[], &[]);
                asked.decision == SamplingDecision::RecordAndSample
            }
            Root::ASecond(allowance) => allowance.take(allowance.since.elapsed()),
        }
    }

    /// Whether a span with this parent is exported.
    pub(super) fn follows(&self, parent: &TraceContext) -> bool {
        if self.parent_decides { parent.is_sampled() } else { self.takes(|| parent.clone().into_inner().trace_id()) }
    }
}

impl Allowance {
    fn new() -> Self {
        Self { since: Instant::now(), taken: AtomicU64::new(0) }
    }

    fn take(&self, now: Duration) -> bool {
        let second = now.as_secs() << 32;
        let one_more = |taken: u64| {
            let taken = if taken & !u64::from(u32::MAX) == second { taken } else { second };
            (taken < second + u64::from(TRACES_A_SECOND)).then_some(taken + 1)
        };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

fn ratio() -> f64 {
    let Some(argument) = set("OTEL_TRACES_SAMPLER_ARG") else { return 1.0 };
    argument.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or_else(|| {
        warn!(%argument, "OTEL_TRACES_SAMPLER_ARG is no number from 0 to 1; all traces are exported");
        1.0
    })
}

/// The exporter, if there is to be one; `Err` says why there can't be.
pub(super) fn exporter() -> Result<Option<SpanExporter>, String> {
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let not_here = set("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter != "otlp");
    if disabled || not_here || endpoints.iter().all(|variable| set(variable).is_none()) {
        return Ok(None);
    }
    let protocol = first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]);
    if let Some(protocol) = protocol.filter(|protocol| protocol != "http/protobuf") {
        return Err(format!("OTEL_EXPORTER_OTLP_PROTOCOL asks for {protocol}, and only http/protobuf is spoken here"));
    }
    let timeout = first(["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
    let timeout = timeout.and_then(|millis| millis.parse().ok()).map_or(TIMEOUT, Duration::from_millis);
    let collector = Collector::new(timeout).map_err(|error| format!("{error:#}"))?;
    let exporter = SpanExporter::builder().with_http().with_http_client(collector);
    let exporter = exporter.with_protocol(Protocol::HttpBinary).build();
    exporter.map(Some).map_err(|error| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}"))
}

fn first(variables: [&str; 2]) -> Option<String> {
    variables.into_iter().find_map(set)
}

/// An empty variable counts as none, as the specification has it.
fn set(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_traces_begin_in_a_second_and_as_many_in_the_next() {
        let allowance = Allowance::new();
        let taken = |millis| (0..1000).filter(|_| allowance.take(Duration::from_millis(millis))).count();
        assert_eq!([taken(0), taken(999), taken(1000), taken(5500)], [100, 0, 100, 100]);
    }
}
