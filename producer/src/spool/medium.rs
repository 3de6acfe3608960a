//! Where a spool's database is: in a folder, or wherever a test wants it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{ConcurrencyMode, Database, DatabaseError, ReadOnlyDatabase};

/// The database, in the spool's folder.
const DATABASE: &str = "spool.redb";

/// The bytes that are set aside, in the spool's folder.
const RESERVE: &str = "reserve";

/// What is set aside: more than it takes to take messages out, be they as many as were ever published within a moment.
const RESERVE_BYTES: usize = 4 * 1024 * 1024;

/// Pages that the database keeps in memory; its own default is a gigabyte. A queue is read where it was just written.
const CACHE: usize = 8 * 1024 * 1024;

/// What a spool is written to.
///
/// To take a message out of a database, too, it has to write. So that a full disk can be emptied, some bytes are set
/// aside, and given up when there is no room otherwise.
pub trait Medium: Send + 'static {
    /// Opens the database; called again after each failure of it.
    fn open(&self) -> Result<Database, DatabaseError>;

    /// Sets the bytes aside, if they are not already.
    fn reserve(&self) -> io::Result<()>;

    /// Gives the bytes up, so that the database can have them.
    fn release(&self) -> io::Result<()>;
}

/// A folder on a disk.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The process before had not closed it, so that the whole file was looked through for the last commit.
    repaired: Arc<AtomicBool>,
}

impl Folder {
    /// The folder, made if it is missing.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Self::at(path)
    }

    /// The folder, which must be there.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::read_dir(path)?;
        Ok(Self { path: path.to_owned(), repaired: Arc::default() })
    }

    pub(super) fn repaired(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.repaired)
    }

    /// Whether there is a database in it.
    pub(super) fn exists(&self) -> io::Result<()> {
        self.path.join(DATABASE).metadata().map(drop)
    }

    /// Opens the database beside a process that writes to it.
    pub(super) fn look(&self) -> Result<ReadOnlyDatabase, DatabaseError> {
        builder().open_read_only(self.path.join(DATABASE))
    }

    /// A file's name is as durable as the folder's last sync.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Medium for Folder {
    fn open(&self) -> Result<Database, DatabaseError> {
        let repaired = Arc::clone(&self.repaired);
        let mut builder = builder();
        builder.set_repair_callback(move |_| repaired.store(true, Ordering::Relaxed));
        builder.create(self.path.join(DATABASE))
    }

    fn reserve(&self) -> io::Result<()> {
        let path = self.path.join(RESERVE);
        if path.metadata().is_ok_and(|file| file.len() >= RESERVE_BYTES as u64) {
            return Ok(());
        }
        let mut file = File::create(path)?;
        // Not zeros, which some file systems keep for nothing.
        let written = file.write_all(&vec![0xA5; RESERVE_BYTES]).and_then(|()| file.sync_all());
        // Half of it would only be in the way.
        written.inspect_err(|_| drop(self.release()))
    }

    fn release(&self) -> io::Result<()> {
        fs::remove_file(self.path.join(RESERVE))
    }
}

/// One process writes, others may look.
fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}
