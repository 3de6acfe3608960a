//! One service, as far as its metrics tell.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use upbeat_service::board::{Board, History, Scrape};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// More than any of our services has to say.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// A service that is scraped. Clones share what is known.
#[derive(Clone, Debug)]
pub struct Watched {
    uri: Uri,
    client: Client<HttpConnector, Empty<Bytes>>,
    known: Arc<Mutex<Known>>,
}

/// What is known of a service.
#[derive(Debug, Default)]
pub struct Known {
    /// What it is, once it has answered.
    pub is: Option<Kind>,
    /// Why it could not be asked the last time.
    pub error: Option<String>,
    /// Whether `/health` says that it is well.
    pub healthy: bool,
    /// Whether `/ready` says that it can work.
    pub ready: bool,
    /// What failed, why, and how often since it started.
    pub failures: Vec<(&'static str, String, f64)>,
}

/// A producer or a consumer.
#[derive(Debug)]
pub struct Kind {
    /// By the name that it has given.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What is shown of such a service.
    pub board: &'static Board,
    /// Its figures.
    pub history: History,
}

impl Watched {
    /// The service whose metrics are there; nothing is known of it yet.
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { uri, client, known: Arc::default() }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// What is known of it now.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks it once.
    pub async fn ask(&self) {
        let answer = tokio::time::timeout(TIMEOUT, self.scrape()).await;
        let answer = answer.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {TIMEOUT:?}")));
        let mut known = self.known();
        if let Err(error) = answer.and_then(|text| known.take(SystemTime::now(), &text)) {
            known.error = Some(format!("{error:#}"));
            if let Some(kind) = &mut known.is {
                kind.history.interrupted();
            }
        }
    }

    async fn scrape(&self) -> anyhow::Result<String> {
        let answer = self.client.get(self.uri.clone()).await.context("cannot be reached")?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed).context("cannot read the answer")?.to_bytes();
        ensure!(status.is_success(), "answered {status}");
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

impl Known {
    /// Takes up what the service has answered.
    pub fn take(&mut self, at: SystemTime, text: &str) -> anyhow::Result<()> {
        let scrape = Scrape::parse(text);
        let name = scrape.label("upbeat_build_info", "service").context("it is no service of Upbeat")?;
        if self.is.as_ref().is_none_or(|kind| kind.name != name) {
            let board = match name {
                "producer" => &upbeat_producer::BOARD,
                "consumer" => &upbeat_consumer::BOARD,
                "shout" => &upbeat_shout::BOARD,
                other => bail!("nothing is known of a service named {other}"),
            };
            let version = scrape.label("upbeat_build_info", "version").unwrap_or_default().to_owned();
            self.is = Some(Kind { name: name.to_owned(), version, board, history: History::of(board) });
        }
        let Some(kind) = &mut self.is else { return Ok(()) };
        kind.history.take(at, &scrape);
        self.failures = scrape.failures(kind.board.failures);
        self.healthy = scrape.value("upbeat_healthy") == Some(1.0);
        self.ready = scrape.value("upbeat_ready") == Some(1.0);
        self.error = None;
        Ok(())
    }
}
