//! `POST /`, and the description of the interface with a page to try it.

mod body;
mod openapi;
mod problem;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use tokio_util::task::TaskTracker;
use upbeat_service::page::{Recent, Seen};
use upbeat_service::problem::{CONTENT, Problem};
use upbeat_service::traces::Begun;
use upbeat_service::{Metrics, Traces, docs};
use utoipa::ToSchema;

use crate::meter::HttpMeter;
use crate::shouter::{From, Shouted, Shouter};
use crate::spans;
use body::Bodies;

const JSON: &str = "application/json";

/// How the answer was had (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What requests are answered from. Clones are of the same.
#[derive(Clone, Debug)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shouter: Shouter,
    bodies: Bodies,
    under_way: TaskTracker,
    meter: HttpMeter,
    recent: Recent,
    traces: Traces,
}

impl Gateway {
    /// Bodies may have this many bytes.
    #[must_use]
    pub fn new(shouter: Shouter, max_body: usize, metrics: &Metrics, traces: &Traces) -> Self {
        let under_way = TaskTracker::new();
        let meter = HttpMeter::new(metrics, &under_way);
        let (recent, traces) = (metrics.recent().clone(), traces.clone());
        Self(Arc::new(Inner { shouter, bodies: Bodies::new(max_body), under_way, meter, recent, traces }))
    }

    /// Waits until no request is under way.
    pub async fn idle(&self) {
        self.0.under_way.close();
        self.0.under_way.wait().await;
    }

    /// How many requests are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.0.under_way.len()
    }
}

/// The routes of shout.
pub fn routes(gateway: Gateway) -> Router {
    Router::new()
        .route("/", post(shout).with_state(gateway))
        .route("/openapi.json", get(openapi::openapi))
        .merge(docs::routes("."))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .fallback(problem::not_found)
}

/// A text.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Text, example = json!({"data": "test"}))]
struct Text<'a> {
    /// The text itself.
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// Reverses a text and capitalises it
///
/// By user-perceived characters: a letter with its accents, a flag, a family of emoji stay what they are. Whatever the
/// content type, the body is JSON.
#[utoipa::path(
    post,
    path = "/",
    tag = "shout",
    request_body(content = Text, content_type = "application/json"),
    responses(
        (status = 200, description = "the text, reversed and in capitals", body = Text,
            headers(("cache-status" = String, description = "whether it was in the cache, by RFC 9211"))),
        (status = 400, description = "not JSON, or not arrived whole", body = Problem, content_type = CONTENT),
        (status = 408, description = "not arrived in time", body = Problem, content_type = CONTENT),
        (status = 413, description = "too large", body = Problem, content_type = CONTENT),
        (status = 422, description = "JSON, and no object with a text as its data", body = Problem,
            content_type = CONTENT),
        (status = 502, description = "the upstream fails, or its answer is no use", body = Problem,
            content_type = CONTENT, headers(("retry-after" = u32, description = "seconds"))),
        (status = 503, description = "the upstream is not asked for now, or too many wait for it", body = Problem,
            content_type = CONTENT, headers(("retry-after" = u32, description = "seconds"))),
        (status = 504, description = "the upstream has not answered in time", body = Problem,
            content_type = CONTENT, headers(("retry-after" = u32, description = "seconds"))),
    ),
)]
async fn shout(State(gateway): State<Gateway>, request: Request) -> Response {
    let Gateway(inner) = gateway;
    let _under_way = inner.under_way.token();
    let (head, body) = request.into_parts();
    let span = spans::server(&inner.traces, &head.headers);
    let answer = inner.answer(&head.headers, body, span.as_ref()).await.unwrap_or_else(IntoResponse::into_response);
    let status = answer.status();
    inner.meter.answered(status.as_u16());
    if let Some(span) = span {
        spans::end_server(&inner.traces, span, status);
    }
    answer
}

impl Inner {
    async fn answer(&self, headers: &HeaderMap, body: Body, span: Option<&Begun>) -> Result<Response, Problem> {
        let body = self.bodies.read(body).await?;
        let Text { data } = parse(&body.bytes)?;
        let began = Instant::now();
        let shouted = self.shouter.shout(&data, span.map(Begun::context)).await;
        let from = shouted.as_ref().ok().map(|shouted| shouted.from);
        let took = began.elapsed();
        self.meter.shouted(from, took);
        self.recent.note(&data, || seen(headers, from, took));
        let Shouted { text, from } = shouted?;
        let status = match from {
            From::Cache => "shout; hit",
            From::Shared => "shout; fwd=miss; collapsed",
            From::Upstream | From::Here => "shout; fwd=miss",
        };
        // A struct with a text can always be written.
        let answer = serde_json::to_vec(&Text { data: Cow::Borrowed(&text) }).unwrap_or_default();
        let headers = [(CONTENT_TYPE, JSON), (CACHE_STATUS, status)];
        Ok((headers, answer).into_response())
    }
}

/// For the page. The consumer's http handler says which message it is; others may do as it does.
fn seen(headers: &HeaderMap, from: Option<From>, took: Duration) -> Seen {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Seen {
        at: SystemTime::now(),
        id: text("upbeat-id").unwrap_or_default(),
        message_id: text("upbeat-message-id"),
        attempt: text("upbeat-attempt").and_then(|attempt| attempt.parse().ok()).unwrap_or(1),
        outcome: from.map_or("failed", From::name),
        took,
        body: None,
    }
}

/// The text of a request.
fn parse(body: &[u8]) -> Result<Text<'_>, Problem> {
    let not_json = |error| Problem::new(400, format!("the body is not JSON: {error}"));
    let wanted = r#"the body must be an object such as {"data": "test"}"#;
    let other_shape = |why: &str| Problem::new(422, format!("{wanted}{why}"));
    match serde_json::from_slice::<Text<'_>>(body) {
        // A struct may be an array, too, as serde reads it.
        Ok(_) if body.trim_ascii_start().first() != Some(&b'{') => Err(other_shape("")),
        Ok(text) => Ok(text),
        Err(error) if error.classify() == Category::Data => {
            // What comes behind the fault has not been looked at.
            serde_json::from_slice::<IgnoredAny>(body).map_err(not_json)?;
            Err(other_shape(&format!(": {error}")))
        }
        Err(error) => Err(not_json(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_a_text_or_told_apart_into_not_json_and_another_shape() {
        for (body, text) in [
            (r#"{"data": "test"}"#, "test"),
            (r#" {"more": [1, {}], "data": ""}"#, ""),
            (r#"{"data": "\u00e9\ud83d\ude00\n"}"#, "é😀\n"),
            ("\t\n{\"data\":\"ß\"}\r\n", "ß"),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap().data, text, "{body}");
        }
        let status = |body: &[u8]| parse(body).unwrap_err().status();
        for body in [
            &b""[..],
            b"test",
            b"{",
            br#"{"data": "test"#,
            br#"{"data": "test"} x"#,
            br#"{"data": 1, "#,
            br#"{"data": "\ud800"}"#,
            b"{\"data\": \"\xff\"}",
            b"\xef\xbb\xbf{\"data\": \"a\"}",
            br#"["test""#,
        ] {
            assert_eq!(status(body), 400, "{}", String::from_utf8_lossy(body));
        }
        for body in [
            r#"["test"]"#,
            r#""test""#,
            "null",
            "{}",
            r#"{"data": null}"#,
            r#"{"data": 1}"#,
            r#"{"data": ["test"]}"#,
            r#"{"Data": "test"}"#,
            r#"{"data": "a", "data": "b"}"#,
        ] {
            assert_eq!(status(body.as_bytes()), 422, "{body}");
        }
    }
}
