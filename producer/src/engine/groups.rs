//! The waiting messages of a FIFO topic: a line for each group, and of each group one batch under way at most.
//!
//! A group whose message failed is held until that message is settled, so that none overtakes it; other groups go on.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::queued::{Again, Flight, Queued};
use super::waiting::Waiting;
use crate::batch::MAX_ENTRIES;

/// See [`Waiting`]. A group that is neither in `ready` nor in `resting` is in a batch under way.
#[derive(Debug)]
pub(crate) struct Groups {
    max_bytes: usize,
    /// How many messages of a group share a batch.
    group_batch: usize,
    lines: HashMap<Arc<str>, VecDeque<Queued>>,
    ready: VecDeque<Arc<str>>,
    /// By when they may be tried again, and a number, since two may rest equally long.
    resting: BTreeMap<(Instant, u64), Arc<str>>,
    rested: u64,
}

impl Groups {
    pub(crate) fn new(max_bytes: usize, group_batch: usize) -> Self {
        Self {
            max_bytes,
            group_batch,
            lines: HashMap::new(),
            ready: VecDeque::new(),
            resting: BTreeMap::new(),
            rested: 0,
        }
    }

    /// The messages that a batch taken now would be made of.
    fn next(&self) -> impl Iterator<Item = &Queued> {
        let lines = self.ready.iter().filter_map(|group| self.lines.get(group));
        lines.flat_map(|line| line.iter().take(self.group_batch)).take(MAX_ENTRIES)
    }

    fn release(&mut self, group: &Arc<str>, not_before: Option<Instant>) {
        match not_before {
            Some(instant) => {
                self.rested += 1;
                self.resting.insert((instant, self.rested), Arc::clone(group));
            }
            None if self.lines.get(group).is_some_and(VecDeque::is_empty) => drop(self.lines.remove(group)),
            None => self.ready.push_back(Arc::clone(group)),
        }
    }
}

impl Waiting for Groups {
    fn push(&mut self, queued: Queued) {
        // A FIFO topic's messages were refused without a group.
        let group = queued.entry.group_id().cloned().unwrap_or_default();
        match self.lines.entry(group) {
            Slot::Occupied(line) => line.into_mut().push_back(queued),
            Slot::Vacant(slot) => {
                self.ready.push_back(Arc::clone(slot.key()));
                slot.insert(VecDeque::from([queued]));
            }
        }
    }

    fn take(&mut self) -> Flight {
        let mut flight = Flight::new(self.max_bytes);
        while let Some(group) = self.ready.pop_front() {
            let Some(line) = self.lines.get_mut(&group) else { continue };
            let mut taken = 0;
            while taken < self.group_batch
                && let Some(queued) = line.pop_front_if(|next| flight.has_room_for(next))
            {
                flight.push(queued);
                taken += 1;
            }
            match taken {
                0 if line.is_empty() => drop(self.lines.remove(&group)),
                0 => {
                    self.ready.push_front(group);
                    break;
                }
                _ => {}
            }
        }
        flight
    }

    fn put_back(&mut self, groups: &[Arc<str>], mut again: Vec<Again>) {
        for group in groups.iter().rev() {
            let mut not_before = None;
            // A group's messages stand together, so its failed ones are the last of what is left.
            while let Some(Again { queued, not_before: rests }) =
                again.pop_if(|again| again.queued.entry.group_id() == Some(group))
            {
                not_before = not_before.max(rests);
                self.lines.entry(Arc::clone(group)).or_default().push_front(queued);
            }
            self.release(group, not_before);
        }
    }

