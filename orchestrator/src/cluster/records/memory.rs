//! Records that forget, and can be told to fail: for tests in paused time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::Records;
use crate::cluster::state::{Change, Cluster};
use crate::store::StoreError;

/// Records in memory. Clones share the same.
#[derive(Clone, Debug, Default)]
pub struct MemoryRecords(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    cluster: Cluster,
    broken: bool,
}

impl MemoryRecords {
    /// Of this cluster.
    #[must_use]
    pub fn of(cluster: Cluster) -> Self {
        Self(Arc::new(Mutex::new(Inner { cluster, broken: false })))
    }

    /// From here on nothing can be read or written, or it can again.
    pub fn set_broken(&self, broken: bool) {
        self.inner().broken = broken;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let inner = self.inner();
        if inner.broken { Err(StoreError("as told".to_owned())) } else { Ok(inner) }
    }
}

#[async_trait]
impl Records for MemoryRecords {
    async fn load(&self) -> Result<Cluster, StoreError> {
        Ok(self.working()?.cluster.clone())
    }

    async fn keep(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut inner = self.working()?;
        for change in &changes {
            inner.cluster.apply(change);
        }
        Ok(())
    }
}
