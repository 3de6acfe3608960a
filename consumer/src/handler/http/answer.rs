//! What the endpoint's answer means for the message.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HeaderMap, LOCATION};
use http::response::Parts;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};
use upbeat_service::client::retry_after;

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