    fn wake(&mut self, now: Instant) {
        while let Some(first) = self.resting.first_entry().filter(|first| first.key().0 <= now) {
            self.ready.push_front(first.remove());
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.resting.first_key_value().map(|((instant, _), _)| *instant)
    }

    fn fills_a_batch(&self) -> bool {
        let (count, bytes) =
            self.next().fold((0, 0), |(count, bytes), queued| (count + 1, bytes + queued.entry.bytes()));
        count >= MAX_ENTRIES || bytes >= self.max_bytes
    }

    fn oldest(&self) -> Option<Instant> {
        self.next().next().map(|queued| queued.pending.taken)
    }

    fn take_out(&mut self, wanted: impl Fn(&Queued) -> bool) -> Vec<Queued> {
        let mut out = Vec::new();
        for line in self.lines.values_mut() {
            let (gone, stay): (Vec<_>, Vec<_>) = std::mem::take(line).into_iter().partition(&wanted);
            out.extend(gone);
            // An empty line is removed when its turn comes.
            *line = stay.into();
        }
        out
    }

    fn earliest(&self, instant: impl Fn(&Queued) -> Option<Instant>) -> Option<Instant> {
        self.lines.values().flatten().filter_map(instant).min()
    }

    fn is_empty(&self) -> bool {
        self.lines.values().all(VecDeque::is_empty)
    }

    fn drain(&mut self) -> Vec<Queued> {
        self.ready.clear();
        self.resting.clear();
        self.lines.drain().flat_map(|(_, line)| line).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::queued::tests::{id, queued};
    use super::*;

    const MAX_BYTES: usize = 1000;
    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn groups_of(group_batch: usize, groups: &[&str]) -> Groups {
        let mut waiting = Groups::new(MAX_BYTES, group_batch);
        groups.iter().enumerate().for_each(|(n, group)| waiting.push(queued(n, 50, Some(group))));
        waiting
    }

    fn ids(flight: Flight) -> Vec<usize> {
        flight.into_queued().map(|queued| id(&queued)).collect()
    }

    #[test]
    fn a_batch_takes_one_message_of_each_group_and_no_more_of_a_group_until_it_has_landed() {
        let mut waiting = groups_of(1, &["a", "a", "b", "a", "b"]);
        let flight = waiting.take();
        let groups = flight.groups();
        assert_eq!(ids(flight), [0, 2]);
        assert!(waiting.take().is_empty());
        waiting.put_back(&groups, vec![]);
        assert_eq!(ids(waiting.take()).len(), 2);
    }

    #[test]
    fn a_group_shares_a_batch_as_far_as_it_was_allowed_to() {
        let mut waiting = groups_of(3, &["a", "a", "a", "a", "b", "b"]);
        assert_eq!(ids(waiting.take()), [0, 1, 2, 4, 5]);
    }

    #[test]
    fn a_group_whose_message_failed_rests_with_all_that_is_behind_it_while_others_go_on() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut waiting = groups_of(1, &["a", "a", "b", "b"]);
        let flight = waiting.take();
        let groups = flight.groups();
        let failed = flight.into_queued().next().unwrap();
        waiting.put_back(&groups, vec![Again { queued: failed, not_before: Some(later) }]);
        waiting.wake(now);
        assert_eq!(ids(waiting.take()), [3], "only b goes on");
        waiting.put_back(&["b".into()], vec![]);
        assert_eq!((waiting.is_empty(), waiting.next_wake(), waiting.oldest()), (false, Some(later), None));
        waiting.wake(later);
        assert_eq!(ids(waiting.take()), [0]);
        waiting.put_back(&["a".into()], vec![]);
        assert_eq!(ids(waiting.take()), [1]);
    }

    #[test]
    fn groups_that_have_nothing_left_are_forgotten() {
        let mut waiting = groups_of(1, &["a", "b"]);
        let groups = waiting.take().groups();
        waiting.put_back(&groups, vec![]);
        assert!(waiting.is_empty() && waiting.lines.is_empty() && waiting.ready.is_empty());
        waiting.push(queued(9, 50, Some("a")));
        waiting.take_out(|_| true);
        assert!(waiting.take().is_empty());
        assert!(waiting.lines.is_empty(), "{:?}", waiting.lines);
    }

    proptest! {
        /// Several batches are under way at a time and land in any order, each message failing now and then.
        #[test]
        fn every_message_is_settled_and_each_group_in_its_order(
            messages in prop::collection::vec((20..=MAX_BYTES, 0..NAMES.len()), 0..60), seed in any::<u64>()
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut waiting = Groups::new(MAX_BYTES, 1);
            for (n, (bytes, group)) in messages.iter().enumerate() {
                waiting.push(queued(n, *bytes, Some(NAMES[*group])));
            }
            let (mut under_way, mut settled) = (Vec::new(), Vec::new());
            while settled.len() < messages.len() {
                while let flight = waiting.take() && !flight.is_empty() {
                    prop_assert!(flight.batch.bytes() <= MAX_BYTES && flight.pending.len() <= MAX_ENTRIES);
                    under_way.push(flight);
                }
                let flight = under_way.swap_remove(random.usize(..under_way.len()));
                let groups = flight.groups();
                let (failed, published): (Vec<_>, Vec<_>) = flight.into_queued().partition(|_| random.u8(..10) < 3);
                settled.extend(published.iter().map(id));
                waiting.put_back(&groups, failed.into_iter().map(|queued| Again { queued, not_before: None }).collect());
            }
            prop_assert!(waiting.is_empty() && under_way.is_empty());
            for (group, _) in NAMES.iter().enumerate() {
                let of_group = |n: &usize| messages[*n].1 == group;
                let sent: Vec<_> = (0..messages.len()).filter(of_group).collect();
                let settled: Vec<_> = settled.iter().copied().filter(of_group).collect();
                prop_assert_eq!(sent, settled);
            }
        }
    }
}
