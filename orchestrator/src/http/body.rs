//! What is sent to us.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::Problem;

/// The most bytes of a request.
const MAX_REQUEST: usize = 256 * 1024;

/// Reads a body of JSON. The content type is required: browsers ask before they send it to another site.
pub(super) async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    json_within(headers, body, MAX_REQUEST).await
}

/// The same of so many bytes at most.
pub(super) async fn json_within<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<T, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(415, "the content type must be application/json"));
    }
    let bytes = to_bytes(body, most).await;
    let bytes = bytes.map_err(|_| Problem::new(413, format!("a request may have at most {most} bytes")))?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| Problem::new(400, format!("not JSON: {error}")))?;
    // An array would be taken for an object's fields in their order.
    if !value.is_object() {
        return Err(Problem::new(422, "an object is wanted"));
    }
    serde_json::from_value(value).map_err(|error| Problem::new(422, error.to_string()))
}
