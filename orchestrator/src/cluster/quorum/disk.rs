//! What a server keeps of what was agreed on: the log, and what follows from it, in one file.
//!
//! A disk that does not take part is waited for, and nothing is said meanwhile: then another server leads.

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    Entry, EntryPayload, LogId, LogState, OptionalSend, RaftLogReader, RaftSnapshotBuilder, Snapshot, SnapshotMeta,
    StorageError, StoredMembership, Vote,
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use tracing::{error, info};

use super::command::{Answer, apply};
use super::dump::Dump;
use super::{Peer, Types};
use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;

/// How often a disk that does not work is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is kept besides the log, each under its name.
const VOTE: &str = "vote";
const PURGED: &str = "purged";
const APPLIED: &str = "applied";
const MEMBERSHIP: &str = "membership";

type Meta = SnapshotMeta<u64, Peer>;
type Membership = StoredMembership<u64, Peer>;
type Result<T> = std::result::Result<T, StorageError<u64>>;

/// A server's disk. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    store: Arc<SqliteStore>,
    /// The last snapshot: another server that has fallen behind is sent it.
    snapshot: Arc<Mutex<Option<(Meta, Dump)>>>,
}

impl Disk {
    pub(super) fn new(store: Arc<SqliteStore>) -> Self {
        Self { store, snapshot: Arc::default() }
    }

    /// Something that is kept beside the log.
    pub(super) async fn get<T: DeserializeOwned + Send + 'static>(
        &self,
        what: &'static str,
    ) -> std::result::Result<Option<T>, StoreError> {
        self.store.call(move |connection| get(connection, what)).await
    }

    /// Keeps something beside the log.
    pub(super) async fn put(&self, what: &'static str, value: &impl Serialize) -> anyhow::Result<()> {
        let value = serde_json::to_string(value)?;
        Ok(self.store.write(move |transaction| put(transaction, what, &value)).await?)
    }

    /// Reads, however long the disk takes to take part.
    async fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection) -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> T {
        let read = Arc::new(read);
        let mut patience = Patience::default();
        loop {
            let once = Arc::clone(&read);
            let done = self.store.call(move |connection| {
                let transaction = connection.transaction()?;
                once(&transaction)
            });
            match done.await {
                Ok(done) => return done,
                Err(why) => patience.wait(&why).await,
            }
        }
    }

    /// Writes, however long the disk takes to take part.
    async fn write<T: Send + 'static>(
        &self,
        write: impl Fn(&mut Transaction<'_>) -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> T {
        let write = Arc::new(write);
        let mut patience = Patience::default();
        loop {
            let once = Arc::clone(&write);
            match self.store.change(move |transaction| once(transaction)).await {
                Ok(done) => return done,
                Err(why) => patience.wait(&why).await,
            }
        }
    }

    fn set_snapshot(&self, meta: &Meta, dump: Dump) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some((meta.clone(), dump));
    }
}

impl RaftLogReader<Types> for Disk {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<Types>>> {
        let first = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let bounds = [first, end].map(|bound| i64::try_from(bound).unwrap_or(i64::MAX));
        let read = move |connection: &Connection| {
            let query = "SELECT entry FROM log WHERE number >= ?1 AND number < ?2 ORDER BY number";
            let mut rows = connection.prepare_cached(query)?;
            let rows = rows.query_map(bounds, |row| row.get::<_, String>(0))?;
            rows.map(|entry| serde_json::from_str(&entry?).context("an entry of the log can't be read")).collect()
        };
        Ok(self.read(read).await)
    }
}

impl RaftLogStorage<Types> for Disk {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>> {
        let read = |connection: &Connection| {
            let last = "SELECT entry FROM log ORDER BY number DESC LIMIT 1";
            let last: Option<String> = connection.query_row(last, [], |row| row.get(0)).optional()?;
            let last: Option<Entry<Types>> = last.map(|last| serde_json::from_str(&last)).transpose()?;
            let purged: Option<LogId<u64>> = get(connection, PURGED)?;
            Ok(LogState { last_purged_log_id: purged, last_log_id: last.map(|last| last.log_id).or(purged) })
        };
        Ok(self.read(read).await)
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<()> {
        let vote = *vote;
        self.write(move |transaction| put(transaction, VOTE, &serde_json::to_string(&vote)?)).await;
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>> {
        Ok(self.read(|connection| get(connection, VOTE)).await)
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Types>) -> Result<()>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let write = move |transaction: &mut Transaction<'_>| {
            let mut add = transaction.prepare_cached("INSERT OR REPLACE INTO log VALUES (?1, ?2)")?;
            for entry in &entries {
                add.execute(params![entry.log_id.index.cast_signed(), serde_json::to_string(entry)?])?;
            }
            Ok(())
        };
        self.write(write).await;
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId<u64>) -> Result<()> {
        let write = move |transaction: &mut Transaction<'_>| {
            transaction.execute("DELETE FROM log WHERE number >= ?1", [from.index.cast_signed()])?;
            Ok(())
        };
        self.write(write).await;
        Ok(())
    }

    async fn purge(&mut self, to: LogId<u64>) -> Result<()> {
        let write = move |transaction: &mut Transaction<'_>| {
            transaction.execute("DELETE FROM log WHERE number <= ?1", [to.index.cast_signed()])?;
            put(transaction, PURGED, &serde_json::to_string(&to)?)
        };
        self.write(write).await;
        Ok(())
    }
}

