//! Room for so many requests: under way, and waiting.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Who has a place may wait for a turn, again and again.
#[derive(Debug)]
pub(crate) struct Room {
    places: Semaphore,
    turns: Semaphore,
    all_places: usize,
    all_turns: usize,
}

/// To be among those who wait or are under way.
#[derive(Debug)]
pub(super) struct Place<'a> {
    room: &'a Room,
    _place: SemaphorePermit<'a>,
}

impl Room {
    pub(super) const fn new(turns: usize, waiting: usize) -> Self {
        let places = turns.saturating_add(waiting);
        Self {
            places: Semaphore::const_new(places),
            turns: Semaphore::const_new(turns),
            all_places: places,
            all_turns: turns,
        }
    }

    /// `None` if there is none.
    pub(super) fn place(&self) -> Option<Place<'_>> {
        let place = self.places.try_acquire().ok()?;
        Some(Place { room: self, _place: place })
    }

    /// How many requests are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.all_turns - self.turns.available_permits().min(self.all_turns)
    }

    /// How many more have a place.
    pub(crate) fn waiting(&self) -> usize {
        let taken = self.all_places - self.places.available_permits().min(self.all_places);
        taken.saturating_sub(self.under_way())
    }
}

impl Place<'_> {
    /// Waits for a turn, in the order of those who do.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed, so it is there.
        self.room.turns.acquire().await.ok()
    }
}
