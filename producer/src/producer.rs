//! The handle: what a program that publishes holds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, mpsc, oneshot};
use tokio::time::timeout;

use crate::builder::Builder;
use crate::core::{Core, Summary};
use crate::engine::queued::{Pending, Queued};
use crate::entry::{Entry, Id};
use crate::error::SendError;
use crate::message::Message;
use crate::publisher::{Description, Publisher};
use crate::spans;
use crate::spool::{Intake, Request, Share, cost_of_bytes};

/// What a waiting message costs beside its own bytes: its places in queues, its id, what its caller waits with.
pub(crate) const OVERHEAD: u32 = 1024;

/// How many outcomes of a stream may be open.
const OUTCOMES: usize = 1000;

/// Publishes messages to one topic, in batches, with retries. Clones share the same buffer and calls.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), upbeat_producer::SendError> {
/// use upbeat_producer::{Message, Producer, memory::Memory};
/// let topic = Memory::standard("messages");
/// let producer = Producer::builder(topic.clone()).build();
/// let sent = producer.send(Message::new("hello").attribute("kind", "greeting")).await?;
/// assert_eq!(sent.message_id(), Some(&*topic.published()[0].receipt.message_id));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Producer {
    core: Arc<Core>,
    way: Way,
}

/// Where messages go from here.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// Into the buffer.
    Buffer(mpsc::Sender<Queued>),
    /// Onto the disk.
    Spool(Arc<Intake>, mpsc::Sender<Request>),
}

/// Room for one message or several, where they go.
enum Room {
    Buffer(OwnedSemaphorePermit),
    Spool(Share),
}

/// A message that was accepted: the topic holds it or, with a spool, the disk does.
#[derive(Debug)]
pub struct Sent {
    id: Id,
    state: State,
}

#[derive(Debug)]
enum State {
    Published(Published),
    Spooled(oneshot::Receiver<Result<Published, SendError>>),
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
    /// With a spool: whether the message is on the disk.
    spooled: Option<oneshot::Receiver<Result<(), SendError>>>,
    outcome: oneshot::Receiver<Result<Published, SendError>>,
}

impl Producer {
    /// Settings for a producer that publishes by this publisher.
    pub fn builder<P: Publisher>(publisher: P) -> Builder<P> {
        Builder::new(publisher)
    }

    pub(crate) const fn new(core: Arc<Core>, way: Way) -> Self {
        Self { core, way }
    }

    /// Sends a message and returns once it is accepted: published or, with a spool, on the disk. Waits while the buffer,
    /// or the spool, is full.
    ///
    /// Dropped before it returns, the message may or may not be published.
    pub async fn send(&self, message: impl Into<Message>) -> Result<Sent, SendError> {
        self.enqueue(message).await?.accepted().await
    }

    /// Sends the messages of a stream, many at a time, and gives back each one's outcome in their order.
    ///
    /// Memory is bounded: no more is taken from the stream while the buffer is full or the outcomes are not.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use futures_util::{StreamExt, stream};
    /// use upbeat_producer::{Producer, memory::Memory};
    /// let producer = Producer::builder(Memory::standard("messages")).build();
    /// let outcomes: Vec<_> = producer.send_all(stream::iter(["one", "", "three"])).collect().await;
    /// assert!(outcomes[0].is_ok() && outcomes[1].is_err() && outcomes[2].is_ok());
    /// # }
    /// ```
    pub fn send_all<M: Into<Message>>(
        &self,
        messages: impl Stream<Item = M>,
    ) -> impl Stream<Item = Result<Sent, SendError>> {
        let tickets = messages.then(|message| self.enqueue(message));
        tickets.map(async |ticket| ticket?.accepted().await).buffered(OUTCOMES)
    }

