//! What goes to SNS in one call: at most ten messages, and together no more than the topic's limit.

use arrayvec::ArrayVec;

use crate::entry::Entry;

/// The most entries of a batch (SNS API reference, `PublishBatch`).
pub const MAX_ENTRIES: usize = 10;

/// Entries in the order in which they are to be published. Neither more than ten, nor more bytes than the topic takes,
/// can be in it.
#[derive(Clone, Debug)]
pub struct Batch {
    entries: ArrayVec<Entry, MAX_ENTRIES>,
    bytes: usize,
    max_bytes: usize,
}

impl Batch {
    /// An empty batch that takes this many bytes, as [`Entry::bytes`] counts them.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { entries: ArrayVec::new(), bytes: 0, max_bytes }
    }

    /// Whether an entry of this size would still fit.
    #[must_use]
    pub fn has_room_for(&self, bytes: usize) -> bool {
        !self.entries.is_full() && bytes <= self.max_bytes - self.bytes
    }

    /// Adds an entry at the end, or gives it back if it does not fit.
    #[must_use]
    pub fn push(&mut self, entry: Entry) -> Option<Entry> {
        if !self.has_room_for(entry.bytes()) {
            return Some(entry);
        }
        self.bytes += entry.bytes();
        self.entries.push(entry);
        None
    }

    /// The entries, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries, in order.
    #[must_use]
    pub fn into_entries(self) -> ArrayVec<Entry, MAX_ENTRIES> {
        self.entries
    }

    /// The bytes of all entries together, as SNS counts them.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
