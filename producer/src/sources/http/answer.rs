//! What is answered, and with which status.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::body::BodyError;
use crate::error::SendError;
use crate::refusal::Refusal;

/// When a client may try again, in seconds.
const RETRY_AFTER: &str = "1";

/// Of messages that came whole the first, of lines the second.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the description")]
pub(super) enum Accepted {
    Messages(Answer),
    Lines(Streamed),
}

/// What became of each message of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Answer {
    /// Why no message was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// One for each message, in their order.
    pub(super) messages: Vec<Outcome>,
}

/// What became of a message of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcome {
    /// The message's own id, its attribute `id`; null if it was refused.
    id: Option<String>,
    /// The id that SNS gave to it; null while it is in the spool.
    message_id: Option<String>,
    /// Why it was not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What became of the lines of a stream.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Streamed {
    /// Why it was not read to its end; send the lines from the first one on that was not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// How many lines were read.
    pub(super) lines: u64,
    /// How many of them were accepted.
    pub(super) accepted: u64,
    /// How many were blank.
    pub(super) blank: u64,
    /// How many were not accepted.
    pub(super) failed: u64,
    /// The first thousand of those that were not accepted; all others were.
    pub(super) errors: Vec<LineError>,
}

/// A line that was not accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LineError {
    /// Its number, from 1.
    pub(super) line: u64,
    /// Why.
    pub(super) error: String,
}

/// Why a request was refused as a whole.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    error: String,
    challenge: Option<&'static str>,
}

/// Why a request was refused as a whole, as JSON.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Refused {
    /// What is wrong, and what would do.
    error: String,
}

/// A message's own id, and the id that SNS gave to it unless it is in the spool.
pub(super) type Settled = (Option<String>, Result<Option<String>, SendError>);

pub(super) fn answer(outcomes: Vec<Settled>) -> Response {
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

/// Of the errors of all messages, in which `None` is a message that was accepted.
pub(super) fn status<'a>(errors: impl Iterator<Item = Option<&'a SendError>> + Clone) -> StatusCode {
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

pub(super) fn with_retry_after(status: StatusCode, answer: impl IntoResponse) -> Response {
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        (status, [(header::RETRY_AFTER, RETRY_AFTER)], answer).into_response()
    } else {
        (status, answer).into_response()
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), challenge: None }
    }

    /// As [`new`](Self::new), with the header that says what kind of credentials would do.
    pub(super) const fn with_challenge(mut self, challenge: &'static str) -> Self {
        self.challenge = Some(challenge);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let challenge = self.challenge.map(|challenge| [(header::WWW_AUTHENTICATE, challenge)]);
        let answer = with_retry_after(self.status, Json(Refused { error: self.error }));
        match challenge {
            Some(challenge) => (challenge, answer).into_response(),
            None => answer,
        }
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
