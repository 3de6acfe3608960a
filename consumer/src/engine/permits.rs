//! What may be in flight: so many messages and so many bytes. Both are taken before a receive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::queue::MAX_BATCH;

/// Bytes are counted in units of this many, so that a semaphore can count them.
const UNIT: u64 = 1024;

/// A message of SQS has at most 1 MiB (SQS Developer Guide, "Message quotas").
const LARGEST_MESSAGE: u32 = 1024;

/// What is reserved for a message as long as all are small.
const SMALLEST_GUESS: u32 = 4;

/// The permits for messages and bytes in flight.
#[derive(Debug)]
pub(super) struct Permits {
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    concurrency: usize,
    /// How long a receive waits for a full batch of permits before it goes with what there is.
    max_batch_wait: Duration,
    /// The size of a message to be expected, in units.
    guess: AtomicU32,
    most_units: u32,
    /// One reservation is filled after the other, so that they do not share out a few permits among them.
    turn: Mutex<()>,
}

/// Room for up to [`messages`](Self::messages) messages that are still to be received.
#[derive(Debug)]
pub(super) struct Reservation {
    messages: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
}

/// The room that one message takes; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _message: Option<OwnedSemaphorePermit>,
    _bytes: Option<OwnedSemaphorePermit>,
}

impl Permits {
    pub(super) fn new(concurrency: usize, max_bytes: u64, max_batch_wait: Duration) -> Self {
        let most_units = u32::try_from(max_bytes / UNIT).unwrap_or(u32::MAX).clamp(1, u32::MAX / 2);
        Self {
            messages: Arc::new(Semaphore::new(concurrency)),
            bytes: Arc::new(Semaphore::new(most_units as usize)),
            concurrency,
            max_batch_wait,
            guess: AtomicU32::new(SMALLEST_GUESS),
            most_units,
            turn: Mutex::new(()),
        }
    }

    /// Waits for room for `wanted` messages; once there is room for one, at most `max_batch_wait` longer. Cancel safe.
    pub(super) async fn reserve(&self, wanted: usize) -> Reservation {
        let wanted = wanted.min(MAX_BATCH).min(self.concurrency);
        let _turn = self.turn.lock().await;
        let mut messages = take(&self.messages, 1).await;
        let full = timeout(self.max_batch_wait, take(&self.messages, wanted - 1)).await;
        let more = match full {
            Ok(more) => more,
            Err(_) => take(&self.messages, self.messages.available_permits().min(wanted - 1)).await,
        };
        messages.merge(more);
        let guess = self.guess.load(Ordering::Relaxed).min(self.most_units);
        let all = guess.saturating_mul(u32::try_from(messages.num_permits()).unwrap_or(1));
        let bytes = if let Ok(bytes) = Arc::clone(&self.bytes).try_acquire_many_owned(all) {
            bytes
        } else {
            // There is not room for all: one message at a time then.
            if let Some(one) = messages.split(1) {
                messages = one;
            }
            take(&self.bytes, guess as usize).await
        };
        Reservation { messages, bytes }
    }

    /// Whether a receive waits for some of them.
    pub(super) fn are_wanted(&self) -> bool {
        self.turn.try_lock().is_err()
    }

    /// The expected size follows the largest message at once and falls back by and by. What exceeds it is over
    /// the limit by at most the receives that were under way when messages became larger.
    fn learn(&self, units: u32) {
        let guess = self.guess.load(Ordering::Relaxed);
        let next = units.max(guess - guess / 16).clamp(SMALLEST_GUESS, LARGEST_MESSAGE);
        self.guess.store(next, Ordering::Relaxed);
    }

    /// The room in bytes that messages take, or that is kept for messages to come.
    pub(super) fn bytes_taken(&self) -> u64 {
        let free = u64::try_from(self.bytes.available_permits()).unwrap_or(u64::MAX);
        u64::from(self.most_units).saturating_sub(free) * UNIT
    }

    pub(super) fn most_bytes(&self) -> u64 {
        u64::from(self.most_units) * UNIT
    }

    /// Whether every permit has come back.
    pub(super) fn all_free(&self) -> bool {
        self.messages.available_permits() == self.concurrency
            && self.bytes.available_permits() == self.most_units as usize
    }
}

#[expect(clippy::expect_used, reason = "acquiring fails only on a closed semaphore, and these are never closed")]
async fn take(semaphore: &Arc<Semaphore>, permits: usize) -> OwnedSemaphorePermit {
    let permits = u32::try_from(permits).unwrap_or(u32::MAX);
    Arc::clone(semaphore).acquire_many_owned(permits).await.expect("the semaphore is open")
}

impl Reservation {
    /// How many messages there is room for.
    pub(super) fn messages(&self) -> usize {
        self.messages.num_permits()
    }

    /// The part that a received message of this size takes.
    pub(super) fn permit(&mut self, permits: &Permits, bytes: usize) -> Permit {
        let units = u32::try_from(bytes as u64 / UNIT + 1).unwrap_or(u32::MAX);
        permits.learn(units);
        let units = self.bytes.num_permits().min(units as usize);
        Permit { _message: self.messages.split(1), _bytes: self.bytes.split(units) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_receive_waits_so_long_for_ten_permits_and_then_takes_what_there_is() {
        let permits = Permits::new(12, 1 << 20, WAIT);
        let first = permits.reserve(MAX_BATCH).await;
        assert_eq!(first.messages(), 10);
        let started = tokio::time::Instant::now();
        let second = permits.reserve(MAX_BATCH).await;
        assert_eq!((second.messages(), started.elapsed()), (2, WAIT));
        drop((first, second));
        assert!(permits.all_free());
    }

    #[tokio::test(start_paused = true)]
    async fn large_messages_make_the_next_reservation_smaller_and_small_ones_restore_it() {
        let permits = Permits::new(100, 2 << 20, WAIT);
        let mut reservation = permits.reserve(MAX_BATCH).await;
        let large = reservation.permit(&permits, 1 << 20);
        drop(reservation);
        assert_eq!(permits.reserve(MAX_BATCH).await.messages(), 1);
        drop(large);
        for _ in 0..200 {
            drop(permits.reserve(MAX_BATCH).await.permit(&permits, 100));
        }
        assert_eq!(permits.reserve(MAX_BATCH).await.messages(), 10);
        assert!(permits.all_free());
    }
}
