//! Traces: what became of a message, from who posted it to its delete, as spans that OTLP takes to a collector.
//!
//! Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set. OpenTelemetry's own variables say the rest: `OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER` and its argument, `OTEL_EXPORTER_OTLP_HEADERS` and `_TIMEOUT`,
//! `OTEL_BSP_…`, `OTEL_SDK_DISABLED`. The protocol is http/protobuf. Unless a sampler is named, a hundred traces may begin here a
//! second, and those that others began are followed.
//!
//! No message waits for any of it: a span that has ended is put into a queue of bounded length, or dropped if that is full;
//! a thread of the SDK's own takes it from there. A collector that is away costs spans, and nothing else.
//!
//! Spans are made here rather than by the SDK's tracer: a message's span is known by the `traceparent` that goes with it
//! from when it is accepted, perhaps onto a disk, until it is published, perhaps by another process.

mod client;
mod context;
mod environment;

use std::borrow::Cow;
use std::cell::LazyCell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::InstrumentationScope;
pub use opentelemetry::trace::SpanKind;
use opentelemetry::trace::{Link, SpanId, Status, TraceId};
pub use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::Resource;
pub use opentelemetry_sdk::error::OTelSdkResult as Exported;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanEvents, SpanLinks, SpanProcessor};
pub use opentelemetry_sdk::trace::{SpanData, SpanExporter as Exporter};

pub use context::{TRACEPARENT, TRACESTATE, TraceContext};
use context::{any_trace, trace_of};
use environment::Sampling;

/// Where spans go, if they go anywhere. Clones share the same way out.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Exporting>>);

struct Exporting {
    processor: BatchSpanProcessor,
    sampling: Sampling,
    scope: InstrumentationScope,
}

/// A span that has begun: its place in a trace, and when that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    context: TraceContext,
    parent: Option<TraceContext>,
    /// Unset for a span that is not exported, of which nothing more is asked.
    at: Option<SystemTime>,
}

/// What is to be said of a span that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `publish orders` and the like.
    pub name: String,
    /// Which side of a message it is.
    pub kind: SpanKind,
    /// By OpenTelemetry's messaging conventions.
    pub attributes: Vec<KeyValue>,
    /// Spans of other traces that it has to do with.
    pub links: Vec<TraceContext>,
    /// What went wrong: `error.type`, and in words.
    pub error: Option<(&'static str, Cow<'static, str>)>,
}

