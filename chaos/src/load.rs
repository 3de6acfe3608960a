//! What is posted to the producer, for as long as faults go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use upbeat_testkit::http;

use crate::body::body;
use crate::journal::{Entry, Journal};

/// How many post at a time.
const SENDERS: u32 = 4;

/// The most messages of a post.
const TOGETHER: u32 = 20;

/// How long a sender waits after a post that was not accepted.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Senders that post messages at a rate, each again and again until the producer has said that it has it.
#[derive(Debug)]
pub struct Load {
    senders: JoinSet<()>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    url: String,
    journal: Arc<Journal>,
    seed: u64,
    next: AtomicU64,
    paused: watch::Sender<bool>,
    end: CancellationToken,
}

impl Load {
    /// So many messages a second to the producer at this address.
    #[must_use]
    pub fn start(address: &str, journal: Arc<Journal>, seed: u64, rate: u32) -> Self {
        let url = format!("http://{address}/messages");
        let end = CancellationToken::new();
        let (next, paused) = (AtomicU64::default(), watch::Sender::default());
        let shared = Arc::new(Shared { url, journal, seed, next, paused, end });
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            senders.spawn(send(shared.clone(), Rng::with_seed(seed ^ u64::from(sender)), rate));
        }
        Self { senders, shared }
    }

    /// Posts nothing new until [`go_on`](Self::go_on).
    pub fn pause(&self) {
        self.shared.paused.send_replace(true);
    }

    /// Posts again.
    pub fn go_on(&self) {
        self.shared.paused.send_replace(false);
    }

    /// Posts messages whose handler always fails, and waits until they are accepted.
    pub async fn poison(&self, count: u32) {
        self.shared.post(count, true).await;
    }

    /// Posts nothing new; returns when all that was posted is accepted.
    pub async fn end(&mut self) {
        self.shared.end.cancel();
        while self.senders.join_next().await.is_some() {}
    }
}

async fn send(shared: Arc<Shared>, mut rng: Rng, rate: u32) {
    let mut next = Instant::now();
    let mut paused = shared.paused.subscribe();
    loop {
        let count = rng.u32(1..=TOGETHER);
        // What an outage has held up is not made up for.
        next = next.max(Instant::now()) + Duration::from_secs(1) * count * SENDERS / rate;
        let turn = async {
            sleep_until(next).await;
            // Fails if the load is gone, which ends us too.
            let _ = paused.wait_for(|paused| !paused).await;
        };
        if shared.end.run_until_cancelled(turn).await.is_none() {
            return;
        }
        shared.post(count, false).await;
    }
}

impl Shared {
    async fn post(&self, count: u32, poison: bool) {
        let first = self.next.fetch_add(count.into(), Ordering::Relaxed);
        let mut numbers: Vec<u64> = (first..first + u64::from(count)).collect();
        self.journal.write(numbers.iter().map(|&number| Entry::Offered { number }));
        while !numbers.is_empty() {
            let bodies: Vec<_> = numbers.iter().map(|&number| body(self.seed, number, poison)).collect();
            let posted = format!("[{}]", bodies.join(","));
            let mut ids = match http::request("POST", &self.url, "application/json", posted.into()).await {
                // 202: all of them, 207: some.
                Ok(answer) if [202, 207].contains(&answer.status) => accepted(&answer.json()),
                _ => Vec::new(),
            };
            ids.resize(numbers.len(), None);
            let outcomes: Vec<_> = numbers.drain(..).zip(ids).collect();
            let accepted = outcomes.iter().filter_map(|(number, id)| Some((*number, id.clone()?)));
            self.journal.write(accepted.map(|(number, id)| Entry::Accepted { number, id, poison }));
            numbers.extend(outcomes.iter().filter(|(_, id)| id.is_none()).map(|(number, _)| number));
            if !numbers.is_empty() {
                sleep(TRY_AGAIN_AFTER).await;
            }
        }
    }
}

/// The id of each message of an answer; of one that was refused, none.
fn accepted(answer: &Value) -> Vec<Option<String>> {
    let messages = answer["messages"].as_array().into_iter().flatten();
    let id = |message: &Value| message["id"].as_str().filter(|_| message["error"].is_null()).map(str::to_owned);
    messages.map(id).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_with_an_error_is_not_accepted() {
        let answer = json!({"messages": [{"id": "a", "message_id": null}, {"id": "b", "error": "full"}, {"id": null}]});
        assert_eq!(accepted(&answer), [Some("a".to_owned()), None, None]);
    }
}