    /// Takes a message into the buffer, waiting while it, or the spool, is full; the ticket tells when it is accepted and
    /// when it is published.
    ///
    /// Messages are published in the order in which this returns: on a FIFO topic within each group, on a standard
    /// topic as far as nothing fails.
    pub async fn enqueue(&self, message: impl Into<Message>) -> Result<Ticket, SendError> {
        let entry = self.check(message.into())?;
        let room = match &self.way {
            Way::Buffer(_) => {
                let room = Arc::clone(&self.core.room).acquire_many_owned(self.core.cost(&entry)).await;
                Room::Buffer(room.map_err(|_| SendError::Closed)?)
            }
            Way::Spool(intake, _) => Room::Spool(intake.share(spool_cost(&entry), self.core.cost(&entry)).await?),
        };
        self.hand_over(entry, room)
    }

    /// As [`enqueue`](Self::enqueue), with [`SendError::Full`] or [`SendError::SpoolFull`] in place of waiting.
    pub fn try_enqueue(&self, message: impl Into<Message>) -> Result<Ticket, SendError> {
        let entry = self.check(message.into())?;
        let room = self.try_take_room(spool_cost(&entry), self.core.cost(&entry));
        let room = room.inspect_err(|error| self.core.meter.not_taken(error))?;
        self.hand_over(entry, room)
    }

    /// Takes several messages at once or, if there is no room for all of them together, none: then it is
    /// [`SendError::Full`]. A message that can't be published is refused alone, in its place.
    pub fn try_enqueue_all(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<Vec<Result<Ticket, SendError>>, SendError> {
        let entries: Vec<_> = messages.into_iter().map(|message| self.check(message)).collect();
        let sum = |cost: &dyn Fn(&Entry) -> u32| entries.iter().flatten().map(cost).fold(0, u32::saturating_add);
        let (on_disk, in_memory) = (sum(&spool_cost), sum(&|entry| self.core.cost(entry)));
        let room = self.try_take_room(on_disk, in_memory.min(self.core.options.buffer));
        let none = |error: &SendError| entries.iter().flatten().for_each(|_| self.core.meter.not_taken(error));
        let mut room = room.inspect_err(none)?;
        let mut take = |entry: Entry| {
            let part = room.split(spool_cost(&entry), self.core.cost(&entry));
            self.hand_over(entry, part.ok_or(SendError::Full)?)
        };
        Ok(entries.into_iter().map(|entry| entry.and_then(&mut take)).collect())
    }

    /// What the topic is and takes.
    #[must_use]
    pub fn topic(&self) -> &Description {
        &self.core.topic
    }

    /// Whether what is accepted is on disk.
    #[must_use]
    pub fn has_spool(&self) -> bool {
        self.core.spooled
    }

    /// Takes no more messages, publishes what is there, and ends after `within` at the latest; what is not published
    /// then is [`SendError::Abandoned`]. Of several calls the earliest end counts.
    ///
    /// With a spool, what is not published stays there, and an outage of SNS is not waited for.
    pub async fn close(&self, within: Duration) -> Summary {
        self.core.closing.cancel();
        match &self.way {
            Way::Buffer(_) => self.core.room.close(),
            Way::Spool(intake, _) => intake.close(),
        }
        self.core.tasks.close();
        if timeout(within, self.core.tasks.wait()).await.is_err() {
            self.core.abandon.cancel();
            self.core.tasks.wait().await;
        }
        self.core.counters.summary()
    }

    fn check(&self, mut message: Message) -> Result<Entry, SendError> {
        let Core { traces, topic, options, .. } = &*self.core;
        let parent = message.trace_parent.take();
        let checked = Entry::check(message, topic, options.default_group.as_ref());
        let traced = checked.map(|mut entry| {
            let begun = spans::begin(traces, parent, &mut entry, topic);
            entry.traced(begun)
        });
        traced.map_err(|refusal| {
            self.core.counters.refused_at_once();
            let error = SendError::Refused(refusal);
            self.core.meter.not_taken(&error);
            error
        })
    }

    fn try_take_room(&self, on_disk: u32, in_memory: u32) -> Result<Room, SendError> {
        match &self.way {
            Way::Spool(intake, _) => intake.try_share(on_disk, in_memory).map(Room::Spool),
            Way::Buffer(_) => {
                let room = Arc::clone(&self.core.room).try_acquire_many_owned(in_memory);
                room.map(Room::Buffer).map_err(|error| match error {
                    TryAcquireError::Closed => SendError::Closed,
                    TryAcquireError::NoPermits => SendError::Full,
                })
            }
        }
    }

    /// Room was taken, so the channels, which are longer than messages can be waiting, have a place.
    fn hand_over(&self, entry: Entry, room: Room) -> Result<Ticket, SendError> {
        let (reply, outcome) = oneshot::channel();
        let id = entry.id().clone();
        let spooled = match (&self.way, room) {
            (Way::Buffer(inbox), Room::Buffer(room)) => {
                let pending = Pending::new(Some(reply), room, None);
                inbox.try_send(Queued { entry, pending }).map_err(|error| not_taken(&error))?;
                self.core.meter.accepted(1);
                None
            }
            (Way::Spool(_, inbox), Room::Spool(share)) => {
                let (accepted, spooled) = oneshot::channel();
                let request = Request { entry, share, accepted, reply };
                inbox.try_send(request).map_err(|error| not_taken(&error))?;
                Some(spooled)
            }
            // Room is taken where the message goes.
            _ => return Err(SendError::Closed),
        };
        Ok(Ticket { id, spooled, outcome })
    }
}

/// What a message takes of the spool.
fn spool_cost(entry: &Entry) -> u32 {
    u32::try_from(cost_of_bytes(entry.bytes())).unwrap_or(u32::MAX)
}

const fn not_taken<T>(error: &TrySendError<T>) -> SendError {
    match error {
        TrySendError::Full(_) => SendError::Full,
        TrySendError::Closed(_) => SendError::Closed,
    }
}

impl Room {
    /// A part of it for one of several messages.
    fn split(&mut self, on_disk: u32, in_memory: u32) -> Option<Self> {
        match self {
            Self::Buffer(room) => room.split((in_memory as usize).min(room.num_permits())).map(Self::Buffer),
            Self::Spool(share) => share.split(on_disk, in_memory).map(Self::Spool),
        }
    }
}

impl Sent {
    /// The message's own id.
    #[must_use]
    pub const fn id(&self) -> &Id {
        &self.id
    }

