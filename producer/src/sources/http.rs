//! `POST /messages`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::body::{self, BodyError};
use crate::error::SendError;
use crate::message::Message;
use crate::producer::{Producer, Ticket};
use crate::refusal::Refusal;

/// The content type of messages with attributes and so on.
pub const TYPED: &str = "application/vnd.upbeat.message+json";

/// The most bytes of a request: a message of the largest size that SNS knows, 1 MiB, in JSON strings that escape much.
pub const MAX_REQUEST: usize = 4 * 1024 * 1024;

/// How many requests may be read at a time; the others wait. What is read waits in the producer's buffer.
const MAX_READING: usize = 16;

/// How long a request may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// When a client may try again, in seconds.
const RETRY_AFTER: &str = "1";

/// What requests are answered from: the producer, once there is one.
#[derive(Clone, Debug)]
pub struct Gateway {
    producer: Arc<OnceLock<Producer>>,
    reading: Arc<Semaphore>,
}

/// What became of a message of a request.
#[derive(Debug, Serialize)]
struct Outcome {
    id: Option<String>,
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Why a request was refused as a whole.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    error: String,
}

impl Gateway {
    /// From here on messages can be taken.
    pub fn open(&self, producer: Producer) {
        // There is one producer a process.
        drop(self.producer.set(producer));
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self { producer: Arc::default(), reading: Arc::new(Semaphore::new(MAX_READING)) }
    }
}

/// The routes of the producer.
pub fn routes(gateway: Gateway) -> Router {
    Router::new().route("/messages", post(publish)).with_state(gateway)
}

async fn publish(State(gateway): State<Gateway>, request: Request) -> Response {
    match enqueue(&gateway, request).await {
        Ok(tickets) => answer(settle(tickets).await),
        Err(problem) => problem.into_response(),
    }
}

async fn enqueue(gateway: &Gateway, request: Request) -> Result<Vec<Result<Ticket, SendError>>, Problem> {
    let Some(producer) = gateway.producer.get() else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the topic is not connected yet; /ready says why"));
    };
    let (head, content) = request.into_parts();
    let parse = parser(&head.headers)?;
    let reading = gateway.reading.acquire().await;
    let content = timeout(READ_TIMEOUT, read(content)).await;
    let content = content.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time"));
    let messages = parse(&content??)?;
    let tickets = producer.try_enqueue_all(messages)?;
    drop(reading);
    Ok(tickets)
}

type Parser = fn(&[u8]) -> Result<Vec<Message>, BodyError>;

/// A content type is required: without one, any web page could publish from a visitor's browser.
fn parser(headers: &HeaderMap) -> Result<Parser, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(body::plain),
        TYPED => Ok(body::typed),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the content type must be application/json or {TYPED}"),
        )),
    }
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

type Settled = (Option<String>, Result<Option<String>, SendError>);

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

fn answer(outcomes: Vec<Settled>) -> Response {
    let status = status(outcomes.iter().map(|(_, outcome)| outcome.as_ref().err()));
    let messages = outcomes.into_iter().map(|(id, outcome)| match outcome {
        Ok(message_id) => Outcome { id, message_id, error: None },
        Err(error) => Outcome { id, message_id: None, error: Some(error.to_string()) },
    });
    let messages: Vec<_> = messages.collect();
    let error = match (status, &messages[..]) {
        (StatusCode::ACCEPTED | StatusCode::MULTI_STATUS, _) => None,
        (_, [message]) => message.error.clone(),
        _ => Some("no message was accepted".to_owned()),
    };
    with_retry_after(status, Json(Answer { error, messages }))
}

#[derive(Debug, Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    messages: Vec<Outcome>,
}

/// Of the errors of all messages, in which `None` is a message that was published.
fn status<'a>(errors: impl Iterator<Item = Option<&'a SendError>> + Clone) -> StatusCode {
    let failed = errors.clone().flatten();
    let all = |wanted: fn(&SendError) -> bool| failed.clone().all(wanted);
    if failed.clone().next().is_none() {
        StatusCode::ACCEPTED
    } else if errors.into_iter().any(|error| error.is_none()) {
        StatusCode::MULTI_STATUS
    } else if all(|error| matches!(error, SendError::Refused(Refusal::TooLarge { .. }))) {
        StatusCode::PAYLOAD_TOO_LARGE
    } else if all(|error| !error.can_retry()) {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

fn with_retry_after(status: StatusCode, answer: impl IntoResponse) -> Response {
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        (status, [(header::RETRY_AFTER, RETRY_AFTER)], answer).into_response()
    } else {
        (status, answer).into_response()
    }
}

impl Problem {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        with_retry_after(self.status, Json(serde_json::json!({"error": self.error})))
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::NotJson(_) => StatusCode::BAD_REQUEST,
            BodyError::Shape(_) => StatusCode::UNPROCESSABLE_ENTITY,
            BodyError::TooMany(_) => StatusCode::PAYLOAD_TOO_LARGE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        let status = match error {
            SendError::Full | SendError::SpoolFull => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
