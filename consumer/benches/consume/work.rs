//! What both clients do with a message.

use std::time::Duration;

use serde::de::IgnoredAny;
use upbeat_consumer::queue::MAX_BATCH;
use upbeat_testkit::bench::Client;

/// What a client is told, in this order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Of the raw loop: receives under way at most.
    pub(crate) loops: usize,
    /// Ours: messages in flight at most.
    pub(crate) concurrency: usize,
    /// How long each message takes besides its parsing.
    time: Duration,
}

impl Work {
    /// As many messages at a time for both.
    pub(crate) fn numbers(loops: usize, time: Duration) -> Vec<usize> {
        vec![loops, loops * MAX_BATCH, usize::try_from(time.as_millis()).unwrap()]
    }

    /// For us twice as many, since a message is in flight until its delete is confirmed: as many receives as the loops have,
    /// and the deletes beside them.
    pub(crate) fn deletes_beside(loops: usize) -> Vec<usize> {
        vec![loops, 2 * loops * MAX_BATCH, 0]
    }

    pub(crate) fn of(client: &Client) -> Self {
        let [loops, concurrency, millis] = [0, 1, 2].map(|nth| client.number(nth));
        Self { loops, concurrency, time: Duration::from_millis(millis as u64) }
    }

    pub(crate) async fn handle(self, client: &Client, body: &str) -> serde_json::Result<()> {
        serde_json::from_str::<IgnoredAny>(body)?;
        if !self.time.is_zero() {
            tokio::time::sleep(self.time).await;
        }
        client.handled();
        Ok(())
    }
}