impl RaftStateMachine<Types> for Disk {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId<u64>>, Membership)> {
        let read =
            |connection: &Connection| Ok((get(connection, APPLIED)?, get(connection, MEMBERSHIP)?.unwrap_or_default()));
        Ok(self.read(read).await)
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answer>>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let write = move |transaction: &mut Transaction<'_>| {
            let mut answers = Vec::with_capacity(entries.len());
            for entry in &entries {
                answers.push(apply(transaction, entry)?);
                if let EntryPayload::Membership(membership) = &entry.payload {
                    let membership = Membership::new(Some(entry.log_id), membership.clone());
                    put(transaction, MEMBERSHIP, &serde_json::to_string(&membership)?)?;
                }
            }
            if let Some(last) = entries.last() {
                put(transaction, APPLIED, &serde_json::to_string(&last.log_id)?)?;
            }
            Ok(answers)
        };
        Ok(self.write(write).await)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Dump>> {
        Ok(Box::default())
    }

    async fn install_snapshot(&mut self, meta: &Meta, dump: Box<Dump>) -> Result<()> {
        let (kept, of) = (Dump::clone(&dump), meta.clone());
        let write = move |transaction: &mut Transaction<'_>| {
            kept.restore(transaction)?;
            put(transaction, MEMBERSHIP, &serde_json::to_string(&of.last_membership)?)?;
            put(transaction, APPLIED, &serde_json::to_string(&of.last_log_id)?)
        };
        self.write(write).await;
        self.set_snapshot(meta, *dump);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>> {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(snapshot.map(|(meta, dump)| Snapshot { meta, snapshot: Box::new(dump) }))
    }
}

impl RaftSnapshotBuilder<Types> for Disk {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>> {
        let read = |connection: &Connection| {
            let applied: Option<LogId<u64>> = get(connection, APPLIED)?;
            let membership: Membership = get(connection, MEMBERSHIP)?.unwrap_or_default();
            Ok((applied, membership, Dump::of(connection)?))
        };
        let (last_log_id, last_membership, dump) = self.read(read).await;
        let snapshot_id = last_log_id.map_or_else(|| "empty".to_owned(), |last| last.to_string());
        let meta = Meta { last_log_id, last_membership, snapshot_id };
        self.set_snapshot(&meta, dump.clone());
        Ok(Snapshot { meta, snapshot: Box::new(dump) })
    }
}

/// Waits for the disk, and says so once.
#[derive(Default)]
struct Patience(bool);

impl Patience {
    async fn wait(&mut self, why: &StoreError) {
        if !std::mem::replace(&mut self.0, true) {
            error!(%why, "what the servers agree on can't be kept here");
        }
        sleep(AGAIN).await;
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        if self.0 {
            info!("the disk is waited for no more");
        }
    }
}

fn get<T: DeserializeOwned>(connection: &Connection, what: &str) -> anyhow::Result<Option<T>> {
    let query = "SELECT value FROM quorum WHERE what = ?1";
    let value: Option<String> = connection.query_row(query, [what], |row| row.get(0)).optional()?;
    value.map(|value| serde_json::from_str(&value).with_context(|| format!("{what} can't be read"))).transpose()
}

fn put(connection: &Connection, what: &str, value: &str) -> anyhow::Result<()> {
    connection.prepare_cached("INSERT OR REPLACE INTO quorum VALUES (?1, ?2)")?.execute([what, value])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use openraft::testing::{StoreBuilder, Suite};
    use tempfile::TempDir;

    use super::*;

    struct Fresh;

    impl StoreBuilder<Types, Disk, Disk, TempDir> for Fresh {
        async fn build(&self) -> Result<(TempDir, Disk, Disk)> {
            let folder = tempfile::tempdir().unwrap();
            let disk = Disk::new(Arc::new(SqliteStore::new(folder.path().join("store")).unwrap()));
            Ok((folder, disk.clone(), disk))
        }
    }

    #[test]
    fn it_keeps_what_openraft_wants_kept() {
        Suite::test_all(Fresh).unwrap();
    }
}
