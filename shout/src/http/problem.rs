//! What is answered when there is no text, as RFC 9457 has it.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{ShoutError, seconds};

pub(super) const CONTENT: &str = "application/problem+json";

/// Why there is no text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always the same: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What the status means.
    title: &'static str,
    /// The same status as the answer's own.
    #[serde(serialize_with = "number")]
    #[schema(value_type = u16)]
    pub(super) status: StatusCode,
    /// What is wrong, and what would do.
    detail: String,
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        Self { kind: "about:blank", title, status, detail: detail.into(), retry_after: None }
    }

    /// In a moment there may be room.
    pub(super) fn busy(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }
}

impl From<ShoutError> for Problem {
    fn from(error: ShoutError) -> Self {
        let status = match error {
            ShoutError::Failed(_) | ShoutError::Wrong(_) => StatusCode::BAD_GATEWAY,
            ShoutError::Late(_) => StatusCode::GATEWAY_TIMEOUT,
            ShoutError::Postponed(_) | ShoutError::Paused(_) | ShoutError::Full => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { retry_after: Some(seconds(error.retry_after())), ..Self::new(status, error.to_string()) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let retry_after = self.retry_after.map(|seconds| [(RETRY_AFTER, seconds)]);
        // A struct of texts and a number can always be written.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut answer = (self.status, [(CONTENT_TYPE, CONTENT)], body).into_response();
        for (name, seconds) in retry_after.into_iter().flatten() {
            answer.headers_mut().insert(name, seconds.into());
        }
        answer
    }
}

pub(super) async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {}; texts are posted to /", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} is not for {method}; texts are posted to /", uri.path()))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
