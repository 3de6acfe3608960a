//! Which messages can be received, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How far ahead a reordering reaches.
const REORDERING_WINDOW: usize = 100;

/// The visible messages of a queue by sequence number, and what keeps their groups from being received.
#[derive(Debug)]
pub(super) enum Shelf {
    /// Any visible message can be received.
    Standard(BTreeSet<u64>),
    /// The first of a group can, if none of the group is in flight.
    Fifo(Groups),
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<Arc<str>, Group>,
    /// The groups that can be received from, by their first message.
    ready: BTreeMap<u64, Arc<str>>,
}

#[derive(Debug, Default)]
struct Group {
    visible: BTreeSet<u64>,
    in_flight: usize,
    ready_as: Option<u64>,
}

impl Shelf {
    pub(super) fn new(fifo: bool) -> Self {
        if fifo { Self::Fifo(Groups::default()) } else { Self::Standard(BTreeSet::new()) }
    }

    /// A message became visible; `was_in_flight` unless it is new or was delayed.
    pub(super) fn show(&mut self, sequence: u64, group: Option<&Arc<str>>, was_in_flight: bool) {
        match (self, group) {
            (Self::Standard(visible), _) => {
                visible.insert(sequence);
            }
            (Self::Fifo(groups), Some(name)) => groups.change(name, |group| {
                group.visible.insert(sequence);
                group.in_flight -= usize::from(was_in_flight);
            }),
            // A FIFO queue takes no message without a group.
            (Self::Fifo(_), None) => {}
        }
    }

    /// A message went for good.
    pub(super) fn remove(&mut self, sequence: u64, group: Option<&Arc<str>>, was_in_flight: bool) {
        match (self, group) {
            (Self::Standard(visible), _) => {
                visible.remove(&sequence);
            }
            (Self::Fifo(groups), Some(name)) => groups.change(name, |group| {
                group.visible.remove(&sequence);
                group.in_flight -= usize::from(was_in_flight);
            }),
            (Self::Fifo(_), None) => {}
        }
    }

    /// Whether [`take`](Self::take) would bring something.
    pub(super) fn has_any(&self) -> bool {
        match self {
            Self::Standard(visible) => !visible.is_empty(),
            Self::Fifo(groups) => !groups.ready.is_empty(),
        }
    }

    /// Takes a message in flight. `from` is the group of the one taken before in the same receive: as many of a group
    /// as possible come together (SQS Developer Guide, "FIFO queue delivery logic").
    pub(super) fn take(&mut self, from: &mut Option<Arc<str>>, reorder: Option<&mut fastrand::Rng>) -> Option<u64> {
        match self {
            Self::Standard(visible) => {
                let nth = reorder.map_or(0, |random| random.usize(..visible.len().clamp(1, REORDERING_WINDOW)));
                let sequence = visible.iter().nth(nth).copied()?;
                visible.remove(&sequence);
                Some(sequence)
            }
            Self::Fifo(groups) => {
                let drained =
                    from.as_ref().and_then(|name| groups.groups.get(name)).is_none_or(|g| g.visible.is_empty());
                if drained {
                    *from = groups.ready.first_key_value().map(|(_, name)| name.clone());
                }
                let mut sequence = None;
                groups.change(from.as_ref()?, |group| {
                    sequence = group.visible.pop_first();
                    group.in_flight += usize::from(sequence.is_some());
                });
                sequence
            }
        }
    }
}

impl Groups {
    /// Changes a group and notes whether it can be received from now.
    fn change(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Group)) {
        let group = self.groups.entry(name.clone()).or_default();
        change(group);
        let ready_as = group.visible.first().copied().filter(|_| group.in_flight == 0);
        if group.ready_as != ready_as {
            if let Some(was) = group.ready_as {
                self.ready.remove(&was);
            }
            if let Some(now) = ready_as {
                self.ready.insert(now, name.clone());
            }
            group.ready_as = ready_as;
        }
        if group.visible.is_empty() && group.in_flight == 0 {
            self.groups.remove(name);
        }
    }
}
