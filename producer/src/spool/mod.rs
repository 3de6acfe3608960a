//! Messages on disk between their acceptance and SNS's confirmation.
//!
//! With a spool, a message is *accepted* once it is on the disk, and leaves it once SNS has confirmed it. So a crash
//! loses nothing, and an outage of SNS fills the disk up to a limit and not the memory.
//!
//! A message's way: the handle checks it and takes a share of the limit; the `keeper` gathers whatever waits into one
//! transaction of the `store`, one fsync for all, and acknowledges them; then they go to the publish loop as it has
//! room, straight from memory or, what there was no room for, read back in order. Confirmed ones are taken out along
//! with the next transaction, or after a moment.
//!
//! # Why redb
//! What is needed of a log: what is committed survives `kill -9` and a loss of power; a torn tail is found by checksums;
//! confirmed messages are taken out of the middle; a second process is kept out; and its storage can be replaced by one
//! that fails, to test all of this. [redb](https://docs.rs/redb) has each of these, in safe Rust without a thread of
//! its own, and uses the room that messages leave again. Looked at as well: `SQLite`, which is C and can be given another
//! storage only by unsafe code; fjall, whose tombstones and compaction threads serve larger data than a queue has;
//! okaywal and commitlog, logs that are cut off at their ends only, and that have seen no release for years. A log of our
//! own could empty a full disk by deleting a file, where a database has to write first, hence the bytes set aside (see
//! [`Medium`]); but it would be ours to get right.

mod keeper;
mod medium;
mod row;
mod stats;
mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::Database;
use thiserror::Error;
use upbeat_service::readiness::Condition;

pub(crate) use keeper::{Intake, Mark, Request, Share, keep};
pub use medium::Medium;
pub(crate) use row::cost_of_bytes;
pub use stats::Stats;

use crate::core::Core;
use crate::later::Known;
use crate::message::Message;
use medium::Folder;
use store::{Found, Store};

/// The least limit: one message of the largest size, and room to work.
pub const MIN_LIMIT: u64 = 4 * 1024 * 1024;

/// What a spool may hold by default.
pub const LIMIT: u64 = 1024 * 1024 * 1024;

/// A spool that was opened, for [`Builder::spool`](crate::Builder::spool). No other process can open it meanwhile.
#[must_use = "a spool does nothing until a producer is built with it"]
pub struct Spool {
    store: Store,
    found: Found,
    limit: u64,
    repaired: Arc<AtomicBool>,
}

/// Why a spool can't be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process has it open.
    #[error("{}: in use by another process; give each producer a spool of its own", .0.display())]
    InUse(PathBuf),
    /// The folder can't be made or read.
    #[error("{}: {error}; give a folder that can be read and written", .folder.display())]
    Folder {
        /// The spool's folder.
        folder: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// Its messages are for another topic than the one that is to be published to.
    #[error("{}: holds {messages} messages for {topic}; give another folder, or that topic", .folder.display())]
    OtherTopic {
        /// The spool's folder.
        folder: PathBuf,
        /// How many.
        messages: u64,
        /// The topic's ARN.
        topic: String,
    },
    /// What is in it can't be read.
    #[error("{}: {error}", .folder.display())]
    Storage {
        /// The spool's folder.
        folder: PathBuf,
        /// What went wrong.
        error: Box<redb::Error>,
    },
}

impl Spool {
    /// Opens the spool in this folder, made if it is missing, for so many bytes of messages, each counting 1 KiB more
    /// than its own.
    ///
    /// Blocks. After a crash the whole file is looked through, which takes a second or so a gigabyte.
    pub fn open(folder: impl Into<PathBuf>, limit: u64) -> Result<Self, SpoolError> {
        let path = folder.into();
        let failed = |error| SpoolError::Folder { folder: path.clone(), error };
        let folder = Folder::make(&path).map_err(failed)?;
        let spool = Self::opened(folder.clone(), limit, folder.repaired());
        let spool = spool.map_err(|error| SpoolError::new(&path, error))?;
        folder.sync().map_err(failed)?;
        Ok(spool)
    }

    /// A spool on a medium of one's own, such as one that fails when a test wants it to.
    pub fn on(medium: impl Medium, limit: u64) -> Result<Self, SpoolError> {
        let opened = Self::opened(medium, limit, Arc::default());
        opened.map_err(|error| SpoolError::new(Path::new("spool"), error))
    }

    fn opened(medium: impl Medium, limit: u64, repaired: Arc<AtomicBool>) -> Result<Self, redb::Error> {
        let (store, found) = Store::open(Box::new(medium))?;
        Ok(Self { store, found, limit: limit.max(MIN_LIMIT), repaired })
    }

    /// How many messages wait in it.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.found.messages
    }

    /// What it remembers of the topic that its messages are for.
    pub(crate) fn topic(&self) -> Option<Known> {
        self.found.topic.as_deref().and_then(|topic| serde_json::from_str(topic).ok())
    }

    /// Remembers the topic, for a start without it. Blocks.
    pub(crate) fn remember(&mut self, topic: &Known) {
        let Ok(topic) = serde_json::to_string(topic) else { return };
        // Not worth a write at each start; and a disk that fails will show when it matters.
        if self.found.topic.as_ref() != Some(&topic) && self.store.remember(&topic).is_ok() {
            self.found.topic = Some(topic);
        }
    }

    /// What handles share with the keeper.
    pub(crate) fn intake(&self, core: &Core, condition: Condition) -> Intake {
        Intake::new(self.limit, self.found.cost, core.options.buffer, core.topic.max_bytes, condition)
    }

    fn was_repaired(&self) -> bool {
        self.repaired.load(Ordering::Relaxed)
    }
}

/// What the spool in this folder holds, also while a producer has it open.
pub fn stats(folder: &Path) -> Result<Stats, SpoolError> {
    look(folder, store::stats, store::stats)
}

/// Hands over the messages that were put aside, each with the reason, and removes them if that goes well. Not beside a
/// producer.
pub fn take_dead_letters(
    folder: &Path,
    take: impl FnOnce(&[(String, Message)]) -> std::io::Result<()>,
) -> Result<(), SpoolError> {
    let taken = existing(folder)?.open().map_err(Into::into);
    let taken = taken.and_then(|database| store::take_dead_letters(&database, take));
    taken.map_err(|error| SpoolError::new(folder, error))
}

/// By the reader beside a producer or, where one that crashed has left the file to be repaired, by opening it.
fn look<T>(
    path: &Path,
    beside: impl FnOnce(&redb::ReadOnlyDatabase) -> Result<T, redb::Error>,
    alone: impl FnOnce(&Database) -> Result<T, redb::Error>,
) -> Result<T, SpoolError> {
    let folder = existing(path)?;
    let looked = match folder.look() {
        Ok(database) => beside(&database),
        Err(_) => folder.open().map_err(Into::into).and_then(|database| alone(&database)),
    };
    looked.map_err(|error| SpoolError::new(path, error))
}

fn existing(path: &Path) -> Result<Folder, SpoolError> {
    let folder = Folder::at(path).and_then(|folder| folder.exists().map(|()| folder));
    folder.map_err(|error| SpoolError::Folder { folder: path.to_owned(), error })
}

impl SpoolError {
    fn new(folder: &Path, error: redb::Error) -> Self {
        let folder = folder.to_owned();
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse(folder),
            redb::Error::Io(error) => Self::Folder { folder, error },
            error => Self::Storage { folder, error: Box::new(error) },
        }
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Spool").field("found", &self.found).field("limit", &self.limit).finish_non_exhaustive()
    }
}
