//! Handlers that take many messages at once.

mod gathering;
mod outcomes;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::time::{Instant, timeout_at};

use super::Handler;
use crate::message::Message;
use crate::outcome::Outcome;
use gathering::{Gathering, Seat};
pub use outcomes::IntoOutcomes;

/// A handler that gathers up to `size` messages, waiting at most `wait` for more after the first, and hands them to
/// the function together. The function returns an outcome for each, in their order, or what stands for that: see
/// [`IntoOutcomes`].
///
/// ```
/// use std::time::Duration;
/// use upbeat_consumer::{Message, handler};
///
/// let handler = handler::batch(100, Duration::from_millis(500), |messages: Vec<Message>| async move {
///     println!("{} messages in one transaction", messages.len());
///     Ok::<_, std::io::Error>(())
/// });
/// # fn is_handler(_: impl upbeat_consumer::Handler) {}
/// # is_handler(handler);
/// ```
///
/// To the consumer each is a message of its own: with its permit, its lease and its cancellation. So
///
/// - `size` should not be more than [`concurrency`](crate::Options::concurrency), or no batch is ever full;
/// - the [handler timeout](crate::Options::handler_timeout) covers the gathering too, and so does the drain at a stop;
/// - of a FIFO queue's group there is never more than one message in a batch: the next has its turn when that is done;
/// - a message that is cancelled while its batch gathers is not in it; once the function runs, it runs to its end for the
///   others, and the [cancellation](Message::cancellation) of each says whose outcome counts no more. When all are
///   cancelled, the function's future is dropped.
///
/// An error or a panic of the function counts for each of the batch, and so does a wrong number of outcomes.
/// Several batches run at a time if there are messages for them. A `size` of 0 counts as 1.
pub fn batch<F, R>(size: usize, wait: Duration, function: F) -> Batch<F>
where
    F: Fn(Vec<Message>) -> R + Send + Sync + 'static,
    R: Future<Output: IntoOutcomes> + Send + 'static,
{
    Batch { size: size.max(1), wait, function: Arc::new(function), open: Mutex::new(None) }
}

/// See [`batch()`].
pub struct Batch<F> {
    size: usize,
    wait: Duration,
    function: Arc<F>,
    open: Mutex<Option<Open>>,
}

/// What becomes of each message, by its seat.
type Outcomes = Arc<Vec<(usize, Outcome)>>;

/// Gathers, then runs. It is polled by whichever of its messages' tasks are alive, and dropped with the last of them:
/// so nothing runs that nobody waits for, and no message depends on the task of another.
type Run = Shared<BoxFuture<'static, Outcomes>>;

/// A batch that takes messages. It does not keep the run alive.
struct Open {
    gathering: Arc<Gathering>,
    run: WeakShared<BoxFuture<'static, Outcomes>>,
}

impl<F, R> Batch<F>
where
    F: Fn(Vec<Message>) -> R + Send + Sync + 'static,
    R: Future<Output: IntoOutcomes> + Send + 'static,
{
    /// Seats the message in the batch that is open, or in a new one.
    fn join(&self, message: Message) -> (Seat, Run) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let running = open.as_ref().and_then(|open| Some((&open.gathering, open.run.upgrade()?)));
        let message = match running {
            None => message,
            Some((gathering, run)) => match gathering.join(message) {
                Ok(seat) => return (seat, run),
                Err(message) => *message,
            },
        };
        let (gathering, seat) = Gathering::start(message, self.size);
        let until = Instant::now() + self.wait;
        let run = run(Arc::clone(&gathering), until, Arc::clone(&self.function)).boxed().shared();
        *open = run.downgrade().map(|run| Open { gathering, run });
        (seat, run)
    }
}

async fn run<F, R>(gathering: Arc<Gathering>, until: Instant, function: Arc<F>) -> Outcomes
where
    F: Fn(Vec<Message>) -> R,
    R: Future<Output: IntoOutcomes>,
{
    // Either way it is time to begin.
    let _ = timeout_at(until, gathering.full()).await;
    let (seats, messages): (Vec<_>, Vec<_>) = gathering.close().into_iter().unzip();
    if messages.is_empty() {
        return Outcomes::default();
    }
    let count = messages.len();
    // Caught here, for it is to count for each of the batch and not only for the one whose task polls.
    let handled = AssertUnwindSafe(async { function(messages).await.into_outcomes(count) }).catch_unwind().await;
    let outcomes = handled.unwrap_or_else(|panic| {
        let error = format!("the batch handler panicked: {}", super::panic_text(&*panic));
        vec![Outcome::Failed { error }; count]
    });
    if outcomes.len() == count {
        return Arc::new(seats.into_iter().zip(outcomes).collect());
    }
    let error = format!("the batch handler returned {} outcomes for {count} messages", outcomes.len());
    Arc::new(seats.into_iter().map(|seat| (seat, Outcome::Failed { error: error.clone() })).collect())
}

impl<F, R> Handler for Batch<F>
where
    F: Fn(Vec<Message>) -> R + Send + Sync + 'static,
    R: Future<Output: IntoOutcomes> + Send + 'static,
{
    async fn handle(&self, message: Message) -> Outcome {
        let (seat, run) = self.join(message);
        let outcomes = run.await;
        let ours = outcomes.iter().find(|(number, _)| *number == seat.number());
        let cancelled = || Outcome::Failed { error: "cancelled before its batch began".to_owned() };
        ours.map_or_else(cancelled, |(_, outcome)| outcome.clone())
    }
}

impl<F> fmt::Debug for Batch<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, wait, .. } = self;
        formatter.debug_struct("Batch").field("size", size).field("wait", wait).finish_non_exhaustive()
    }
}
