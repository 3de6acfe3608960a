//! The store on the disk, by `SQLite`.
//!
//! One thread has the one connection, so that no write ever waits for another of ours, and nothing of it blocks the
//! loop. What can't be opened or written is tried again at the next call: a disk that was full and has room again needs
//! no restart. Another process, the one that only shows, may read the same file, and write its own holds.

pub(crate) mod credentials;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tokio::sync::{mpsc, oneshot};

use super::{Hold, Kept, Store, StoreError};
use crate::allow::AllowList;
use crate::desired::{Original, Snapshot};

/// How long another process may have the file to itself.
const BUSY: Duration = Duration::from_secs(5);

/// How many calls may wait; more wait to wait.
const WAITING: usize = 64;

/// What makes a file of each version into one of the next, from nothing on.
const VERSIONS: [&str; 4] = [
    "
    CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1), taken INTEGER NOT NULL) STRICT;
    CREATE TABLE originals (name TEXT PRIMARY KEY, original TEXT NOT NULL) STRICT;
    CREATE TABLE allow (id INTEGER PRIMARY KEY CHECK (id = 1), list TEXT NOT NULL, setting TEXT NOT NULL) STRICT;
    CREATE TABLE holds (name TEXT PRIMARY KEY, reason TEXT NOT NULL, since INTEGER NOT NULL) STRICT;
    CREATE TABLE writes (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL) STRICT;
    INSERT INTO writes VALUES (1, 0);
    ",
    "
    CREATE TABLE cluster (id INTEGER PRIMARY KEY CHECK (id = 1), cluster TEXT NOT NULL, epoch INTEGER NOT NULL) STRICT;
    CREATE TABLE services (name TEXT PRIMARY KEY, entry TEXT NOT NULL) STRICT;
    CREATE TABLE nodes (name TEXT PRIMARY KEY, node TEXT NOT NULL) STRICT;
    CREATE TABLE templates (hash TEXT PRIMARY KEY, template TEXT NOT NULL) STRICT;
    CREATE TABLE replicas (service TEXT NOT NULL, slot INTEGER NOT NULL, epoch INTEGER NOT NULL, node TEXT NOT NULL,
        revision INTEGER NOT NULL, template TEXT NOT NULL, retired INTEGER NOT NULL,
        PRIMARY KEY (service, slot, epoch)) STRICT, WITHOUT ROWID;
    CREATE INDEX replicas_by_node ON replicas (node);
    ",
    credentials::TABLES,
    "
    CREATE TABLE quorum (what TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE log (number INTEGER PRIMARY KEY, entry TEXT NOT NULL) STRICT;
    ",
];

type Job = Box<dyn FnOnce(Result<&mut Connection, StoreError>) + Send>;

/// A store in a file, which is closed when this is dropped: that waits for what is under way.
#[derive(Debug)]
pub struct SqliteStore {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // It has ended by a panic, or as it should.
            drop(thread.join());
        }
    }
}

impl SqliteStore {
    /// In this file, which is made at the first call if it is missing.
    pub fn new(path: impl Into<PathBuf>) -> std::io::Result<Self> {
        let (jobs, next) = mpsc::channel(WAITING);
        let path = path.into();
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || work(&path, next))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    pub(crate) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Connection) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let done = connection.and_then(|connection| call(connection).map_err(|error| told(&error)));
            // Whoever asked may be gone.
            drop(answer.send(done));
        });
        let ended = || StoreError("its thread has ended".to_owned());
        self.jobs.as_ref().ok_or_else(ended)?.send(job).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.change(move |transaction| write(transaction)).await
    }

    /// The same of what does a part of it in transactions within.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Transaction<'_>) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(move |connection| {
            let mut transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let written = write(&mut transaction)?;
            transaction.execute("UPDATE writes SET count = count + 1", [])?;
            transaction.commit()?;
            Ok(written)
        })
        .await
    }
}

fn told(error: &anyhow::Error) -> StoreError {
    StoreError(format!("{error:#}"))
}

/// The thread: one call after the other, on a connection that is made when there is none, or the last call failed.
fn work(path: &Path, mut jobs: mpsc::Receiver<Job>) {
    let mut connection = None;
    while let Some(job) = jobs.blocking_recv() {
        let opened = match connection.take() {
            Some(connection) => Ok(connection),
            None => open(path).map_err(|error| told(&error)),
        };
        match opened {
            Ok(mut opened) => {
                job(Ok(&mut opened));
                // A look is cheap, and finds what a write before it has found out.
                connection = opened.query_row("SELECT 1 FROM writes", [], |_| Ok(())).is_ok().then_some(opened);
            }
            Err(error) => job(Err(error)),
        }
    }
}

