//! What a test can see of an in-memory queue.

use std::sync::Arc;

use super::MemoryQueue;
use super::stored::State;
use crate::message::Attributes;

/// How many messages are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Can be received, or could if their group were not blocked.
    pub visible: usize,
    /// Received, and their lease lasts.
    pub in_flight: usize,
    /// Sent with a delay that lasts.
    pub delayed: usize,
}

/// How many requests the queue has got, those that failed included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Of [`info`](crate::queue::Queue::info).
    pub info: u64,
    /// Of [`receive`](crate::queue::Queue::receive).
    pub receive: u64,
    /// Of [`delete`](crate::queue::Queue::delete).
    pub delete: u64,
    /// Of [`change_visibility`](crate::queue::Queue::change_visibility).
    pub change_visibility: u64,
    /// Of [`dead_letter`](crate::queue::Queue::dead_letter).
    pub dead_letter: u64,
    /// Receives that are waiting for messages now.
    pub open_polls: u64,
}

/// A message that is in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// The queue's id.
    pub message_id: Arc<str>,
    /// As it was sent.
    pub body: String,
    /// As they were sent.
    pub attributes: Attributes,
    /// The message group, if it has one.
    pub group: Option<Arc<str>>,
    /// How often it was received, in this queue and in the one it was redriven from.
    pub receive_count: u32,
}

impl MemoryQueue {
    /// How many messages are visible, in flight and delayed now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.with(|state, _| {
            let mut counts = Counts::default();
            for message in state.store.messages() {
                match message.state {
                    State::Visible => counts.visible += 1,
                    State::InFlight { .. } => counts.in_flight += 1,
                    State::Delayed { .. } => counts.delayed += 1,
                }
            }
            counts
        })
    }

    /// Whether no message is left, in whatever state.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.with(|state, _| state.store.messages().next().is_none())
    }

    /// Every message left, in whatever state, in the order in which they were sent.
    #[must_use]
    pub fn messages(&self) -> Vec<StoredMessage> {
        self.with(|state, _| {
            let messages = state.store.messages().map(|message| StoredMessage {
                message_id: message.message_id.clone(),
                body: message.body.clone(),
                attributes: message.attributes.clone(),
                group: message.group.clone(),
                receive_count: message.receive_count,
            });
            messages.collect()
        })
    }

    /// The body of every message left, in the order in which they were sent.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.with(|state, _| state.store.messages().map(|message| message.body.clone()).collect())
    }

    /// How many messages were deleted so far.
    #[must_use]
    pub fn deleted(&self) -> u64 {
        self.with(|state, _| state.store.deleted)
    }

    /// What is in the dead-letter queue; empty if there is none.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<StoredMessage> {
        self.dead_letter_queue().map(Self::messages).unwrap_or_default()
    }

    /// How many requests there were so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.with(|state, _| state.requests)
    }
}
