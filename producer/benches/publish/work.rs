//! What both clients are to publish.

use upbeat_testkit::bench::{Client, json_body};

/// Most bytes of a batch (SNS API reference, `PublishBatch`).
const MAX_BYTES: usize = 256 * 1024;

/// What a client is told.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) messages: usize,
    /// Batches under way at most; 0 is one message after the other.
    pub(crate) loops: usize,
    pub(crate) body: String,
}

impl Work {
    pub(crate) fn numbers(loops: usize, bytes: usize) -> Vec<usize> {
        vec![loops, bytes]
    }

    pub(crate) fn of(client: &Client) -> Self {
        Self { messages: client.messages(), loops: client.number(0), body: json_body(client.number(1)) }
    }

    /// Messages in a batch: ten, or as many as fit.
    pub(crate) fn batch(&self) -> usize {
        (MAX_BYTES / self.body.len()).min(10)
    }
}
