//! Who capitalises: `POST URL/V1/SHOUT` with `{"INPUT": "tset"}` is answered `{"INPUT": "tset", "OUTPUT": "TSET"}`.
//!
//! A text is asked for until there is an answer, the tries are used up, or the deadline would be over before the next one:
//!
//! | the upstream | counts as a failure for the breaker | what follows |
//! | --- | --- | --- |
//! | answers 200, and it is the text in capitals | no | done |
//! | 429, 503 with `Retry-After` | yes | another try after that, or at once the same news to whoever asks, if that is too late |
//! | 408, 425, 429, 5xx | yes | another try, after a pause with jitter |
//! | no connection, one that breaks, no answer in time | yes | the same |
//! | 2xx, and not the JSON object with the text that was asked for | yes | the same |
//! | other output than the text in capitals | no: it may be of that text alone | the end |
//! | any other status, redirects too | no, for the same reason | the end |
//!
//! While the breaker pauses, all are told at once, with its end. So many requests are under way at most, so many more wait for
//! their turn or their next try, and beyond that there is no waiting: neither sockets nor memory pile up.

mod answer;
mod room;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Request, Uri};
use http_body_util::Full;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};
use upbeat_service::breaker::{Breaker, Change};
use upbeat_service::client::{Https, https};
use upbeat_service::traces::{Begun, TraceContext};
use upbeat_service::{Backoff, Endpoint, Metrics, Readiness, Traces};

use crate::error::ShoutError;
use crate::meter::UpstreamMeter;
use crate::spans;
use answer::{Failure, Kind};
pub(crate) use room::Room;

/// What is asked for below the upstream's own URL.
const PATH: &str = "V1/SHOUT";

/// Between tries; it doubles, and half of it is chance.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// While the upstream is down, how often it is looked after at least.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

const AGENT: HeaderValue = HeaderValue::from_static(concat!("upbeat-shout/", env!("CARGO_PKG_VERSION")));

/// How the upstream is asked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long one try may take.
    pub timeout: Duration,
    /// How many tries there are.
    pub tries: u32,
    /// How many requests are under way.
    pub concurrency: usize,
    /// How many more wait.
    pub queue: usize,
    /// After how many failures in a row there is a pause; 0 is never.
    pub breaker_threshold: u32,
}

/// The service that capitalises.
#[derive(Debug)]
pub struct Upstream {
    client: Https,
    uri: Uri,
    authorization: Option<HeaderValue>,
    limits: Limits,
    room: Arc<Room>,
    breaker: Arc<Breaker>,
    meter: UpstreamMeter,
    readiness: Readiness,
    traces: Traces,
}

impl Upstream {
    /// Asks the service at this URL.
    pub fn new(
        endpoint: &Endpoint,
        limits: Limits,
        metrics: &Metrics,
        readiness: &Readiness,
        traces: &Traces,
    ) -> anyhow::Result<Self> {
        let base = endpoint.uri().to_string();
        let uri = format!("{}/{PATH}", base.trim_end_matches('/')).parse().context("cannot make the upstream's URL")?;
        let breaker = Arc::new(Breaker::new(limits.breaker_threshold).longest_pause(LONGEST_PAUSE));
        let room = Arc::new(Room::new(limits.concurrency, limits.queue));
        let meter = UpstreamMeter::new(metrics, &room, &breaker);
        let upstream = Self {
            client: https(limits.timeout)?,
            uri,
            authorization: endpoint.authorization().cloned(),
            limits,
            room,
            breaker,
            meter,
            readiness: readiness.clone(),
            traces: traces.clone(),
        };
        upstream.note("");
        Ok(upstream)
    }

    /// Where it is, without credentials.
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The text in capitals.
    pub async fn capitalise(
        &self,
        text: &str,
        deadline: Instant,
        span: Option<&TraceContext>,
    ) -> Result<String, ShoutError> {
        let rejected = |error| {
            self.meter.rejected(&error);
            error
        };
        let paused = |pause| rejected(ShoutError::Paused(pause));
        self.breaker.pause().map_or(Ok(()), |pause| Err(paused(pause)))?;
        let place = self.room.place().ok_or_else(|| rejected(ShoutError::Full))?;
        let body = answer::question(text);
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let failure = {
                let _turn = place.turn().await;
                let attempt = self.breaker.attempt().map_err(paused)?;
                let began = Instant::now();
                let span = spans::client(&self.traces, span);
                let tried = self.ask(text, body.clone(), span.as_ref()).await;
                if let Some(span) = span {
                    let error = tried.as_ref().err().map(|failure| (failure.kind.name(), failure.reason.clone()));
                    spans::end_client(&self.traces, span, &self.uri, error);
                }
                self.meter.tried(tried.as_ref().map_or_else(|failure| failure.kind.name(), |_| "ok"), began.elapsed());
                let change = attempt.ended(tried.as_ref().err().is_none_or(|failure| !failure.kind.is_outage()));
                self.tell(change, tried.as_ref().err());
                match tried {
                    Ok(text) => return Ok(text),
                    Err(failure) => failure,
                }
            };
            debug!(reason = %failure.reason, "the upstream failed");
            let wait = backoff.next_wait().max(failure.retry_after.unwrap_or_default());
            let is_late = Instant::now() + wait >= deadline;
            if !failure.kind.is_outage() || backoff.failures() >= self.limits.tries || is_late {
                return Err(failure.error());
            }
            sleep(wait).await;
        }
    }

    async fn ask(&self, text: &str, body: Bytes, span: Option<&Begun>) -> Result<String, Failure> {
        let mut request = Request::post(&self.uri).header(CONTENT_TYPE, "application/json").header(USER_AGENT, AGENT);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body));
        let mut request = request.map_err(|error| Failure::new(Kind::Refused, error.to_string()))?;
        if let Some(span) = span {
            spans::tell(request.headers_mut(), span.context());
        }
        let answered = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| Failure::new(Kind::Unreachable, answer::root_cause(&error)))?;
            answer::read(text, answer).await
        };
        timeout(self.limits.timeout, answered)
            .await
            .unwrap_or_else(|_| Err(Failure::new(Kind::Timeout, format!("no answer within {:?}", self.limits.timeout))))
    }

    fn tell(&self, change: Option<Change>, failure: Option<&Failure>) {
        match change {
            Some(Change::Paused { failures }) => {
                let reason = failure.map_or("", |failure| &failure.reason);
                warn!(failures, %reason, "the upstream fails, and is asked by probes alone");
                self.meter.tripped();
                self.note(", which fails");
            }
            Some(Change::Over) => {
                info!("the upstream answers again");
                self.note("");
            }
            None => {}
        }
    }

    fn note(&self, state: &str) {
        self.readiness.note("upstream", format!("{}{state}", self.uri));
    }
}
