//! The handle: what a program that publishes holds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, mpsc, oneshot};
use tokio::time::{Instant, timeout};
use upbeat_service::Backoff;

use crate::builder::Builder;
use crate::core::{Core, Summary};
use crate::engine::queued::{Pending, Queued};
use crate::entry::{Entry, Id};
use crate::error::SendError;
use crate::message::Message;
use crate::publisher::{Description, Publisher};

/// What a waiting message costs beside its own bytes: its places in queues, its id, what its caller waits with.
pub(crate) const OVERHEAD: u32 = 1024;

/// Publishes messages to one topic, in batches, with retries. Clones share the same buffer and calls.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), upbeat_producer::SendError> {
/// use upbeat_producer::{Message, Producer, memory::Memory};
/// let topic = Memory::standard("messages");
/// let producer = Producer::builder(topic.clone()).build();
/// let published = producer.send(Message::new("hello").attribute("kind", "greeting")).await?;
/// assert_eq!(topic.published()[0].receipt.message_id, published.message_id);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Producer {
    core: Arc<Core>,
    inbox: mpsc::Sender<Queued>,
}

/// A message that the topic holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The message's own id, its attribute `id`.
    pub id: Id,
    /// The id that the topic gave to it.
    pub message_id: String,
    /// Its place in the order of a FIFO topic.
    pub sequence_number: Option<String>,
}

/// The outcome to come of a message that waits to be published. Dropping it does not stop the message.
#[derive(Debug)]
#[must_use = "only the ticket's outcome says whether the message was published"]
pub struct Ticket {
    id: Id,
    outcome: oneshot::Receiver<Result<Published, SendError>>,
}

impl Producer {
    /// Settings for a producer that publishes by this publisher.
    pub fn builder<P: Publisher>(publisher: P) -> Builder<P> {
        Builder::new(publisher)
    }

    pub(crate) const fn new(core: Arc<Core>, inbox: mpsc::Sender<Queued>) -> Self {
        Self { core, inbox }
    }

    /// Publishes a message and returns once the topic holds it. Waits while the buffer is full.
    ///
    /// Dropped before it returns, the message may or may not be published.
    pub async fn send(&self, message: impl Into<Message>) -> Result<Published, SendError> {
        self.enqueue(message).await?.await
    }

    /// Takes a message into the buffer, waiting while it is full; the ticket tells when it is published.
    ///
    /// Messages are published in the order in which this returns: on a FIFO topic within each group, on a standard
    /// topic as far as nothing fails.
    pub async fn enqueue(&self, message: impl Into<Message>) -> Result<Ticket, SendError> {
        let entry = self.check(message.into())?;
        let room = Arc::clone(&self.core.room).acquire_many_owned(self.cost(&entry)).await;
        self.hand_over(entry, room.map_err(|_| SendError::Closed)?)
    }

    /// As [`enqueue`](Self::enqueue), with [`SendError::Full`] in place of waiting.
    pub fn try_enqueue(&self, message: impl Into<Message>) -> Result<Ticket, SendError> {
        let entry = self.check(message.into())?;
        let room = self.try_take_room(self.cost(&entry))?;
        self.hand_over(entry, room)
    }

    /// Takes several messages at once or, if there is no room for all of them together, none: then it is
    /// [`SendError::Full`]. A message that can't be published is refused alone, in its place.
    pub fn try_enqueue_all(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<Vec<Result<Ticket, SendError>>, SendError> {
        let entries: Vec<_> = messages.into_iter().map(|message| self.check(message)).collect();
        let cost = entries.iter().flatten().map(|entry| self.cost(entry)).fold(0, u32::saturating_add);
        let mut room = self.try_take_room(cost.min(self.core.options.buffer))?;
        let mut take = |entry: Entry| {
            let cost = (self.cost(&entry) as usize).min(room.num_permits());
            self.hand_over(entry, room.split(cost).ok_or(SendError::Full)?)
        };
        Ok(entries.into_iter().map(|entry| entry.and_then(&mut take)).collect())
    }

    /// What the topic is and takes.
    #[must_use]
    pub fn topic(&self) -> &Description {
        &self.core.topic
    }

    /// Takes no more messages, publishes what is there, and ends after `within` at the latest; what is not published
    /// then is [`SendError::Abandoned`]. Of several calls the earliest end counts.
    pub async fn close(&self, within: Duration) -> Summary {
        self.core.closing.cancel();
        self.core.room.close();
        self.core.tasks.close();
        if timeout(within, self.core.tasks.wait()).await.is_err() {
            self.core.abandon.cancel();
            self.core.tasks.wait().await;
        }
        self.core.counters.summary()
    }

    fn check(&self, message: Message) -> Result<Entry, SendError> {
        Entry::check(message, &self.core.topic, self.core.options.default_group.as_ref()).map_err(|refusal| {
            self.core.counters.refused_at_once();
            SendError::Refused(refusal)
        })
    }

    /// A message larger than the whole buffer has it for itself.
    fn cost(&self, entry: &Entry) -> u32 {
        let bytes = u32::try_from(entry.bytes()).unwrap_or(u32::MAX);
        bytes.saturating_add(OVERHEAD).min(self.core.options.buffer)
    }

    fn try_take_room(&self, cost: u32) -> Result<OwnedSemaphorePermit, SendError> {
        Arc::clone(&self.core.room).try_acquire_many_owned(cost).map_err(|error| match error {
            TryAcquireError::Closed => SendError::Closed,
            TryAcquireError::NoPermits => SendError::Full,
        })
    }

    fn hand_over(&self, entry: Entry, room: OwnedSemaphorePermit) -> Result<Ticket, SendError> {
        let (reply, outcome) = oneshot::channel();
        let id = entry.id().clone();
        let pending = Pending {
            reply,
            taken: Instant::now(),
            failing_since: None,
            backoff: Backoff::default(),
            alone: false,
            _room: room,
        };
        // Room was taken, so the channel, which is longer than messages can be waiting, has a place.
        self.inbox.try_send(Queued { entry, pending }).map_err(|error| match error {
            TrySendError::Full(_) => SendError::Full,
            TrySendError::Closed(_) => SendError::Closed,
        })?;
        Ok(Ticket { id, outcome })
    }
}

impl Ticket {
    /// The message's own id.
    #[must_use]
    pub const fn id(&self) -> &Id {
        &self.id
    }

    /// The outcome, if it is there; `None` while the message waits. Once given, it is not to be asked for again.
    pub fn outcome_so_far(&mut self) -> Option<Result<Published, SendError>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => Some(Err(SendError::Abandoned)),
        }
    }
}

impl Future for Ticket {
    type Output = Result<Published, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A reply that was dropped is one of a runtime that ended.
        Pin::new(&mut self.outcome).poll(context).map(|outcome| outcome.unwrap_or(Err(SendError::Abandoned)))
    }
}
