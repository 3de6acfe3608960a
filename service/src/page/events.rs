//! The stream that feeds the page.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Page, Seen};
use crate::board::{History, Point, Scrape};

/// How often the figures are taken.
const SAMPLED_EVERY: Duration = Duration::from_secs(2);

/// How many may look at a time; each has a connection open.
const MOST_VIEWERS: usize = 100;

/// How many samples a viewer may be behind before it misses some.
const BEHIND: usize = 8;

/// What is kept for viewers to come, and sent to those that are there.
#[derive(Debug)]
pub(super) struct Events {
    page: Page,
    history: Mutex<History>,
    /// The last sample as it is sent: viewers to come begin with it.
    last: Mutex<Arc<str>>,
    live: broadcast::Sender<Arc<str>>,
    viewers: Arc<Semaphore>,
}

impl Events {
    pub(super) fn new(page: Page) -> Self {
        Self {
            history: Mutex::new(History::of(page.board)),
            last: Mutex::new(Arc::from("{}")),
            live: broadcast::Sender::new(BEHIND),
            viewers: Arc::new(Semaphore::new(MOST_VIEWERS)),
            page,
        }
    }

    /// Takes samples for as long as it runs.
    pub(super) async fn sample(self: Arc<Self>) {
        let mut ticks = interval(SAMPLED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let scrape = Scrape::parse(&self.page.metrics.prometheus());
            let point = lock(&self.history).take(SystemTime::now(), &scrape).clone();
            let sample: Arc<str> = self.as_sent(&point, &scrape).to_string().into();
            *lock(&self.last) = Arc::clone(&sample);
            // Nobody has to be looking.
            let _ = self.live.send(sample);
        }
    }

    fn as_sent(&self, point: &Point, scrape: &Scrape) -> Value {
        let failures = scrape.failures(self.page.board.failures);
        let failures = failures.iter().map(|(what, reason, count)| json!([what, reason, count]));
        json!({
            "point": as_array(point),
            "healthy": self.page.health.check().err(),
            "ready": self.page.readiness.check().err(),
            "failures": failures.collect::<Vec<_>>(),
            "recent": self.page.metrics.recent().sample().iter().map(row).collect::<Vec<_>>(),
        })
    }

    /// What the page has to know before the first sample.
    fn begin(&self) -> Value {
        let Page { name, version, board, .. } = &self.page;
        let panels = board.panels.iter().map(|panel| {
            let labels: Vec<_> = panel.series.iter().map(|series| series.label).collect();
            json!({"title": panel.title, "unit": panel.unit, "series": labels})
        });
        json!({
            "name": name,
            "version": version,
            "panels": panels.collect::<Vec<_>>(),
            "points": lock(&self.history).points().map(as_array).collect::<Vec<_>>(),
        })
    }
}

/// One viewer's stream: what was, then what is, until the service ends.
pub(super) async fn stream(State((events, close)): State<(Arc<Events>, CancellationToken)>) -> Response {
    let Ok(viewer) = Arc::clone(&events.viewers).try_acquire_owned() else {
        let reason = "many look at this page already; try again in a while";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "30")], reason).into_response();
    };
    let live = events.live.subscribe();
    let begin = Event::default().event("begin").data(events.begin().to_string());
    let last = sample(&lock(&events.last));
    let first = stream::iter([Ok::<_, Infallible>(begin), Ok(last)]);
    let rest = stream::unfold((live, viewer, close), next);
    let stream = first.chain(rest);
    (super::headers("text/event-stream"), Sse::new(stream).keep_alive(KeepAlive::default())).into_response()
}

type Viewer = (broadcast::Receiver<Arc<str>>, OwnedSemaphorePermit, CancellationToken);

async fn next((mut live, viewer, close): Viewer) -> Option<(Result<Event, Infallible>, Viewer)> {
    loop {
        match close.run_until_cancelled(live.recv()).await? {
            Ok(text) => return Some((Ok(sample(&text)), (live, viewer, close))),
            // It was slow; the next sample tells as much.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

fn sample(text: &Arc<str>) -> Event {
    Event::default().event("sample").data(text)
}

/// The time in milliseconds since 1970, then the figures.
fn as_array(Point { at, values }: &Point) -> Value {
    let values = values.iter().map(|value| value.map_or(Value::Null, |value| json!(rounded(value))));
    std::iter::once(json!(millis(*at))).chain(values).collect()
}

fn row(seen: &Seen) -> Value {
    json!({
        "at": millis(seen.at),
        "id": seen.id,
        "message_id": seen.message_id,
        "attempt": seen.attempt,
        "outcome": seen.outcome,
        "ms": seen.took.as_millis(),
        "body": seen.body,
    })
}

/// To four digits, which is more than a plot shows.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powf(3.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

fn millis(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
