//! What both clients do with a message.

use std::time::Duration;

use serde::de::IgnoredAny;
use upbeat_testkit::bench::Client;

/// What a client is told, in this order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Receives under way at most.
    pub(crate) loops: usize,
    /// How long each message takes besides its parsing.
    time: Duration,
}

impl Work {
    pub(crate) fn numbers(loops: usize, time: Duration) -> Vec<usize> {
        vec![loops, usize::try_from(time.as_millis()).unwrap()]
    }

    pub(crate) fn of(client: &Client) -> Self {
        Self { loops: client.number(0), time: Duration::from_millis(client.number(1) as u64) }
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
