//! What outlives a restart of the orchestrator: the snapshot, the allow list, and what is held.

pub mod memory;
pub mod sqlite;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::allow::AllowList;
use crate::desired::Snapshot;

/// Where that is kept.
///
/// A write that answers `Ok` is on the disk. One that does not may be tried again; each is a transaction of its own, and
/// writes what it says whatever was there before.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// All that is kept.
    async fn load(&self) -> Result<Kept, StoreError>;

    /// Something that is another value after each write, also by another process.
    async fn version(&self) -> Result<u64, StoreError>;

    /// Keeps this snapshot instead of the last one.
    async fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError>;

    /// Keeps this snapshot unless there is one already, which is given then.
    async fn keep_first_snapshot(&self, snapshot: &Snapshot) -> Result<Option<Snapshot>, StoreError>;

    /// Keeps this allow list, and the setting that was in force then.
    async fn keep_allow_list(&self, list: &AllowList, setting: &AllowList) -> Result<(), StoreError>;

    /// Holds a container by name, for this reason.
    async fn hold(&self, name: &str, hold: &Hold) -> Result<(), StoreError>;

    /// Holds it no longer. Whether it was held.
    async fn release(&self, name: &str) -> Result<bool, StoreError>;
}

/// All that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The snapshot, if one was taken.
    pub snapshot: Option<Snapshot>,
    /// The allow list, and the setting that was in force when it was written.
    pub allow: Option<(AllowList, AllowList)>,
    /// What is held, by name.
    pub holds: BTreeMap<String, Hold>,
}

/// Somebody asked to have a container left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub reason: String,
    /// Since when, in seconds since 1970.
    pub since: i64,
}

/// Why something was not kept or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store does not work: {0}")]
pub struct StoreError(pub String);

impl Kept {
    /// The names that are held.
    #[must_use]
    pub fn held(&self) -> BTreeSet<String> {
        self.holds.keys().cloned().collect()
    }
}
