//! HTTP requests to a service.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The longest that an answer is waited for.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Response {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("the answer is not JSON ({error}): {self:?}"))
    }
}

/// Sends a request, on a connection of its own; an error says why there was no answer.
pub async fn request(method: &str, url: &str, content_type: &str, body: Bytes) -> Result<Response, String> {
    request_within(ANSWER_WITHIN, method, url, content_type, body).await
}

/// As [`request`], with another limit than [`ANSWER_WITHIN`].
pub async fn request_within(
    limit: Duration,
    method: &str,
    url: &str,
    content_type: &str,
    body: Bytes,
) -> Result<Response, String> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::builder().method(method).uri(url).header(CONTENT_TYPE, content_type);
    let request = request.body(Full::new(body)).unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    let answer = async {
        let response = client.request(request).await.map_err(|error| root_cause(&error))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| root_cause(&error))?.to_bytes();
        let headers = parts.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
        Ok(Response {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    let answer = tokio::time::timeout(limit, answer).await;
    answer.unwrap_or_else(|_| Err(format!("no answer to {method} {url} within {limit:?}")))
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
