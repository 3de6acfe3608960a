//! What the endpoint's answer means for the message.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HeaderMap, LOCATION, RETRY_AFTER};
use http::response::Parts;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::outcome::Outcome;

/// How much of an answer's body is read: what is read to its end leaves the connection for the next request.
const MOST_READ: usize = 16 * 1024;

/// How long it is read.
const READ_TIME: Duration = Duration::from_secs(1);

/// How much of it is in the text of a failure.
const MOST_TOLD: usize = 512;

/// Decides by the status what becomes of the message. `reject`: client errors are the message's fault.
pub(super) async fn outcome<B>(answer: Response<B>, reject: bool) -> Outcome
where
    B: BodyExt<Data = Bytes>,
{
    let (Parts { status, headers, .. }, body) = answer.into_parts();
    let body = beginning(body).await;
    if status.is_success() {
        return Outcome::Done;
    }
    let may_say_when = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if let Some(after) = may_say_when.then(|| retry_after(&headers, SystemTime::now())).flatten() {
        return Outcome::Retry { after };
    }
    let text = text(status, &headers, &body);
    let for_now = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    if reject && status.is_client_error() && !for_now {
        Outcome::Reject { reason: text }
    } else {
        Outcome::Failed { error: text }
    }
}

/// Reads a body until it ends, fails, becomes too long or takes too long.
async fn beginning<B: BodyExt<Data = Bytes>>(body: B) -> Vec<u8> {
    let until = Instant::now() + READ_TIME;
    let mut body = pin!(body);
    let mut read = Vec::new();
    while let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await {
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(data);
        }
        if read.len() > MOST_READ {
            break;
        }
    }
    read
}

/// How long to wait, if the answer says so. A time that is over says nothing: taken by its word, it would be a try
/// after another without a pause.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    let until = || httpdate::parse_http_date(value).ok()?.duration_since(now).ok();
    seconds.or_else(until).filter(|after| !after.is_zero())
}

fn text(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
    let location = headers.get(LOCATION).filter(|_| status.is_redirection());
    let redirect = location.map_or_else(String::new, |location| {
        format!(", a redirect to {}, which is not followed", String::from_utf8_lossy(location.as_bytes()))
    });
    let told = String::from_utf8_lossy(&body[..body.len().min(MOST_TOLD)]);
    match told.trim() {
        "" => format!("the endpoint answered {status}{redirect}"),
        told => format!("the endpoint answered {status}{redirect}: {told}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_in_the_future() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let after = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_bytes(value.as_bytes()).unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(after("120"), Some(Duration::from_mins(2)));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_mins(1)));
        for nothing in
            ["0", "-1", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:00:00 GMT", "soon", "", "\u{ff}"]
        {
            assert_eq!(after(nothing), None, "{nothing}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
