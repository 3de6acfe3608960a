//! A disk in memory that behaves as badly as a real one may.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{Database, DatabaseError, StorageBackend};
use upbeat_producer::Spool;
use upbeat_producer::spool::{Medium, SpoolError};

/// What is written at once, whatever else is lost.
const SECTOR: usize = 512;

/// What a file system hands out at a time.
const BLOCK: usize = 4096;

/// How many blocks are set aside.
const RESERVE: usize = 64;

/// A disk with one file. Clones share it.
///
/// What is written can be read at once, and is safe once it is synced; before, a [`crash`](Self::crash) keeps whichever
/// sectors of it the disk pleases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// As it is read.
    now: Vec<u8>,
    /// As it is after a crash that keeps nothing.
    safe: Vec<u8>,
    /// What was written since the last sync, in order.
    unsynced: Vec<Change>,
    /// Which blocks take up space.
    blocks: std::collections::BTreeSet<usize>,
    capacity: Option<usize>,
    reserved: bool,
    /// After so many more writes, it is gone.
    writes_left: Option<u64>,
    writes: u64,
    syncs: u64,
    failing: bool,
    dead: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Sector(usize, Vec<u8>),
}

impl Disk {
    pub(crate) fn spool(&self, limit: u64) -> Result<Spool, SpoolError> {
        Spool::on(self.clone(), limit)
    }

    /// It has room for so many bytes.
    pub(crate) fn set_capacity(&self, bytes: Option<usize>) {
        self.lock().capacity = bytes.map(|bytes| bytes / BLOCK);
    }

    /// How many bytes of it are in use.
    pub(crate) fn used(&self) -> usize {
        self.lock().used() * BLOCK
    }

    /// Every write and sync fails, or works again.
    pub(crate) fn set_failing(&self, failing: bool) {
        self.lock().failing = failing;
    }

    /// The power goes after so many more writes.
    pub(crate) fn die_after(&self, writes: u64) {
        self.lock().writes_left = Some(writes);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// How many writes, and how many syncs there were.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.writes, state.syncs)
    }

    /// The disk as it is found after the power went: of what was not synced, any sectors may be there.
    pub(crate) fn crash(&self, random: &mut fastrand::Rng) -> Self {
        let state = self.lock();
        let mut found = state.safe.clone();
        let keep = random.u8(0..=4);
        for change in &state.unsynced {
            if random.u8(0..4) < keep {
                change.apply(&mut found);
            }
        }
        let blocks = (0..found.len().div_ceil(BLOCK)).collect();
        let (capacity, reserved) = (state.capacity, state.reserved);
        let found = State { now: found.clone(), safe: found, blocks, capacity, reserved, ..State::default() };
        Self(Arc::new(Mutex::new(found)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Length(length) => file.resize(*length, 0),
            Self::Sector(at, bytes) => {
                // A file whose length was lost has lost what is behind its end as well.
                let Some(end) = file.len().checked_sub(*at) else { return };
                let end = end.min(bytes.len());
                file[*at..*at + end].copy_from_slice(&bytes[..end]);
            }
        }
    }
}

impl State {
    fn works(&mut self) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("the power is off"));
        }
        if self.failing { Err(io::Error::other("the disk fails")) } else { Ok(()) }
    }

    fn used(&self) -> usize {
        self.blocks.len() + if self.reserved { RESERVE } else { 0 }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }
}

impl Medium for Disk {
    fn open(&self) -> Result<Database, DatabaseError> {
        Database::builder().set_cache_size(64 * 1024).create_with_backend(self.clone())
    }

    fn reserve(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.works()?;
        if !state.reserved && state.capacity.is_some_and(|capacity| state.used() + RESERVE > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.reserved = true;
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        self.lock().reserved = false;
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let at = usize::try_from(offset).unwrap();
        let bytes = state.now.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.works()?;
        let length = usize::try_from(len).unwrap();
        state.blocks.split_off(&length.div_ceil(BLOCK));
        state.change(Change::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.works()?;
        let State { safe, unsynced, .. } = &mut *state;
        unsynced.drain(..).for_each(|change| change.apply(safe));
        state.syncs += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.works()?;
        state.writes += 1;
        let at = usize::try_from(offset).unwrap();
        if let Some(left) = &mut state.writes_left {
            *left = left.saturating_sub(1);
            state.dead = *left == 0;
        }
        for (n, sector) in data.chunks(SECTOR).enumerate() {
            let at = at + n * SECTOR;
            if !state.blocks.contains(&(at / BLOCK)) {
                if state.capacity.is_some_and(|capacity| state.used() >= capacity) {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                state.blocks.insert(at / BLOCK);
            }
            state.change(Change::Sector(at, sector.to_vec()));
        }
        if state.dead { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }
}
