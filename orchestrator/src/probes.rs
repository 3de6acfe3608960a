//! HTTP probes: for containers whose image has no health check.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{MissedTickBehavior, interval, timeout};
use upbeat_service::Health;

use crate::marks::Marks;

/// A container and where it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The container's name.
    pub name: String,
    /// Where it answers, by HTTP.
    pub url: Uri,
}

impl FromStr for Probe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let why = || format!("{text:?} is no probe; write NAME=URL, such as web=http://127.0.0.1:8000/health");
        let (name, url) = text.trim().split_once('=').ok_or_else(why)?;
        let url: Uri = url.parse().map_err(|_| why())?;
        if name.is_empty() || url.scheme_str() != Some("http") || url.host().is_none() {
            return Err(why());
        }
        Ok(Self { name: name.to_owned(), url })
    }
}

/// Asks again and again, for as long as it is polled. Any answer below 400 is a good one.
pub async fn probe(probe: Probe, every: Duration, limit: Duration, marks: Arc<Marks>, health: Health) {
    let beat = health.task("probe", (every + limit) * 3);
    let asker = Asker::default();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        beat.beat((every + limit) * 3);
        let answer = timeout(limit, asker.ask(probe.url.clone())).await;
        let failure = answer.unwrap_or_else(|_| Err(format!("no answer within {limit:?}"))).err();
        marks.leave(|left| {
            left.probes.retain(|(name, _)| *name != probe.name);
            left.probes.push((probe.name.clone(), failure));
        });
    }
}

/// Asks by HTTP, each time by a connection of its own: whether those are taken is a part of the question.
#[derive(Clone, Debug)]
pub struct Asker(Client<HttpConnector, Empty<Bytes>>);

impl Default for Asker {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http())
    }
}

impl Asker {
    /// Asks once, for as long as it takes; says what is wrong, if something is.
    ///
    /// # Errors
    /// If there is no answer, or one of 400 or above.
    pub async fn ask(&self, url: Uri) -> Result<(), String> {
        match self.0.get(url).await {
            Err(error) => Err(if error.is_connect() { "cannot be reached".to_owned() } else { error.to_string() }),
            Ok(answer) if answer.status().as_u16() < 400 => Ok(()),
            Ok(answer) => Err(format!("it answers {}", answer.status().as_u16())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_a_name_and_an_http_url() {
        let probe: Probe = "web=http://10.0.0.1:80/health?x=1".parse().unwrap();
        assert_eq!((probe.name.as_str(), probe.url.port_u16()), ("web", Some(80)));
        for bad in ["web", "=http://a", "web=ftp://a/b", "web=/health", "web=https://a/", ""] {
            assert!(bad.parse::<Probe>().is_err_and(|why| why.contains("web=http")), "{bad}");
        }
    }
}
