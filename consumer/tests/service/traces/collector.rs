//! A collector: takes spans by OTLP, as any other does, and keeps them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as Raw;
use prost::Message;
use tokio::net::TcpListener;
use upbeat_testkit::{Service, ServiceCommand, eventually};

use crate::LIMIT;

pub(super) struct Collector {
    url: String,
    spans: Spans,
}

type Spans = Arc<Mutex<Vec<Span>>>;

/// A span as it arrived, numbers in hex.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) service: String,
    pub(super) name: String,
    pub(super) kind: i32,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    /// Trace and span of each.
    pub(super) links: Vec<(String, String)>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) failed: bool,
    pub(super) lasted: u64,
}

impl Collector {
    pub(super) async fn start() -> Self {
        let spans = Spans::default();
        let app = Router::new().route("/v1/traces", post(export)).with_state(Arc::clone(&spans));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, spans }
    }

    /// Has a service send its spans here, soon after they ended.
    pub(super) fn watch(&self, service: ServiceCommand) -> ServiceCommand {
        service.env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url).env("OTEL_BSP_SCHEDULE_DELAY", "100")
    }

    /// The spans, once there are as many as wanted of each of these names.
    pub(super) async fn wait(&self, wanted: &[(&str, usize)]) -> Vec<Span> {
        eventually(&format!("spans {wanted:?}"), LIMIT, async || {
            let spans = self.spans.lock().unwrap().clone();
            let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
            let all = wanted.iter().all(|(name, wanted)| count(name) >= *wanted);
            if all { Ok(spans) } else { Err(format!("{:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>())) }
        })
        .await
    }
}

async fn export(State(spans): State<Spans>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in request.resource_spans {
        let about = attributes(resource.resource.unwrap().attributes);
        let raw = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.lock().unwrap().extend(raw.map(|raw| Span::new(about["service.name"].clone(), raw)));
    }
    StatusCode::OK
}

impl Span {
    fn new(service: String, raw: Raw) -> Self {
        Self {
            service,
            name: raw.name,
            kind: raw.kind,
            trace: hex(&raw.trace_id),
            id: hex(&raw.span_id),
            parent: hex(&raw.parent_span_id),
            links: raw.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
            attributes: attributes(raw.attributes),
            failed: raw.status.is_some_and(|status| status.code == 2),
            lasted: raw.end_time_unix_nano - raw.start_time_unix_nano,
        }
    }

    /// What others say of it.
    pub(super) fn place(&self) -> (String, String) {
        (self.trace.clone(), self.id.clone())
    }
}

/// The one span of this name.
pub(super) fn the<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let all: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let [one] = all[..] else { panic!("{name}: {all:?}") };
    one
}

/// The trace in the line of this event.
pub(super) fn traced(service: &Service, event: &str) -> String {
    service.events(event)[0].text("trace_id").to_owned()
}

fn attributes(all: Vec<KeyValue>) -> BTreeMap<String, String> {
    all.into_iter().map(|KeyValue { key, value, .. }| (key, value.map(text).unwrap_or_default())).collect()
}

fn text(value: AnyValue) -> String {
    match value.value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
