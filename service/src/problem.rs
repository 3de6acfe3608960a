//! What is wrong with a request, as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::tokens;

/// What its answers have as their content type.
pub const CONTENT: &str = "application/problem+json";

/// When a client may try again that is told to, in seconds, unless the problem says otherwise.
const AGAIN: u64 = 5;

/// What is wrong, and what would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What the status means.
    title: &'static str,
    /// The same status as the answer's own.
    status: u16,
    /// What is wrong, and what would do.
    detail: String,
    #[serde(skip)]
    retry_after: Option<u64>,
    #[serde(skip)]
    challenge: Option<&'static str>,
}

impl Problem {
    /// Of this status; 429 and 503 tell the client to come again.
    #[must_use]
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let known = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let title = known.canonical_reason().unwrap_or("Error");
        let comes_again = known == StatusCode::SERVICE_UNAVAILABLE || known == StatusCode::TOO_MANY_REQUESTS;
        let retry_after = comes_again.then_some(AGAIN);
        let (status, detail) = (known.as_u16(), detail.into());
        Self { kind: "about:blank", title, status, detail, retry_after, challenge: None }
    }

    /// Who asks has shown no token, or one that does not count.
    #[must_use]
    pub fn unauthorized(detail: &str, has_token: bool) -> Self {
        Self { challenge: Some(tokens::challenge(has_token)), ..Self::new(401, detail) }
    }

    /// The client may come again after so many seconds.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, retry_after, challenge, .. } = self;
        let mut answer = Json(self).into_response();
        // It was one when this was made.
        *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_problems_status_and_the_headers_that_go_with_it() {
        let headers = |problem: Problem| {
            let answer = problem.into_response();
            let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(header(CONTENT_TYPE).as_deref(), Some(CONTENT));
            (answer.status().as_u16(), header(RETRY_AFTER), header(WWW_AUTHENTICATE).is_some())
        };
        assert_eq!(headers(Problem::new(404, "x")), (404, None, false));
        assert_eq!(headers(Problem::new(503, "x")), (503, Some("5".to_owned()), false));
        assert_eq!(headers(Problem::new(502, "x").retry_after(2)), (502, Some("2".to_owned()), false));
        assert_eq!(headers(Problem::unauthorized("x", true)), (401, None, true));
        assert_eq!(headers(Problem::new(7, "no status")), (500, None, false));
    }
}
