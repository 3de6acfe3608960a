//! The waiting messages of a standard topic: one line, first come, first served.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::queued::{Again, Flight, Queued};
use super::waiting::Waiting;
use crate::batch::MAX_ENTRIES;

/// See [`Waiting`].
#[derive(Debug)]
pub(crate) struct Plain {
    max_bytes: usize,
    waiting: VecDeque<Queued>,
    waiting_bytes: usize,
    /// By when they may be tried again, and a number, since two may rest equally long.
    resting: BTreeMap<(Instant, u64), Queued>,
    rested: u64,
}

impl Plain {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, waiting: VecDeque::new(), waiting_bytes: 0, resting: BTreeMap::new(), rested: 0 }
    }

    fn push_front(&mut self, queued: Queued) {
        self.waiting_bytes += queued.entry.bytes();
        self.waiting.push_front(queued);
    }
}

impl Waiting for Plain {
    fn push(&mut self, queued: Queued) {
        self.waiting_bytes += queued.entry.bytes();
        self.waiting.push_back(queued);
    }

    fn take(&mut self) -> Flight {
        let mut flight = Flight::new(self.max_bytes);
        while let Some(queued) = self.waiting.pop_front_if(|next| flight.has_room_for(next)) {
            self.waiting_bytes -= queued.entry.bytes();
            flight.push(queued);
        }
        flight
    }

    fn put_back(&mut self, _groups: &[Arc<str>], again: Vec<Again>) {
        for Again { queued, not_before } in again.into_iter().rev() {
            match not_before {
                None => self.push_front(queued),
                Some(instant) => {
                    self.rested += 1;
                    self.resting.insert((instant, self.rested), queued);
                }
            }
        }
    }

    fn wake(&mut self, now: Instant) {
        while let Some(first) = self.resting.first_entry().filter(|first| first.key().0 <= now) {
            let queued = first.remove();
            self.push_front(queued);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.resting.first_key_value().map(|((instant, _), _)| *instant)
    }

    fn fills_a_batch(&self) -> bool {
        self.waiting.len() >= MAX_ENTRIES || self.waiting_bytes >= self.max_bytes
    }

    fn oldest(&self) -> Option<Instant> {
        self.waiting.front().map(|queued| queued.pending.taken)
    }

    fn take_out(&mut self, wanted: impl Fn(&Queued) -> bool) -> Vec<Queued> {
        let (out, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().partition(wanted);
        self.waiting = stay.into();
        self.waiting_bytes -= out.iter().map(|queued| queued.entry.bytes()).sum::<usize>();
        out
    }

    fn earliest(&self, instant: impl Fn(&Queued) -> Option<Instant>) -> Option<Instant> {
        self.waiting.iter().filter_map(instant).min()
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.resting.is_empty()
    }

    fn drain(&mut self) -> Vec<Queued> {
        self.waiting_bytes = 0;
        self.waiting.drain(..).chain(std::mem::take(&mut self.resting).into_values()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::queued::tests::{id, queued};
    use super::*;

    const MAX_BYTES: usize = 1000;

    fn ids(flight: Flight) -> Vec<usize> {
        flight.into_queued().map(|queued| id(&queued)).collect()
    }

    proptest! {
        #[test]
        fn batches_keep_the_order_and_the_limits_and_lose_and_repeat_nothing(
            messages in prop::collection::vec((20..=MAX_BYTES, prop::bool::weighted(0.1)), 0..100)
        ) {
            let mut plain = Plain::new(MAX_BYTES);
            for (n, (bytes, alone)) in messages.iter().enumerate() {
                let mut queued = queued(n, *bytes, None);
                queued.pending.alone = *alone;
                plain.push(queued);
            }
            let mut taken = Vec::new();
            while !plain.is_empty() {
                let waiting_bytes: usize = plain.waiting.iter().map(|queued| queued.entry.bytes()).sum();
                prop_assert_eq!(plain.fills_a_batch(), plain.waiting.len() >= MAX_ENTRIES || waiting_bytes >= MAX_BYTES);
                let flight = plain.take();
                let (count, bytes) = (flight.batch.entries().len(), flight.batch.bytes());
                prop_assert!((1..=MAX_ENTRIES).contains(&count) && bytes <= MAX_BYTES);
                prop_assert!(count == 1 || flight.pending.iter().all(|pending| !pending.alone));
                let next_bytes = plain.waiting.front().map(|next| next.entry.bytes());
                let next_alone = plain.waiting.front().is_some_and(|next| next.pending.alone);
                let could_be_fuller = next_bytes.is_some_and(|next| count < MAX_ENTRIES && bytes + next <= MAX_BYTES);
                prop_assert!(!could_be_fuller || next_alone || flight.pending[0].alone, "a batch is as full as can be");
                taken.extend(ids(flight));
            }
            prop_assert_eq!(taken, (0..messages.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn ten_messages_of_a_tenth_of_the_limit_share_a_batch_and_one_byte_more_does_not_fit() {
        let mut plain = Plain::new(MAX_BYTES);
        (0..10).for_each(|n| plain.push(queued(n, 100, None)));
        assert_eq!(ids(plain.take()).len(), 10);
        (0..9).for_each(|n| plain.push(queued(n, 100, None)));
        plain.push(queued(9, 101, None));
        assert_eq!(ids(plain.take()), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(ids(plain.take()), [9]);
    }

    #[test]
    fn what_failed_goes_first_in_its_order_and_what_rests_when_it_has_rested() {
        let now = Instant::now();
        let mut plain = Plain::new(MAX_BYTES);
        plain.push(queued(3, 100, None));
        let again = |n, not_before| Again { queued: queued(n, 100, None), not_before };
        let later = now + Duration::from_secs(1);
        plain.put_back(&[], vec![again(0, None), again(1, Some(later)), again(2, None)]);
        plain.wake(now);
        assert_eq!(ids(plain.take()), [0, 2, 3]);
        assert_eq!((plain.is_empty(), plain.next_wake()), (false, Some(later)));
        plain.wake(later);
        assert_eq!(ids(plain.take()), [1]);
        assert!(plain.is_empty());
    }
}
