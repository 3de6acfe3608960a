//! What the consumers' handlers call: an HTTP server that notes each effect, and can be told to take its time or to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::body::recognise;
use crate::journal::{Entry, Journal};

/// The longest that a handler takes by itself, in milliseconds.
const LONGEST: u64 = 30;

/// How much of a body that nobody has sent is noted.
const SHOWN: usize = 200;

/// The endpoint of all consumers.
#[derive(Debug)]
pub struct Endpoint {
    url: String,
    journal: Arc<Journal>,
    seed: u64,
    /// Of so many messages one is answered as handled and is not.
    sabotage: Option<u64>,
    answered: AtomicU64,
    /// Requests that are still to fail.
    failing: AtomicUsize,
    hold: watch::Sender<Option<Hold>>,
    /// How many requests the hold has.
    held: watch::Sender<usize>,
}

/// Requests of a consumer that are to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whose.
    pub consumer: String,
    /// Where.
    pub at: HoldAt,
}

/// Where in the handling of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldAt {
    /// Nothing was done yet.
    BeforeTheEffect,
    /// It was done, and is not answered yet.
    AfterTheEffect,
}

/// Counts a request as held for as long as it is, also if its consumer hangs up.
struct Held<'a>(&'a watch::Sender<usize>);

impl<'a> Held<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|held| *held += 1);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|held| *held -= 1);
    }
}

impl Endpoint {
    /// Starts it on a free port.
    pub async fn start(journal: Arc<Journal>, seed: u64, sabotage: Option<u64>) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen for the consumers' handlers")?;
        let endpoint = Arc::new(Self {
            url: format!("http://{}", listener.local_addr()?),
            journal,
            seed,
            sabotage,
            answered: AtomicU64::default(),
            failing: AtomicUsize::default(),
            hold: watch::Sender::default(),
            held: watch::Sender::default(),
        });
        let routes = Router::new().route("/{consumer}", post(handle)).with_state(endpoint.clone());
        tokio::spawn(axum::serve(listener, routes).into_future());
        Ok(endpoint)
    }

    /// What this consumer is to call.
    #[must_use]
    pub fn url(&self, consumer: &str) -> String {
        format!("{}/{consumer}", self.url)
    }

    /// The next so many requests fail.
    pub fn fail(&self, requests: usize) {
        self.failing.fetch_add(requests, Ordering::Relaxed);
    }

    /// How many of these are still to come.
    #[must_use]
    pub fn still_to_fail(&self) -> usize {
        self.failing.load(Ordering::Relaxed)
    }

    /// Has this consumer's requests wait until [`release`](Self::release), once there are so many of them; `None` if
    /// there are not in time.
    pub async fn hold(&self, consumer: &str, at: HoldAt, count: usize, limit: Duration) -> Option<usize> {
        self.hold.send_replace(Some(Hold { consumer: consumer.to_owned(), at }));
        let mut held = self.held.subscribe();
        let enough = timeout(limit, held.wait_for(|held| *held >= count)).await;
        enough.ok()?.ok().map(|held| *held)
    }

    /// Lets the requests that wait go on.
    pub fn release(&self) {
        self.hold.send_replace(None);
    }

    async fn wait_if_held(&self, consumer: &str, at: HoldAt) {
        let mut hold = self.hold.subscribe();
        let is_held =
            |hold: &Option<Hold>| hold.as_ref().is_some_and(|hold| hold.consumer == consumer && hold.at == at);
        if is_held(&hold.borrow_and_update()) {
            let _held = Held::new(&self.held);
            // Fails if this endpoint is gone, which it is not.
            let _ = hold.wait_for(|hold| !is_held(hold)).await;
        }
    }

    fn takes_to_fail(&self) -> bool {
        let one_less = |failing: usize| failing.checked_sub(1);
        self.failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

async fn handle(
    State(endpoint): State<Arc<Endpoint>>,
    Path(consumer): Path<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let id = headers.get("upbeat-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let Some((number, poison)) = recognise(endpoint.seed, &body) else {
        endpoint.journal.write([Entry::Strange { id, body: body.chars().take(SHOWN).collect() }]);
        return StatusCode::OK;
    };
    endpoint.wait_if_held(&consumer, HoldAt::BeforeTheEffect).await;
    if poison || endpoint.takes_to_fail() {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    sleep(Duration::from_millis(number % LONGEST)).await;
    let answered = endpoint.answered.fetch_add(1, Ordering::Relaxed) + 1;
    if endpoint.sabotage.is_none_or(|every| !answered.is_multiple_of(every)) {
        endpoint.journal.write([Entry::Effect { number, id, by: consumer.clone() }]);
    }
    endpoint.wait_if_held(&consumer, HoldAt::AfterTheEffect).await;
    StatusCode::OK
}
