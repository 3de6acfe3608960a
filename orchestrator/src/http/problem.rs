//! What is wrong, as `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// When a client may try again, in seconds.
const RETRY_AFTER: &str = "5";

/// What is wrong, and what would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// The status' own words.
    title: String,
    /// The status.
    status: u16,
    /// What is wrong, and what would do.
    detail: String,
    #[serde(skip)]
    challenge: Option<&'static str>,
}

impl Problem {
    pub(super) fn new(status: u16, detail: impl Into<String>) -> Self {
        let words = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        Self { title: words.unwrap_or("Error").to_owned(), status, detail: detail.into(), challenge: None }
    }

    /// RFC 6750, section 3.
    pub(super) fn unauthorized(detail: &str, has_token: bool) -> Self {
        let challenge =
            if has_token { "Bearer realm=\"upbeat\", error=\"invalid_token\"" } else { "Bearer realm=\"upbeat\"" };
        Self { challenge: Some(challenge), ..Self::new(401, detail) }
    }

    #[cfg(test)]
    pub(super) const fn status(&self) -> u16 {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let challenge = self.challenge;
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}
