//! What a service prints, line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

/// The lines of a stream, kept from the start. Cheap to clone; a clone goes on growing.
#[derive(Clone, Debug)]
pub struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    /// Notified at each line; closed at the end of the stream.
    more: watch::Receiver<()>,
}

/// A log line in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(pub Value);

impl Event {
    /// Reads a log line; other lines are `None`.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok().filter(Value::is_object).map(Self)
    }

    /// What the event is called: `published`, `received`, `deleted`, ….
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("message")
    }

    /// `INFO`, `WARN`, `ERROR`, ….
    #[must_use]
    pub fn level(&self) -> &str {
        self.text("level")
    }

    /// A field's text; empty if there is none.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    /// A field's whole number.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<i64> {
        self.0[field].as_i64()
    }
}

impl Output {
    /// Reads the stream to its end, in a thread, so that no pipe fills up whatever the test does meanwhile.
    pub(super) fn read(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (notify, more) = watch::channel(());
        let output = Self { lines: lines.clone(), more };
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                lock(&lines).push(String::from_utf8_lossy(&line).into_owned());
                notify.send_replace(());
            }
        });
        output
    }

    /// All lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// The last lines, for a failure's message.
    #[must_use]
    pub fn tail(&self, count: usize) -> String {
        let lines = lock(&self.lines);
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// All events of this name so far.
    #[must_use]
    pub fn events(&self, name: &str) -> Vec<Event> {
        let lines = self.lines();
        lines.iter().filter_map(|line| Event::parse(line)).filter(|event| event.name() == name).collect()
    }

    /// Calls `take` with every line, from the first on, until it gives something; `None` at the end of the stream
    /// or after `limit`.
    pub async fn find<T>(&self, limit: Duration, mut take: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let mut more = self.more.clone();
        let mut seen = 0;
        let search = async {
            loop {
                more.mark_unchanged();
                let new = lock(&self.lines)[seen..].to_vec();
                seen += new.len();
                if let Some(found) = new.iter().find_map(|line| take(line)) {
                    return Some(found);
                }
                if more.changed().await.is_err() && lock(&self.lines).len() == seen {
                    return None;
                }
            }
        };
        tokio::time::timeout(limit, search).await.unwrap_or_default()
    }

    /// Waits for the end of the stream, which comes when the process and all that share it have ended.
    pub(super) async fn wait_end(&self, limit: Duration) {
        let _ = self.find(limit, |_| None::<()>).await;
    }
}

fn lock(lines: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
