//! What traces are made of, by OpenTelemetry's conventions for HTTP: a span for each request, and one for each try of the
//! upstream, which is told.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use upbeat_service::Traces;
use upbeat_service::traces::{Begun, Ended, KeyValue, SpanKind, TRACEPARENT, TRACESTATE, TraceContext};

/// Of a request, in the trace of whoever sends it, if they trace.
pub(crate) fn server(traces: &Traces, headers: &HeaderMap) -> Option<Begun> {
    if !traces.is_on() {
        return None;
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    traces.begin(text(TRACEPARENT).and_then(|parent| TraceContext::parse(parent, text(TRACESTATE))))
}

pub(crate) fn end_server(traces: &Traces, span: Begun, status: StatusCode) {
    traces.end(span, || Ended {
        name: "POST /".to_owned(),
        kind: SpanKind::Server,
        attributes: vec![
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.route", "/"),
            KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
        ],
        links: Vec::new(),
        error: status.is_server_error().then(|| ("upstream", status.to_string().into())),
    });
}

/// Of a try.
pub(crate) fn client(traces: &Traces, request: Option<&TraceContext>) -> Option<Begun> {
    traces.begin(Some(request?.clone()))
}

pub(crate) fn end_client(traces: &Traces, span: Begun, uri: &Uri, error: Option<(&'static str, String)>) {
    traces.end(span, || Ended {
        name: "POST".to_owned(),
        kind: SpanKind::Client,
        attributes: vec![
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("url.full", uri.to_string()),
            KeyValue::new("server.address", uri.host().unwrap_or_default().to_owned()),
        ],
        links: Vec::new(),
        error: error.map(|(kind, reason)| (kind, Cow::Owned(reason))),
    });
}

/// Says which span a request belongs to.
pub(crate) fn tell(headers: &mut HeaderMap, span: &TraceContext) {
    let values = [(TRACEPARENT, Some(span.traceparent())), (TRACESTATE, span.tracestate())];
    for (name, value) in values {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
}