    /// The id that the topic gave to it; `None` while it is in the spool.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        match &self.state {
            State::Published(published) => Some(&published.message_id),
            State::Spooled(_) => None,
        }
    }

    /// Waits until the topic holds the message. Without a spool it does already.
    pub async fn published(self) -> Result<Published, SendError> {
        match self.state {
            State::Published(published) => Ok(published),
            State::Spooled(outcome) => outcome.await.unwrap_or(Err(SendError::Spooled)),
        }
    }
}

impl Ticket {
    /// The message's own id.
    #[must_use]
    pub const fn id(&self) -> &Id {
        &self.id
    }

    /// Waits until the message is accepted: published or, with a spool, on the disk.
    pub async fn accepted(mut self) -> Result<Sent, SendError> {
        self.when_accepted().await?;
        let Self { id, spooled, outcome } = self;
        let state = match spooled {
            Some(_) => State::Spooled(outcome),
            None => State::Published(outcome.await.unwrap_or(Err(SendError::Abandoned))?),
        };
        Ok(Sent { id, state })
    }

    /// As [`accepted`](Self::accepted), for several at once; dropped before it returns, it loses nothing.
    pub(crate) async fn settled(&mut self) -> Result<(), SendError> {
        match &mut self.spooled {
            Some(_) => self.when_accepted().await,
            None => self.await.map(drop),
        }
    }

    async fn when_accepted(&mut self) -> Result<(), SendError> {
        match &mut self.spooled {
            // An answer that was dropped is one of a runtime that ended.
            Some(spooled) => spooled.await.unwrap_or(Err(SendError::Abandoned)),
            None => Ok(()),
        }
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
