//! Requests to the collector, by the HTTP client that is here anyway.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::client::{Https, https};

/// What is read of an answer; a collector says little.
const MAX_ANSWER: usize = 1024 * 1024;

/// A client for the exporter, whose thread has no runtime of its own.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    client: Https,
    runtime: Handle,
    timeout: Duration,
    /// So that an outage costs a line, not a line a try.
    failing: Arc<AtomicBool>,
}

impl Collector {
    pub(super) fn new(timeout: Duration) -> anyhow::Result<Self> {
        let runtime = Handle::try_current().context("no runtime to reach the collector by")?;
        Ok(Self { client: https(timeout)?, runtime, timeout, failing: Arc::default() })
    }

    /// Logs when the collector can't be reached any more, and when it can again.
    fn tell(&self, answer: &Result<Response<Bytes>, HttpError>) {
        let reason = match answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("answered {}", answer.status())),
            Err(error) => Some(root_cause(&**error)),
        };
        let failed_before = self.failing.swap(reason.is_some(), Ordering::Relaxed);
        match reason {
            Some(reason) if !failed_before => warn!(%reason, "traces can't be exported"),
            None if failed_before => info!("traces are exported again"),
            _ => {}
        }
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = self.client.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.clone().send(request);
        let limit = self.timeout;
        // The timer, too, is to be made on the runtime.
        let answer = self.runtime.spawn(async move { timeout(limit, sent).await }).await?;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout).into()));
        self.tell(&answer);
        answer
    }
}
