//! What is signed of a request (AWS IAM User Guide, "Create a signed AWS API request", step 1).

use std::time::SystemTime;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};

/// Changed on the way by proxies, so the SDK does not sign them either.
const NOT_SIGNED: [&str; 4] = ["authorization", "user-agent", "x-amzn-trace-id", "transfer-encoding"];

/// The canonical request and the names of the headers in it. `None` unless the request is `POST /` with a body in
/// memory and headers that stand there as they are signed.
pub(super) fn signable(request: &HttpRequest, date: &str, token: Option<&str>) -> Option<(String, String)> {
    let uri: http::uri::Parts = request.uri().parse::<http::Uri>().ok()?.into_parts();
    let is_root = uri.path_and_query.as_ref().is_none_or(|path| path.as_str() == "/");
    if !is_root || request.method() != "POST" {
        return None;
    }
    let body = request.body().bytes()?;
    let authority = uri.authority.as_ref().map(http::uri::Authority::as_str)?;
    let host = match uri.scheme.as_ref().map(http::uri::Scheme::as_str)? {
        "http" => authority.strip_suffix(":80"),
        _ => authority.strip_suffix(":443"),
    };

    let mut headers: Vec<(&str, &str)> = Vec::with_capacity(request.headers().len() + 3);
    headers.extend(request.headers().iter().filter(|(name, _)| !NOT_SIGNED.contains(name)));
    if !request.headers().contains_key("host") {
        headers.push(("host", host.unwrap_or(authority)));
    }
    headers.push(("x-amz-date", date));
    headers.extend(token.map(|token| ("x-amz-security-token", token)));
    headers.sort_unstable();
    let once = headers.is_sorted_by(|(name, _), (next, _)| name < next);
    if !once || headers.iter().any(|(_, value)| has_spare_space(value)) {
        return None;
    }

    let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let length = headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
    let mut canonical = String::with_capacity(length + names.len() + 80);
    canonical.push_str("POST\n/\n\n");
    for (name, value) in headers {
        for part in [name, ":", value, "\n"] {
            canonical.push_str(part);
        }
    }
    for part in ["\n", &names, "\n", &hex(digest(&SHA256, body))] {
        canonical.push_str(part);
    }
    Some((canonical, names))
}

/// Such space is signed in another form than it is sent in.
fn has_spare_space(value: &str) -> bool {
    value.starts_with(' ') || value.ends_with(' ') || value.contains("  ")
}

/// As in `20210130T002558Z`.
pub(super) fn date_time(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).format("%Y%m%dT%H%M%SZ").to_string()
}

pub(super) fn hex(bytes: impl AsRef<[u8]>) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