fn open(path: &Path) -> anyhow::Result<Connection> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    make_private(path)?;
    let mut connection = Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = usize::try_from(version).ok().filter(|known| *known <= VERSIONS.len());
    let known = known.with_context(|| {
        format!("{} is of version {version}, which this orchestrator does not know", path.display())
    })?;
    for tables in &VERSIONS[known..] {
        transaction.execute_batch(tables).context("cannot make the tables")?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(VERSIONS.len())?)?;
    transaction.commit()?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    anyhow::ensure!(sound == "ok", "{} is damaged: {sound}", path.display());
    Ok(connection)
}

/// There are secrets in it: the environment of every container of the snapshot.
fn make_private(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    made.map(drop).with_context(|| format!("cannot open {}", path.display()))
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self) -> Result<Kept, StoreError> {
        self.call(|connection| {
            let transaction = connection.transaction()?;
            let mut holds = BTreeMap::new();
            let mut rows = transaction.prepare("SELECT name, reason, since FROM holds")?;
            for row in rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))? {
                let (name, reason, since) = row?;
                holds.insert(name, Hold { reason, since });
            }
            Ok(Kept { snapshot: snapshot(&transaction)?, allow: allow(&transaction)?, holds })
        })
        .await
    }

    async fn version(&self) -> Result<u64, StoreError> {
        self.call(|connection| {
            let count: i64 = connection.query_row("SELECT count FROM writes", [], |row| row.get(0))?;
            Ok(count.cast_unsigned())
        })
        .await
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let snapshot = snapshot.clone();
        self.write(move |transaction| put(transaction, &snapshot)).await
    }

    async fn keep_first_snapshot(&self, first: &Snapshot) -> Result<Option<Snapshot>, StoreError> {
        let first = first.clone();
        self.write(move |transaction| {
            let known = snapshot(transaction)?;
            if known.is_none() {
                put(transaction, &first)?;
            }
            Ok(known)
        })
        .await
    }

    async fn keep_allow_list(&self, list: &AllowList, setting: &AllowList) -> Result<(), StoreError> {
        let (list, setting) = (list.entries().join("\n"), setting.entries().join("\n"));
        self.write(move |transaction| {
            transaction.execute("INSERT OR REPLACE INTO allow VALUES (1, ?1, ?2)", params![list, setting])?;
            Ok(())
        })
        .await
    }

    async fn hold(&self, name: &str, hold: &Hold) -> Result<(), StoreError> {
        let (name, hold) = (name.to_owned(), hold.clone());
        self.write(move |transaction| {
            let row = params![name, hold.reason, hold.since];
            transaction.execute("INSERT OR REPLACE INTO holds VALUES (?1, ?2, ?3)", row)?;
            Ok(())
        })
        .await
    }

    async fn release(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |transaction| Ok(transaction.execute("DELETE FROM holds WHERE name = ?1", [name])? > 0)).await
    }
}

fn snapshot(connection: &Connection) -> anyhow::Result<Option<Snapshot>> {
    let taken = connection.query_row("SELECT taken FROM snapshot", [], |row| row.get(0)).optional()?;
    let Some(taken) = taken else { return Ok(None) };
    let mut originals = BTreeMap::new();
    let mut rows = connection.prepare("SELECT name, original FROM originals")?;
    for row in rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
        let (name, original) = row?;
        let original: Original = serde_json::from_str(&original).with_context(|| format!("{name} can't be read"))?;
        originals.insert(name, original);
    }
    Ok(Some(Snapshot { originals, taken, stored: true }))
}

fn put(connection: &Connection, snapshot: &Snapshot) -> anyhow::Result<()> {
    connection.execute("INSERT OR REPLACE INTO snapshot VALUES (1, ?1)", [snapshot.taken])?;
    connection.execute("DELETE FROM originals", [])?;
    for (name, original) in &snapshot.originals {
        connection.execute("INSERT INTO originals VALUES (?1, ?2)", params![name, serde_json::to_string(original)?])?;
    }
    Ok(())
}

fn allow(connection: &Connection) -> anyhow::Result<Option<(AllowList, AllowList)>> {
    let query = "SELECT list, setting FROM allow";
    let row = connection.query_row(query, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    let Some((list, setting)) = row.optional()? else { return Ok(None) };
    let read = |text: &str| AllowList::parse(text.lines()).map_err(anyhow::Error::msg);
    Ok(Some((read(&list)?, read(&setting)?)))
}
