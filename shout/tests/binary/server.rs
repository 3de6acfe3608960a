//! An upstream that answers as it is told, and notes what it is asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the upstream does with a question.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers well.
    Well,
    /// Answers well after this time.
    Late(Duration),
    /// Answers this status, with this `Retry-After`.
    Status(u16, Option<String>),
    /// Answers 200 and this.
    Say(String),
    /// Answers the beginning and breaks off.
    BreakOff,
    /// Answers nothing until it is [let go](Upstream::let_go), and then breaks off.
    Hang,
}

/// Ends with the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upstream(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    url: String,
    /// What is done next; the last is done for ever.
    acts: Mutex<VecDeque<Act>>,
    /// Of a hundred questions, how many are answered by 500.
    failing: AtomicUsize,
    asked: Mutex<Vec<Asked>>,
    now: AtomicUsize,
    most: AtomicUsize,
    connections: AtomicUsize,
    /// Those that hang wait for it.
    gone: Notify,
}

/// What it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Upstream {
    pub(crate) async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, acts)
    }

    pub(crate) fn on(listener: TcpListener, acts: impl IntoIterator<Item = Act>) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = Self(Arc::new(Inner { url, acts: Mutex::new(acts.into_iter().collect()), ..Inner::default() }));
        let routes = Router::new().fallback(answer).with_state(upstream.clone());
        let counting = upstream.clone();
        let listener = axum::serve::ListenerExt::tap_io(listener, move |_: &mut TcpStream| {
            counting.0.connections.fetch_add(1, Ordering::SeqCst);
        });
        tokio::spawn(axum::serve(listener, routes).into_future());
        upstream
    }

    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    /// From now on it does these.
    pub(crate) fn act(&self, acts: impl IntoIterator<Item = Act>) {
        *self.0.acts.lock().unwrap() = acts.into_iter().collect();
    }

    /// From now on so many of a hundred questions are answered by 500, whatever else is to be done.
    pub(crate) fn fail(&self, percent: usize) {
        self.0.failing.store(percent, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().unwrap().clone()
    }

    /// How many questions were under way at once, at most.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    /// How many are under way.
    pub(crate) fn now(&self) -> usize {
        self.0.now.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    /// Breaks off what hangs now.
    pub(crate) fn let_go(&self) {
        self.0.gone.notify_waiters();
    }

    fn next(&self) -> Act {
        if fastrand::usize(..100) < self.0.failing.load(Ordering::SeqCst) {
            return Act::Status(500, None);
        }
        let mut acts = self.0.acts.lock().unwrap();
        if acts.len() > 1 { acts.pop_front().unwrap() } else { acts.front().cloned().unwrap_or(Act::Well) }
    }
}

fn broken() -> Body {
    let frames = [Ok("{\"INPUT\": "), Err(std::io::Error::other("as told"))];
    Body::from_stream(futures_util::stream::iter(frames))
}

/// Counts until it is dropped, be it that nobody waits any more.
struct Under(Upstream);

impl Under {
    fn way(upstream: &Upstream) -> Self {
        let now = upstream.0.now.fetch_add(1, Ordering::SeqCst) + 1;
        upstream.0.most.fetch_max(now, Ordering::SeqCst);
        Self(upstream.clone())
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(State(upstream): State<Upstream>, request: Request) -> Response {
    let _under = Under::way(&upstream);
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let question: Value = serde_json::from_slice(&body).unwrap();
    let input = question["INPUT"].as_str().unwrap().to_owned();
    let path = head.uri.path().to_owned();
    upstream.0.asked.lock().unwrap().push(Asked { path, headers: head.headers, body: question });
    let well = || Body::from(json!({"INPUT": input, "OUTPUT": input.to_uppercase()}).to_string());
    let body = match upstream.next() {
        Act::Well => well(),
        Act::Late(after) => {
            tokio::time::sleep(after).await;
            well()
        }
        Act::Status(status, retry_after) => {
            let answer = Response::builder().status(status);
            let answer = match retry_after {
                Some(retry_after) => answer.header("retry-after", retry_after),
                None => answer,
            };
            return answer.body(Body::from("no")).unwrap();
        }
        Act::Say(text) => Body::from(text),
        Act::BreakOff => broken(),
        Act::Hang => {
            upstream.0.gone.notified().await;
            broken()
        }
    };
    Response::new(body)
}
