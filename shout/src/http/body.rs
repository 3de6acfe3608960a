//! A request's body, read within limits.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use upbeat_service::Problem;

use super::problem::busy;

/// How long a request may take to arrive, and before that how long it may wait for room.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Larger ones, and those whose size is not said, have room of their own, so that a few of them leave the others alone.
const SMALL: usize = 64 * 1024;

/// How much room there is for each kind. A text is in memory some times while it is worked on.
const ROOM: usize = 16 * 1024 * 1024;

/// What one takes whose size is not said, until it is known.
const UNKNOWN: usize = 1024 * 1024;

/// Room is given out by this many bytes.
const UNIT: usize = 1024;

/// Reads bodies, as many at a time as there is room for.
#[derive(Debug)]
pub(super) struct Bodies {
    most: usize,
    small: Semaphore,
    large: Semaphore,
}

/// A body, and the room that it takes while it is here.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) bytes: Bytes,
    _room: Option<SemaphorePermit<'a>>,
}

impl Bodies {
    /// None may have more bytes than this.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, small: Semaphore::const_new(ROOM / UNIT), large: Semaphore::const_new(ROOM / UNIT) }
    }

    pub(super) async fn read(&self, body: Body) -> Result<Read<'_>, Problem> {
        let size = body.size_hint();
        if size.lower() > self.most as u64 {
            return Err(self.too_large());
        }
        let size = size.upper().and_then(|size| usize::try_from(size).ok()).unwrap_or(UNKNOWN).min(self.most);
        let room = if size <= SMALL { &self.small } else { &self.large };
        let mut taken = room.try_acquire_many(units(size)).ok();
        if taken.is_none() {
            let waited = timeout(WAIT_TIMEOUT, room.acquire_many(units(size))).await;
            // Never closed, so it is there.
            taken = waited.map_err(|_| busy("too many requests at a time"))?.ok();
        }
        let read = async {
            let bytes = Limited::new(body, self.most).collect().await.map(Collected::to_bytes);
            let bytes = bytes.map_err(|error| self.problem(&*error))?;
            // What was set aside for a size that was not said.
            let excess = units(size).saturating_sub(units(bytes.len()));
            drop(taken.as_mut().and_then(|taken| taken.split(excess as usize)));
            Ok(Read { bytes, _room: taken })
        };
        let late = |_| Err(Problem::new(408, "the request did not arrive in time"));
        timeout(READ_TIMEOUT, read).await.unwrap_or_else(late)
    }

    fn problem(&self, error: &(dyn std::error::Error + Send + Sync + 'static)) -> Problem {
        if error.is::<LengthLimitError>() {
            self.too_large()
        } else {
            Problem::new(400, format!("the request did not arrive whole: {error}"))
        }
    }

    fn too_large(&self) -> Problem {
        Problem::new(413, format!("a request may have at most {} bytes", self.most))
    }
}

/// At least one, and never more than there are: one that takes all of it comes alone.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.clamp(1, ROOM).div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::timeout;

    use super::*;

    async fn waits<F: Future>(reading: F) -> bool {
        timeout(Duration::from_millis(1), pin!(reading)).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_read_takes_room_until_it_is_dropped_and_large_ones_leave_small_ones_theirs() {
        let bodies = Bodies::new(4 << 20);
        let large = || bodies.read(Body::from(vec![b' '; 4 << 20]));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(large().await.unwrap());
        }
        assert!(waits(large()).await);
        assert!(!waits(bodies.read(Body::from("small"))).await);
        held.pop();
        held.push(large().await.unwrap());
        assert_eq!(large().await.unwrap_err().status(), 503);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_say_its_size_gives_back_what_it_does_not_take() {
        let bodies = Bodies::new(16 << 20);
        let unknown = || Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>("a text")]));
        let mut held = Vec::new();
        for _ in 0..100 {
            held.push(bodies.read(unknown()).await.unwrap());
        }
        assert_eq!(bodies.large.available_permits(), ROOM / UNIT - 100);
        drop(held);
        assert_eq!(bodies.large.available_permits(), ROOM / UNIT);
    }
}
