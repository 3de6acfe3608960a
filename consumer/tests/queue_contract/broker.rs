//! What a test needs besides the consumer's side of a queue.

use std::time::Duration;

use tokio::time::Instant;
use upbeat_consumer::message::Attribute;
use upbeat_consumer::queue::{Batch, Queue, Receive, Received};

/// The lease of most tests, as short as SQS has it but for the second lost to rounding.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// A message received this often goes to the dead-letter queue.
pub(crate) const MAX_RECEIVES: u32 = 2;

/// Longer than anything takes that happens at all.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A queue of a test's own, with its dead-letter queue, seen from the side of who sends and who runs it.
pub(crate) trait Broker: Sized {
    /// The queue under test.
    type Queue: Queue;

    /// Whether a receive can be repeated by its attempt id. LocalStack ignores the id.
    const REPEATS_ATTEMPTS: bool;

    /// Whether changing the visibility of a message that is not in flight is an error. LocalStack says yes to it and
    /// does nothing.
    const REFUSES_CHANGE_AFTER_LEASE: bool;

    async fn standard() -> Self;
    async fn fifo() -> Self;
    async fn without_redrive() -> Self;

    /// A queue that does not exist, as far as one can have it at all.
    async fn missing() -> Self::Queue;

    fn queue(&self) -> &Self::Queue;
    async fn send(&self, message: Sent);

    /// Visible and in flight.
    async fn counts(&self) -> (usize, usize);

    /// What is in the dead-letter queue, without waiting.
    async fn dead_letters(&self) -> Vec<DeadLetter>;

    async fn send_all(&self, bodies: &[&str]) {
        for body in bodies {
            self.send(Sent::new(body)).await;
        }
    }

    async fn receive(&self, max: usize, wait: Duration, lease: Duration) -> Vec<Received> {
        self.queue().receive(Receive { max, wait, lease, attempt_id: None }).await.unwrap()
    }

    /// As many as asked for, in however many receives.
    async fn receive_all(&self, count: usize, lease: Duration) -> Vec<Received> {
        let deadline = Instant::now() + SOON;
        let mut received = Vec::new();
        while received.len() < count {
            assert!(Instant::now() < deadline, "only {} of {count} came", received.len());
            received.extend(self.receive((count - received.len()).min(10), Duration::from_secs(1), lease).await);
        }
        received
    }

    async fn receive_one(&self, lease: Duration) -> Received {
        self.receive_all(1, lease).await.remove(0)
    }

    async fn delete(&self, received: &Received) {
        let results = self.queue().delete(Batch::from_iter([received.delivery.receipt.clone()])).await.unwrap();
        assert_eq!(results[..], [Ok(())]);
    }

    async fn make_visible_after(&self, received: &Received, time: Duration) {
        let entries = Batch::from_iter([(received.delivery.receipt.clone(), time)]);
        assert_eq!(self.queue().change_visibility(entries).await.unwrap()[..], [Ok(())]);
    }
}

/// A message to be sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) body: String,
    pub(crate) attributes: Vec<(String, Attribute)>,
    pub(crate) group: Option<String>,
    pub(crate) deduplication_id: Option<String>,
}

impl Sent {
    pub(crate) fn new(body: &str) -> Self {
        Self { body: body.to_owned(), ..Self::default() }
    }

    pub(crate) fn attribute(mut self, name: &str, attribute: Attribute) -> Self {
        self.attributes.push((name.to_owned(), attribute));
        self
    }

    pub(crate) fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }
}

/// A message found in the dead-letter queue; attributes sorted by name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeadLetter {
    pub(crate) body: String,
    pub(crate) attributes: Vec<(String, Attribute)>,
    pub(crate) group: Option<String>,
}

pub(crate) fn bodies(received: &[Received]) -> Vec<&str> {
    received.iter().map(|received| received.payload.body()).collect()
}

pub(crate) fn sorted<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a Attribute)>) -> Vec<(String, Attribute)> {
    let owned = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute.clone()));
    let mut sorted: Vec<_> = owned.collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    sorted
}
