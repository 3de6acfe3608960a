//! A queue in memory that behaves like SQS, for tests and simulations without a server.
//!
//! It keeps visibility timeouts by tokio's clock, so that it works under `tokio::time::pause`. Where SQS leaves open what
//! happens, it does what would bring a consumer's mistakes to light:
//!
//! - Of a message's receipt handles only the latest counts. Deleting with an older one is answered with success and does
//!   nothing, as SQS may do (API reference, `DeleteMessage`); changing the visibility with one is refused.
//! - The latest handle still deletes after the lease has ended, unless the queue is FIFO: there it is refused.
//! - Leases, waits and delays that are no whole seconds, empty batches and the like are refused as a whole.
//! - A future that is dropped after messages were chosen leaves them hidden until their lease ends.
//!
//! Not modelled: retention, the limit of messages in flight, high-throughput FIFO queues.

mod builder;
mod faults;
mod new_message;
mod observe;
mod recent;
mod request;
mod shelf;
mod store;
mod stored;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;

pub use builder::MemoryQueueBuilder;
pub use faults::Faults;
pub use new_message::NewMessage;
pub use observe::{Counts, Requests, StoredMessage};

use super::{QueueError, name};
use store::Store;
use stored::Stored;

/// A queue in memory. Clones are the same queue. It is FIFO if its name ends with `.fifo`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use std::time::Duration;
/// use upbeat_consumer::queue::memory::MemoryQueue;
/// use upbeat_consumer::queue::{Queue, Receive};
///
/// let queue = MemoryQueue::new("messages");
/// queue.send("hello").unwrap();
/// let receive = Receive { max: 10, wait: Duration::ZERO, lease: Duration::from_secs(30), attempt_id: None };
/// let received = queue.receive(receive).await.unwrap();
/// assert_eq!(received[0].payload.body(), "hello");
/// assert_eq!(queue.counts().in_flight, 1);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct MemoryQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    setup: Setup,
    state: Mutex<State>,
    /// Wakes a poll: something can be received, or can be sooner than was to be expected, or faults have changed.
    changed: Notify,
}

#[derive(Clone, Debug)]
struct Setup {
    name: String,
    visibility_timeout: Duration,
    /// The dead-letter queue exists before this one, so that no queue can be its own.
    redrive: Option<(MemoryQueue, u32)>,
}

#[derive(Debug)]
struct State {
    store: Store,
    faults: Faults,
    random: fastrand::Rng,
    requests: Requests,
}

impl MemoryQueue {
    /// A queue without a dead-letter queue and without faults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self::builder(name).build()
    }

    /// Sets up a queue.
    #[must_use]
    pub fn builder(name: impl Into<String>) -> MemoryQueueBuilder {
        MemoryQueueBuilder::new(name.into())
    }

    fn start(setup: Setup, faults: Faults, seed: u64) -> Self {
        let max_receive_count = setup.redrive.as_ref().map(|(_, max)| *max);
        let started = (Instant::now(), SystemTime::now());
        let store = Store::new(setup.name.clone(), setup.is_fifo(), max_receive_count, started);
        let state = State { store, faults, random: fastrand::Rng::with_seed(seed), requests: Requests::default() };
        Self(Arc::new(Shared { setup, state: Mutex::new(state), changed: Notify::new() }))
    }

    /// Puts a message into the queue and returns its id, free of faults.
    /// A message that SQS would refuse is an error of kind [`Invalid`](super::ErrorKind::Invalid).
    pub fn send(&self, message: impl Into<NewMessage>) -> Result<Arc<str>, QueueError> {
        let message = message.into();
        message.check(self.0.setup.is_fifo())?;
        Ok(self.with(|state, now| {
            let id = uuid::Builder::from_random_bytes(state.random.u128(..).to_be_bytes()).into_uuid();
            state.store.send(message, id.to_string().into(), now)
        }))
    }

    /// The queue in which messages end that were received too often or rejected.
    #[must_use]
    pub fn dead_letter_queue(&self) -> Option<&Self> {
        self.0.setup.redrive.as_ref().map(|(queue, _)| queue)
    }

    /// What goes wrong from now on, for requests under way too.
    pub fn set_faults(&self, faults: Faults) {
        self.with(|state, _| state.faults = faults);
        self.0.changed.notify_waiters();
    }

    /// What goes wrong now.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.with(|state, _| state.faults.clone())
    }

    /// Does something to the queue as it is at this moment, and passes on what comes of it.
    fn with<T>(&self, change: impl FnOnce(&mut State, Instant) -> T) -> T {
        let now = Instant::now();
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { store, random, .. } = &mut *state;
        store.catch_up(now, random);
        let expected = state.store.next_change();
        let result = change(&mut state, now);
        let State { store, random, .. } = &mut *state;
        // What was sent or released by this change is taken at once by an abandoned poll that waits for it.
        store.catch_up(now, random);
        if let Some(dead_letters) = self.dead_letter_queue().filter(|_| !store.redriven.is_empty()) {
            // The lock is kept, so that nobody sees a message in neither queue.
            dead_letters.adopt(std::mem::take(&mut store.redriven));
        }
        // Open polls sleep until the next change that they know of. One that knows is enough: when it ends, for whatever
        // reason, it wakes another.
        let sooner = store.next_change().is_some_and(|next| expected.is_none_or(|expected| next < expected));
        if sooner || store.has_visible() {
            self.0.changed.notify_one();
        }
        result
    }

    fn adopt(&self, redriven: Vec<Stored>) {
        self.with(|state, _| redriven.into_iter().for_each(|message| state.store.adopt(message)));
    }
}

impl Setup {
    fn is_fifo(&self) -> bool {
        name::is_fifo(&self.name)
    }
}

#[cfg(test)]
mod tests;
