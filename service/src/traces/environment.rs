//! What OpenTelemetry's environment variables say of traces.

use std::env;
use std::time::Duration;

use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};
use tracing::warn;

use super::TraceContext;
use super::client::Collector;

/// How long a request to the collector may take, as the specification has it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Which traces are exported.
#[derive(Debug)]
pub(super) struct Sampling {
    root: Sampler,
    /// Whoever began a trace decides for all of it.
    parent_decides: bool,
}

impl Sampling {
    /// `parentbased_always_on` if nothing else is said.
    pub(super) fn of_environment() -> Self {
        let sampler = set("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
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
        Self { root, parent_decides }
    }

    /// Whether a trace that begins here is exported.
    pub(super) fn takes(&self, trace_id: TraceId) -> bool {
        let asked = self.root.should_sample(None, trace_id, "", &SpanKind::Internal, &[], &[]);
        asked.decision == SamplingDecision::RecordAndSample
    }

    /// Whether a span with this parent is exported.
    pub(super) fn follows(&self, parent: &TraceContext) -> bool {
        if self.parent_decides { parent.is_sampled() } else { self.takes(parent.clone().into_inner().trace_id()) }
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
