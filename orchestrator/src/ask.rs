//! How agents and servers ask a server: by HTTP and TLS, and of several servers the one that leads.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::http::header::LOCATION;
use axum::http::{Method, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use serde::Serialize;
use tokio::time::timeout;

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// The server's answer that it does not.
#[derive(Debug, thiserror::Error)]
#[error("refused with {status}: {detail}")]
pub(crate) struct Refused {
    /// The status of HTTP.
    pub(crate) status: u16,
    detail: String,
}

/// The server's answer that another one leads: what was asked, there.
#[derive(Debug, thiserror::Error)]
#[error("another server leads: {0}")]
struct Elsewhere(String);

/// The server that leads, if this is why the one that was asked has not answered.
fn elsewhere(error: &anyhow::Error) -> Option<String> {
    let Elsewhere(to) = error.downcast_ref()?;
    let to: Uri = to.parse().ok()?;
    let authority = to.authority().filter(|_| to.scheme_str() == Some("https"))?;
    Some(format!("https://{authority}"))
}

/// The servers that an agent may ask, and the one that it asks.
#[derive(Debug)]
pub struct Servers {
    all: Vec<String>,
    at: Mutex<String>,
}

impl Servers {
    /// These, the first of them first.
    #[must_use]
    pub fn new(all: Vec<String>) -> Self {
        let at = all.first().cloned().unwrap_or_default();
        Self { all, at: Mutex::new(at) }
    }

    /// Asks for this path, also the server that it is sent to. If none answers, the next one is asked the next time.
    pub(crate) async fn ask<C>(
        &self,
        client: &Client<C, Full<Bytes>>,
        method: Method,
        path: &str,
        what: &impl Serialize,
        most: usize,
    ) -> anyhow::Result<Bytes>
    where
        C: Connect + Clone + Send + Sync + 'static,
    {
        let mut hops = 0;
        loop {
            let at = self.at().clone();
            let turn = Turn { servers: self, at: Some(&at) };
            let answer = ask(client, method.clone(), &format!("{at}{path}"), what, most).await;
            let Err(error) = answer else {
                turn.stay();
                return answer;
            };
            let refused = error.downcast_ref::<Refused>().is_some_and(|refused| refused.status < 500);
            if refused {
                turn.stay();
                return Err(error);
            }
            match elsewhere(&error) {
                Some(leader) if hops < self.all.len() => {
                    turn.stay();
                    self.go(&at, leader);
                    hops += 1;
                }
                _ => return Err(error),
            }
        }
    }

    fn at(&self) -> MutexGuard<'_, String> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From one to another, if nobody has gone on from there yet.
    fn go(&self, from: &str, to: String) {
        let mut at = self.at();
        if *at == from {
            *at = to;
        }
    }

    fn go_on(&self, from: &str) {
        let place = self.all.iter().position(|server| server == from).map_or(0, |place| place + 1);
        if let Some(next) = self.all.get(place % self.all.len().max(1)) {
            self.go(from, next.clone());
        }
    }
}

/// A question to one server. If it ends without an answer, also since nobody waits for it any more, the next server is
/// asked the next time.
struct Turn<'a> {
    servers: &'a Servers,
    at: Option<&'a str>,
}

impl Turn<'_> {
    fn stay(mut self) {
        self.at = None;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(at) = self.at {
            self.servers.go_on(at);
        }
    }
}

/// Asks the server, and gives what it answers, so many bytes at most.
///
/// # Errors
/// If it does not answer, or refuses: its word on why is in the error.
pub(crate) async fn ask<C>(
    client: &Client<C, Full<Bytes>>,
    method: Method,
    to: &str,
    what: &impl Serialize,
    most: usize,
) -> anyhow::Result<Bytes>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let request = axum::http::Request::builder().method(method).uri(to).header("content-type", "application/json");
    let request = request.body(Full::from(serde_json::to_vec(what)?)).with_context(|| format!("{to}: no address"))?;
    let answered = async {
        let answer = client.request(request).await.map_err(cause)?;
        let status = answer.status();
        if status == StatusCode::TEMPORARY_REDIRECT
            && let Some(to) = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok())
        {
            return Err(Elsewhere(to.to_owned()).into());
        }
        let body = Limited::new(answer.into_body(), most).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer can't be read: {error}"))?.to_bytes();
        if !status.is_success() {
            let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let detail = told["detail"].as_str().unwrap_or("it does not say why");
            return Err(Refused { status: status.as_u16(), detail: detail.to_owned() }.into());
        }
        Ok(body)
    };
    let answered = timeout(ANSWER, answered).await.unwrap_or_else(|_| bail!("no answer in time"));
    answered.with_context(|| to.to_owned())
}

/// What is behind an error that says of itself only that there is one.
fn cause(error: hyper_util::client::legacy::Error) -> anyhow::Error {
    let error = anyhow::Error::new(error);
    anyhow::anyhow!("{}", error.root_cause())
}