impl Traces {
    /// Spans go to this exporter; who it is said to be, unless `OTEL_SERVICE_NAME` says otherwise.
    pub fn to(exporter: impl Exporter + 'static, service: &str, version: &str) -> Self {
        let resource = Resource::builder().with_attribute(KeyValue::new("service.version", version.to_owned()));
        let named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
            || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
        let resource = if named { resource } else { resource.with_service_name(service.to_owned()) };
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource.build());
        let scope = InstrumentationScope::builder("upbeat").with_version(version.to_owned()).build();
        Self(Some(Arc::new(Exporting { processor, sampling: Sampling::of_environment(), scope })))
    }

    /// As OpenTelemetry's variables say; off if they do not name a collector. `Err` says why it is off although they do.
    ///
    /// To be called in a Tokio runtime, which the requests to the collector are made on.
    pub fn of_environment(service: &str, version: &str) -> Result<Self, String> {
        Ok(environment::exporter()?.map_or_else(Self::default, |exporter| Self::to(exporter, service, version)))
    }

    /// Whether spans go anywhere.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span, in the trace of its parent or in one of its own. `None` if traces are off.
    #[must_use]
    pub fn begin(&self, parent: Option<TraceContext>) -> Option<Begun> {
        self.begin_in(parent, any_trace)
    }

    /// As [`begin`](Self::begin), for a message. A trace of its own is known by the message's id, so that whoever else has
    /// the message and exports as large a part of all traces exports the same ones.
    #[must_use]
    pub fn begin_message<'a>(&self, parent: Option<TraceContext>, id: impl FnOnce() -> Cow<'a, str>) -> Option<Begun> {
        self.begin_in(parent, || trace_of(&id()))
    }

    fn begin_in(&self, parent: Option<TraceContext>, trace: impl FnOnce() -> TraceId) -> Option<Begun> {
        let on = self.0.as_ref()?;
        let context = if let Some(parent) = &parent {
            parent.child(on.sampling.follows(parent))
        } else {
            let trace_id = trace();
            TraceContext::root(trace_id, on.sampling.takes(|| trace_id))
        };
        Some(Begun::now(context, parent))
    }

    /// As [`begin_message`](Self::begin_message), but `None` also where a trace would begin that is not exported: nobody needs
    /// to hear of it.
    #[must_use]
    pub fn begin_exported<'a>(&self, parent: Option<TraceContext>, id: impl FnOnce() -> Cow<'a, str>) -> Option<Begun> {
        if parent.is_some() {
            return self.begin_message(parent, id);
        }
        let on = self.0.as_ref()?;
        let trace_id = LazyCell::new(|| trace_of(&id()));
        on.sampling.takes(|| *trace_id).then(|| Begun::now(TraceContext::root(*trace_id, true), None))
    }

    /// Begins, at an earlier time, the span of a call for several messages, which is in the trace of a single one or else in
    /// its own. It is exported if one of these messages' spans is; if they have none, as any trace that begins here.
    #[must_use]
    pub fn begin_batch(&self, messages: usize, of: &[TraceContext], at: SystemTime) -> Option<Begun> {
        let on = self.0.as_ref()?;
        let parent = of.first().filter(|_| messages == 1).cloned();
        let context = match (&parent, of) {
            (Some(parent), _) => parent.child(on.sampling.follows(parent)),
            (None, []) => {
                let trace_id = any_trace();
                TraceContext::root(trace_id, on.sampling.takes(|| trace_id))
            }
            (None, of) => TraceContext::root(any_trace(), of.iter().any(TraceContext::is_sampled)),
        };
        let at = context.is_sampled().then_some(at);
        Some(Begun { context, parent, at })
    }

    /// Ends a span. What is said of it is only asked for if it is to be exported.
    pub fn end(&self, begun: Begun, ended: impl FnOnce() -> Ended) {
        let (Some(on), Some(start_time)) = (&self.0, begun.at) else { return };
        let Ended { name, kind, mut attributes, links, error } = ended();
        let status = match error {
            None => Status::Unset,
            Some((error_type, description)) => {
                attributes.push(KeyValue::new("error.type", error_type));
                Status::Error { description }
            }
        };
        let link = |context: TraceContext| Link::new(context.into_inner(), Vec::new(), 0);
        let mut to = SpanLinks::default();
        to.links = links.into_iter().map(link).collect();
        on.processor.on_end(SpanData {
            parent_span_id: begun.parent.as_ref().map_or(SpanId::INVALID, TraceContext::span_id),
            parent_span_is_remote: begun.parent.as_ref().is_some_and(TraceContext::is_remote),
            span_context: begun.context.into_inner(),
            span_kind: kind,
            name: name.into(),
            start_time,
            end_time: SystemTime::now(),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: to,
            status,
            instrumentation_scope: on.scope.clone(),
        });
    }

    /// Sends what is left, for no longer than this. Blocks.
    pub fn shut_down(&self, within: Duration) {
        if let Some(on) = &self.0 {
            // The SDK logs what goes wrong.
            drop(on.processor.shutdown_with_timeout(within));
        }
    }
}

impl Begun {
    /// A span that began in another process or was lost sight of: it is known by its context alone.
    #[must_use]
    pub fn known_by(context: TraceContext) -> Self {
        Self::now(context, None)
    }

    fn now(context: TraceContext, parent: Option<TraceContext>) -> Self {
        let at = context.is_sampled().then(SystemTime::now);
        Self { context, parent, at }
    }

    /// Whether it is exported when it has ended.
    #[must_use]
    pub const fn is_exported(&self) -> bool {
        self.at.is_some()
    }

    /// Its place in the trace, for those that come after it.
    #[must_use]
    pub const fn context(&self) -> &TraceContext {
        &self.context
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Traces").field("on", &self.is_on()).finish()
    }
}
