//! The message groups of a FIFO queue: one message of each is handled at a time, the others wait in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::MessageId;

/// Every group with messages in our hands. The front of each is its head: handled now, or being deleted.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<Arc<str>, VecDeque<MessageId>>);

impl Groups {
    /// Puts a message at the end of its group, unless it has its place there. `true`: it is the head, and its turn is now.
    pub(super) fn enter(&mut self, group: Arc<str>, id: &MessageId) -> bool {
        let members = self.0.entry(group).or_default();
        if !members.contains(id) {
            members.push_back(Arc::clone(id));
        }
        members.front() == Some(id)
    }

    /// Takes a message out of its group. Returns the new head, if the message was the head before.
    pub(super) fn leave(&mut self, group: &str, id: &str) -> Option<MessageId> {
        let members = self.0.get_mut(group)?;
        let place = members.iter().position(|member| &**member == id)?;
        members.remove(place);
        let next = members.front().filter(|_| place == 0).cloned();
        if members.is_empty() {
            self.0.remove(group);
        }
        next
    }

    /// Takes out all but the head.
    pub(super) fn take_waiting(&mut self, group: &str) -> Vec<MessageId> {
        let members = self.0.get_mut(group);
        members.map(|members| members.drain(1..).collect()).unwrap_or_default()
    }

    /// Takes out all but the heads, of all groups.
    pub(super) fn take_all_waiting(&mut self) -> Vec<MessageId> {
        self.0.values_mut().flat_map(|members| members.drain(1..)).collect()
    }
}
