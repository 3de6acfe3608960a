//! `POST /messages`, and the description of the interface.

pub mod access;
mod answer;
mod openapi;
mod stream;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use upbeat_service::Metrics;
use upbeat_service::traces::{TRACEPARENT, TRACESTATE, TraceContext};

use super::body::{self, BodyError};
use crate::error::SendError;
use crate::message::Message;
use crate::meter::{self, Code};
use crate::producer::{Producer, Ticket};
pub use access::Access;
use answer::{Accepted, Problem, Refused, Settled, answer};
use stream::ParseLine;

/// The content type of messages with attributes and so on.
pub const TYPED: &str = "application/vnd.upbeat.message+json";

/// The content type of a stream of lines, each of which is a JSON value and a message.
pub const LINES: &str = "application/x-ndjson";

/// The same of messages with attributes and so on.
pub const TYPED_LINES: &str = "application/vnd.upbeat.message+x-ndjson";

/// The most bytes of a request that is no stream: a message of the largest size that SNS knows, 1 MiB, in JSON strings
/// that escape much.
pub const MAX_REQUEST: usize = 4 * 1024 * 1024;

/// How many requests may be read at a time; the others wait. What is read waits in the producer's buffer.
const MAX_READING: usize = 16;

/// How many streams may be read at a time; more are told to come again.
const MAX_STREAMS: usize = 16;

/// How long a request, or the next line of a stream, may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What requests are answered from: the producer, once there is one.
#[derive(Clone, Debug)]
pub struct Gateway {
    access: Access,
    producer: Arc<OnceLock<Producer>>,
    reading: Arc<Semaphore>,
    streaming: Arc<Semaphore>,
    /// Where answers are counted, if they are.
    answers: Option<Family<Code, Counter>>,
}

impl Gateway {
    /// Without a producer yet.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self {
            access,
            producer: Arc::default(),
            reading: Arc::new(Semaphore::new(MAX_READING)),
            streaming: Arc::new(Semaphore::new(MAX_STREAMS)),
            answers: None,
        }
    }

    /// Answers are counted.
    #[must_use]
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.answers = Some(meter::answers(metrics));
        self
    }

    /// From here on messages can be taken.
    pub fn open(&self, producer: Producer) {
        // There is one producer a process.
        drop(self.producer.set(producer));
    }
}

/// The routes of the producer.
pub fn routes(gateway: Gateway) -> Router {
    let messages = Router::new().route("/messages", post(publish)).with_state(gateway);
    messages.route("/openapi.json", get(openapi::openapi))
}

/// Publishes messages: a JSON value, an array of them, or a stream of lines
///
/// As application/json, a value is a message's body as it is written; an array is a message an element, 1000 at most. As
/// application/vnd.upbeat.message+json each is an object with a body (a string is the body itself) and, if wanted,
/// attributes (`id` is the message's own id), `group_id`, `deduplication_id` and `subject`. The same line by line, without a
/// limit, as application/x-ndjson and application/vnd.upbeat.message+x-ndjson.
#[utoipa::path(
    post,
    path = "/messages",
    tag = "messages",
    request_body(content(
        (serde_json::Value = "application/json"),
        (body::Document = "application/vnd.upbeat.message+json"),
        (String = "application/x-ndjson"),
        (String = "application/vnd.upbeat.message+x-ndjson"),
    )),
    responses(
        (status = 202, description = "all are accepted: published or, with a spool, on disk", body = Accepted),
        (status = 207, description = "some are accepted", body = Accepted),
        (status = 400, description = "not JSON, or not arrived whole", body = Refused),
        (status = 401, description = "a token is needed, or this is not one", body = Refused,
            headers(("www-authenticate" = String, description = "Bearer"))),
        (status = 403, description = "closed to other machines", body = Refused),
        (status = 408, description = "not arrived in time", body = Refused),
        (status = 413, description = "too large, or too many", body = Refused),
        (status = 415, description = "a content type that is not one of these", body = Refused),
        (status = 422, description = "JSON of another shape, or a message that SNS would not take", body = Refused),
        (status = 429, description = "the buffer or the spool is full", body = Refused,
            headers(("retry-after" = u32, description = "seconds"))),
        (status = 503, description = "SNS or the disk does not take it, or the producer is stopping", body = Refused,
            headers(("retry-after" = u32, description = "seconds"))),
    ),
    security((), ("token" = [])),
)]
async fn publish(State(gateway): State<Gateway>, request: Request) -> Response {
    let answer = accept(&gateway, request).await.unwrap_or_else(IntoResponse::into_response);
    if let Some(answers) = &gateway.answers {
        answers.get_or_create(&Code { code: answer.status().as_u16() }).inc();
    }
    answer
}

async fn accept(gateway: &Gateway, request: Request) -> Result<Response, Problem> {
    let (head, content) = request.into_parts();
    gateway.access.check(&head.headers).await?;
    let form = form(&head.headers)?;
    let Some(producer) = gateway.producer.get() else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the topic is not connected yet; /ready says why"));
    };
    let parent = parent(&head.headers);
    match form {
        Form::Whole(parse) => {
            let tickets = enqueue(gateway, producer, content, parse, parent).await?;
            Ok(answer(settle(tickets).await))
        }
        Form::Lines(parse) => {
            let streaming = gateway.streaming.try_acquire();
            let too_many = |_| Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many streams at a time");
            let _streaming = streaming.map_err(too_many)?;
            Ok(stream::publish(producer, content, parse, parent).await)
        }
    }
}

/// The span that the request belongs to, if its sender traces.
fn parent(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    TraceContext::parse(text(TRACEPARENT)?, text(TRACESTATE))
}

/// How messages are read from a request.
enum Form {
    Whole(fn(&[u8]) -> Result<Vec<Message>, BodyError>),
    Lines(ParseLine),
}

/// A content type is required: without one, any web page could publish from a visitor's browser.
fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(Form::Whole(body::plain)),
        TYPED => Ok(Form::Whole(body::typed)),
        LINES => Ok(Form::Lines(body::plain_line)),
        TYPED_LINES => Ok(Form::Lines(body::typed_line)),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the content type must be application/json, {TYPED}, {LINES} or {TYPED_LINES}"),
        )),
    }
}

async fn enqueue(
    gateway: &Gateway,
    producer: &Producer,
    content: Body,
    parse: fn(&[u8]) -> Result<Vec<Message>, BodyError>,
    parent: Option<TraceContext>,
) -> Result<Vec<Result<Ticket, SendError>>, Problem> {
    let reading = gateway.reading.acquire().await;
    let content = timeout(READ_TIMEOUT, read(content)).await;
    let content = content.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time"));
    let messages = parse(&content??)?.into_iter().map(|message| message.trace_parent(parent.clone()));
    let tickets = producer.try_enqueue_all(messages)?;
    drop(reading);
    Ok(tickets)
}

async fn read(content: Body) -> Result<Bytes, Problem> {
    let content = Limited::new(content, MAX_REQUEST).collect().await;
    content.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a request may have at most {MAX_REQUEST} bytes"))
        } else {
            Problem::new(StatusCode::BAD_REQUEST, format!("the request did not arrive whole: {error}"))
        }
    })
}

async fn settle(tickets: Vec<Result<Ticket, SendError>>) -> Vec<Settled> {
    let mut outcomes = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        outcomes.push(match ticket {
            Ok(ticket) => {
                let id = ticket.id().to_string();
                let sent = ticket.accepted().await;
                (Some(id), sent.map(|sent| sent.message_id().map(str::to_owned)))
            }
            Err(error) => (None, Err(error)),
        });
    }
    outcomes
}
