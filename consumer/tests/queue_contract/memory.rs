//! The in-memory queue, under paused time.

use upbeat_consumer::queue::ErrorKind;
use upbeat_consumer::queue::memory::{Faults, MemoryQueue, NewMessage};

use crate::broker::{Broker, DeadLetter, MAX_RECEIVES, Sent, sorted};

struct InMemory(MemoryQueue);

impl Broker for InMemory {
    type Queue = MemoryQueue;

    const REPEATS_ATTEMPTS: bool = true;
    const REFUSES_CHANGE_AFTER_LEASE: bool = true;

    async fn standard() -> Self {
        let dead_letters = MemoryQueue::new("dead");
        Self(MemoryQueue::builder("q").dead_letter_queue(&dead_letters, MAX_RECEIVES).build())
    }

    async fn fifo() -> Self {
        let dead_letters = MemoryQueue::new("dead.fifo");
        Self(MemoryQueue::builder("q.fifo").dead_letter_queue(&dead_letters, MAX_RECEIVES).build())
    }

    async fn without_redrive() -> Self {
        Self(MemoryQueue::new("q"))
    }

    async fn missing() -> MemoryQueue {
        let faults = Faults { down: Some(ErrorKind::NotFound), ..Faults::default() };
        MemoryQueue::builder("missing").faults(faults).build()
    }

    fn queue(&self) -> &MemoryQueue {
        &self.0
    }

    async fn send(&self, message: Sent) {
        let mut new = NewMessage::new(message.body);
        for (name, attribute) in message.attributes {
            new = new.attribute(name, attribute);
        }
        if let Some(group) = message.group {
            new = new.group(group);
        }
        if let Some(id) = message.deduplication_id {
            new = new.deduplication_id(id);
        }
        self.0.send(new).unwrap();
    }

    async fn counts(&self) -> (usize, usize) {
        let counts = self.0.counts();
        (counts.visible, counts.in_flight)
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        let letters = self.0.dead_letters().into_iter().map(|letter| DeadLetter {
            attributes: sorted(letter.attributes.iter()),
            body: letter.body,
            group: letter.group.as_deref().map(str::to_owned),
        });
        letters.collect()
    }
}

contract!(InMemory, #[tokio::test(start_paused = true)]);
