//! What is sent to us.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::redact;

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
    serde_json::from_value(value).map_err(|error| Problem::new(422, without_values(&error.to_string())))
}

/// An error of serde's without the text that it quotes: a secret may be where it was not looked for.
fn without_values(error: &str) -> String {
    let quoted = [(": string \"", "\", expected "), ("unknown variant `", "`, expected ")];
    for (before, after) in quoted {
        if let (Some(begins), Some(ends)) = (error.find(before), error.rfind(after))
            && begins < ends
        {
            let word = before.trim_end_matches(['"', '`']).trim_end();
            let (start, rest) = (&error[..begins], &error[ends + 1..]);
            return redact::text(&format!("{start}{word}{rest}"));
        }
    }
    redact::text(error)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Yes,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Asked {
        #[serde(default)]
        count: u32,
        #[serde(default)]
        list: Vec<String>,
        #[serde(default)]
        word: Option<Word>,
    }

    #[test]
    fn an_error_says_what_would_do_and_quotes_no_text_that_was_sent() {
        for (sent, told) in [
            (r#"{"count": "hunter2"}"#, "invalid type: string, expected u32"),
            (r#"{"count": "a\", expected hunter2"}"#, "invalid type: string, expected u32"),
            (r#"{"list": "run --password=hunter2"}"#, "invalid type: string, expected a sequence"),
            (r#"{"word": "hunter2"}"#, "unknown variant, expected `yes`"),
            (r#"{"word": "hunter`, expected 2"}"#, "unknown variant, expected `yes`"),
            (r#"{"counts": "hunter2"}"#, "unknown field `counts`, expected one of `count`, `list`, `word`"),
        ] {
            let why = serde_json::from_str::<serde_json::Value>(sent).map(serde_json::from_value::<Asked>);
            assert_eq!(without_values(&why.unwrap().unwrap_err().to_string()), told);
        }
    }
}
