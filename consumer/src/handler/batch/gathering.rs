//! The messages of a batch that has not begun.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::message::Message;

/// Messages that wait for their batch to begin.
pub(super) struct Gathering {
    size: usize,
    members: Mutex<Members>,
    full: Notify,
}

struct Members {
    /// By the number of their seat; some may have left.
    messages: Vec<(usize, Message)>,
    seats: usize,
    closed: bool,
}

/// A message's place in a batch. Dropped before the batch begins, the message is not in it.
pub(super) struct Seat {
    gathering: Arc<Gathering>,
    number: usize,
}

impl Gathering {
    /// A batch with its first message.
    pub(super) fn start(message: Message, size: usize) -> (Arc<Self>, Seat) {
        let members = Members { messages: vec![(0, message)], seats: 1, closed: false };
        let gathering = Arc::new(Self { size, members: Mutex::new(members), full: Notify::new() });
        if size == 1 {
            gathering.full.notify_one();
        }
        let seat = Seat { gathering: Arc::clone(&gathering), number: 0 };
        (gathering, seat)
    }

    /// Seats one more message, or gives it back where there is no room or the batch has begun.
    pub(super) fn join(self: &Arc<Self>, message: Message) -> Result<Seat, Box<Message>> {
        let mut members = self.lock();
        if members.closed || members.messages.len() >= self.size {
            return Err(Box::new(message));
        }
        let number = members.seats;
        members.seats += 1;
        members.messages.push((number, message));
        if members.messages.len() == self.size {
            self.full.notify_one();
        }
        Ok(Seat { gathering: Arc::clone(self), number })
    }

    /// Waits until there is no more room. It may have been made since by a message that left.
    pub(super) async fn full(&self) {
        self.full.notified().await;
    }

    /// The batch begins: nobody joins any more. Returns the messages whose handling is still of use, by their seats.
    pub(super) fn close(&self) -> Vec<(usize, Message)> {
        let mut members = self.lock();
        members.closed = true;
        let mut messages = std::mem::take(&mut members.messages);
        messages.retain(|(_, message)| message.cancellation().reason().is_none());
        messages
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(super) const fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.gathering.lock().messages.retain(|(number, _)| *number != self.number);
    }
}
