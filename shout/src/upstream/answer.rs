//! What the upstream is asked, and what its answer is worth.

use std::error::Error;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use upbeat_service::client::retry_after;

use crate::error::ShoutError;
use crate::text::is_capitalised;

/// What is read of an answer: it has the text twice, three times as long in capitals, each character escaped.
const LEAST_READ: usize = 16 * 1024;
const READ_PER_BYTE: usize = 6 * (1 + 3);

/// Why a try has failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) reason: String,
    /// When the upstream wants to be asked again.
    pub(super) retry_after: Option<Duration>,
}

/// What a failure says of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No connection, or one that broke.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// It has too much to do.
    Throttled,
    /// It can't.
    ServerError,
    /// It answered something, and not what it was asked.
    Garbage,
    /// It answered what was asked, and wrongly.
    Wrong,
    /// It won't.
    Refused,
}

#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Question<'a> {
    input: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Answer {
    input: String,
    output: String,
}

/// `{"INPUT": …}`.
pub(super) fn question(text: &str) -> Bytes {
    // A struct with a text can always be written.
    serde_json::to_vec(&Question { input: text }).unwrap_or_default().into()
}

/// The text in capitals, if that is what the answer says.
pub(super) async fn read<B>(text: &str, answer: Response<B>) -> Result<String, Failure>
where
    B: BodyExt<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let (head, body) = answer.into_parts();
    let limit = LEAST_READ + READ_PER_BYTE * text.len();
    // Also of an error: what is read to its end leaves the connection for the next request.
    let body = Limited::new(body, limit).collect().await.map(http_body_util::Collected::to_bytes);
    if !head.status.is_success() {
        let kind = match head.status {
            StatusCode::TOO_MANY_REQUESTS => Kind::Throttled,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Kind::ServerError,
            status if status.is_server_error() => Kind::ServerError,
            _ => Kind::Refused,
        };
        let says_when = matches!(head.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let retry_after = says_when.then(|| retry_after(&head.headers, SystemTime::now())).flatten();
        return Err(Failure { kind, reason: format!("it answered {}", head.status), retry_after });
    }
    let body = match body {
        Ok(body) => body,
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Failure::new(Kind::Garbage, format!("its answer has more than {limit} bytes")));
        }
        Err(error) => return Err(Failure::new(Kind::Unreachable, root_cause(&*error))),
    };
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|error| Failure::new(Kind::Garbage, format!("its answer is not INPUT and OUTPUT in JSON: {error}")))?;
    if answer.input != text {
        return Err(Failure::new(Kind::Garbage, "its answer is to another INPUT"));
    }
    if !is_capitalised(text, &answer.output) {
        return Err(Failure::new(Kind::Wrong, "its OUTPUT is not its INPUT in capitals"));
    }
    Ok(answer.output)
}

/// What went wrong at the bottom of it.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl Failure {
    pub(super) fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), retry_after: None }
    }

    /// As it is told to whoever asks, when there are no more tries.
    pub(super) fn error(self) -> ShoutError {
        match (self.kind, self.retry_after) {
            (_, Some(after)) => ShoutError::Postponed(after),
            (Kind::Timeout, None) => ShoutError::Late(self.reason),
            (Kind::Wrong | Kind::Refused | Kind::Garbage, None) => ShoutError::Wrong(self.reason),
            (Kind::Unreachable | Kind::Throttled | Kind::ServerError, None) => ShoutError::Failed(self.reason),
        }
    }
}

impl Kind {
    /// Whether it may be something else in a moment, and is nothing that a text can bring about: what can be, must not
    /// make the breaker pause for all others.
    pub(super) const fn is_outage(self) -> bool {
        !matches!(self, Self::Wrong | Self::Refused)
    }

    /// A word for the metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::Garbage => "garbage",
            Self::Wrong => "wrong",
            Self::Refused => "refused",
        }
    }
}
