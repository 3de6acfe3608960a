//! A store that forgets, and can be told to fail: for tests, and for a look without a folder.

mod credentials;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Hold, Kept, Store, StoreError};
use crate::allow::AllowList;
use crate::desired::Snapshot;

/// A store in memory. Clones share the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    kept: Kept,
    credentials: credentials::Kept,
    version: u64,
    broken: bool,
}

impl MemoryStore {
    /// From here on nothing can be read or written, or it can again.
    pub fn set_broken(&self, broken: bool) {
        self.inner().broken = broken;
    }

    /// Keeps all this from here on.
    pub fn fill(&self, kept: Kept) {
        self.inner().kept = kept;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let inner = self.inner();
        if inner.broken { Err(StoreError("as told".to_owned())) } else { Ok(inner) }
    }

    fn write<T>(&self, write: impl FnOnce(&mut Kept) -> T) -> Result<T, StoreError> {
        let mut inner = self.working()?;
        inner.version += 1;
        Ok(write(&mut inner.kept))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self) -> Result<Kept, StoreError> {
        Ok(self.working()?.kept.clone())
    }

    async fn version(&self) -> Result<u64, StoreError> {
        Ok(self.working()?.version)
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.write(|kept| kept.snapshot = Some(Snapshot { stored: true, ..snapshot.clone() }))
    }

    async fn keep_first_snapshot(&self, snapshot: &Snapshot) -> Result<Option<Snapshot>, StoreError> {
        self.write(|kept| {
            if kept.snapshot.is_none() {
                kept.snapshot = Some(Snapshot { stored: true, ..snapshot.clone() });
                return None;
            }
            kept.snapshot.clone()
        })
    }

    async fn keep_allow_list(&self, list: &AllowList, setting: &AllowList) -> Result<(), StoreError> {
        self.write(|kept| kept.allow = Some((list.clone(), setting.clone())))
    }

    async fn hold(&self, name: &str, hold: &Hold) -> Result<(), StoreError> {
        self.write(|kept| drop(kept.holds.insert(name.to_owned(), hold.clone())))
    }

    async fn release(&self, name: &str) -> Result<bool, StoreError> {
        self.write(|kept| kept.holds.remove(name).is_some())
    }
}
