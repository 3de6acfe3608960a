//! The spool's database: what is committed here is on the disk. Every call blocks.

use std::io::{self, ErrorKind};
use std::time::{Duration, SystemTime};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, WriteTransaction};

use tokio::time::Instant;

use super::medium::Medium;
use super::row::{COST, DEAD_LETTERS, MESSAGES, NUMBERS, Row, TEXTS, TOPIC, cost, cost_of_bytes, message, row};
use super::stats::Stats;
use crate::entry::Entry;
use crate::message::Message;
use crate::meter::OnDisk;

/// How long it is not tried to set bytes aside, after that failed: it means to fill the disk.
const RESERVE_AGAIN: Duration = Duration::from_secs(10);

/// Messages by number. A change is whole or not there at all, and on the disk when [`change`](Self::change) returns.
pub(super) struct Store {
    medium: Box<dyn Medium>,
    reserve: Reserve,
    /// What is in it.
    cost: u64,
    on_disk: OnDisk,
    /// `None` after a failure: redb writes no more then, and is to be opened anew.
    database: Option<Database>,
    /// The number of the next message. What is on the disk from here on was not acknowledged.
    next: u64,
}

/// Whether bytes are set aside, so that messages can be taken out of a full disk.
enum Reserve {
    Set,
    /// They had to be given up when the messages cost so much; at this time it was tried to set them aside again.
    Missing {
        full_at: u64,
        tried: Option<Instant>,
    },
}

/// What one transaction is to do.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// To be added, in this order.
    pub(super) accepted: Vec<Entry>,
    /// Published, so no longer needed.
    pub(super) published: Vec<u64>,
    /// To be put aside, each with the reason.
    pub(super) dead: Vec<(u64, String)>,
}

/// A message that was read.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) number: u64,
    pub(super) message: Message,
}

/// What a spool held when it was opened.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) messages: u64,
    pub(super) cost: u64,
    /// The number of the oldest message, or of the next one.
    pub(super) first: u64,
    /// What is remembered of the topic.
    pub(super) topic: Option<String>,
}

/// Why the database failed, in words. Nothing of the change is acknowledged then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure(pub(super) String);

impl Store {
    /// Opens the database and makes its tables.
    pub(super) fn open(medium: Box<dyn Medium>) -> Result<(Self, Found), redb::Error> {
        let database = medium.open()?;
        let transaction = database.begin_write()?;
        let found = {
            let messages = transaction.open_table(MESSAGES)?;
            let dead_letters = transaction.open_table(DEAD_LETTERS)?;
            let numbers = transaction.open_table(NUMBERS)?;
            let last = messages.last()?.map(|(number, _)| number.value());
            let last_dead = dead_letters.last()?.map(|(number, _)| number.value());
            let next = last.max(last_dead).map_or(0, |last| last + 1);
            let first = messages.first()?.map_or(next, |(number, _)| number.value());
            let cost = numbers.get(COST)?.map_or(0, |cost| cost.value());
            let topic = transaction.open_table(TEXTS)?.get(TOPIC)?.map(|topic| topic.value().to_owned());
            let on_disk = on_disk(&messages, &dead_letters, cost)?;
            (next, Found { messages: messages.len()?, cost, first, topic }, on_disk)
        };
        transaction.commit()?;
        let (next, found, on_disk) = found;
        let reserve = match medium.reserve() {
            Ok(()) => Reserve::Set,
            Err(_) => Reserve::Missing { full_at: found.cost, tried: Some(Instant::now()) },
        };
        Ok((Self { medium, reserve, cost: found.cost, on_disk, database: Some(database), next }, found))
    }

    /// Remembers the topic.
    pub(super) fn remember(&mut self, topic: &str) -> Result<(), Failure> {
        let remembered = self.database().and_then(|database| {
            let transaction = database.begin_write()?;
            transaction.open_table(TEXTS)?.insert(TOPIC, topic)?;
            Ok(transaction.commit()?)
        });
        remembered.map_err(|error| self.failed(&error))
    }

    /// The number that the next accepted message gets.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// What is in it, for whoever watches.
    pub(super) const fn on_disk(&self) -> OnDisk {
        self.on_disk
    }

    /// Does all of this, durably, or fails; then what was to be accepted is not.
    pub(super) fn change(&mut self, change: &Change) -> Result<(), Failure> {
        if !change.accepted.is_empty() {
            self.make_sure_of_room()?;
        }
        let next = self.next;
        let changed = self.database().and_then(|database| {
            let transaction = database.begin_write()?;
            let on_disk = apply(&transaction, next, change)?;
            transaction.commit()?;
            Ok(on_disk)
        });
        match changed {
            Ok(on_disk) => {
                self.cost = on_disk.bytes;
                self.on_disk = on_disk;
                self.next += change.accepted.len() as u64;
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Messages from this number on, in order: at least one if there is one, and no more than cost so much together.
    pub(super) fn read(&mut self, from: u64, max_cost: u64) -> Result<Vec<Stored>, Failure> {
        let read = self.database().and_then(|database| {
            let mut stored = Vec::new();
            let mut left = max_cost;
            for found in database.begin_read()?.open_table(MESSAGES)?.range(from..)? {
                let (number, row) = found?;
                let (row, number) = (row.value(), number.value());
                let cost = cost(&row);
                if cost > left && !stored.is_empty() {
                    break;
                }
                left = left.saturating_sub(cost);
                stored.push(Stored { number, message: message(&row) });
            }
            Ok(stored)
        });
        read.map_err(|error| self.failed(&error))
    }

    /// The database, opened anew after a failure. A commit that failed may have reached the disk all the same; its
    /// messages were refused, so they are taken out.
    fn database(&mut self) -> Result<&Database, redb::Error> {
        if self.database.is_none() {
            let database = self.medium.open()?;
            let transaction = database.begin_write()?;
            forget_from(&transaction, self.next)?;
            transaction.commit()?;
            self.database = Some(database);
        }
        self.database.as_ref().ok_or(redb::Error::DatabaseAlreadyOpen)
    }

    /// Nothing is added to a full disk before the reserve is there again. A database does not give back the room that
    /// messages leave in it; but when half of them are gone, that room will do for a reserve.
    fn make_sure_of_room(&mut self) -> Result<(), Failure> {
        let Reserve::Missing { full_at, tried } = &mut self.reserve else { return Ok(()) };
        if tried.is_some_and(|tried| tried.elapsed() < RESERVE_AGAIN) {
            return if self.cost <= *full_at / 2 { Ok(()) } else { Err(Failure("the disk is full".to_owned())) };
        }
        match self.medium.reserve() {
            Ok(()) => self.reserve = Reserve::Set,
            Err(_) if self.cost <= *full_at / 2 => *tried = Some(Instant::now()),
            Err(error) => return Err(Failure(error.to_string())),
        }
        Ok(())
    }

    fn failed(&mut self, error: &redb::Error) -> Failure {
        self.database = None;
        let full = |error: &io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        if matches!(error, redb::Error::Io(error) if full(error)) {
            // Whether or not it was there: what is published can be taken out as far as there is room.
            drop(self.medium.release());
            self.reserve = Reserve::Missing { full_at: self.cost, tried: None };
        }
        Failure(error.to_string())
    }
}

/// Gives back what is in it then.
fn apply(transaction: &WriteTransaction, next: u64, change: &Change) -> Result<OnDisk, redb::Error> {
    let mut messages = transaction.open_table(MESSAGES)?;
    let mut numbers = transaction.open_table(NUMBERS)?;
    let held = numbers.get(COST)?.map_or(0, |cost| cost.value());
    let mut freed = 0;
    for number in &change.published {
        freed += messages.remove(number)?.map_or(0, |row| cost(&row.value()));
    }
    let mut dead_letters = transaction.open_table(DEAD_LETTERS)?;
    if !change.dead.is_empty() {
        for (number, reason) in &change.dead {
            if let Some(row) = messages.remove(number)? {
                dead_letters.insert(number, (reason.as_str(), row.value()))?;
            }
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis);
    for (number, entry) in (next..).zip(&change.accepted) {
        messages.insert(number, row(entry, &entry.id().to_string(), now))?;
    }
    let added: u64 = change.accepted.iter().map(|entry| cost_of_bytes(entry.bytes())).sum();
    let cost = (held + added).saturating_sub(freed);
    numbers.insert(COST, cost)?;
    on_disk(&messages, &dead_letters, cost)
}

fn on_disk(
    messages: &impl ReadableTable<u64, Row<'static>>,
    dead_letters: &impl ReadableTableMetadata,
    bytes: u64,
) -> Result<OnDisk, redb::Error> {
    let oldest = messages.first()?.map(|(_, row)| row.value().0);
    Ok(OnDisk { messages: messages.len()?, bytes, dead_letters: dead_letters.len()?, oldest })
}

fn forget_from(transaction: &WriteTransaction, next: u64) -> Result<(), redb::Error> {
    let mut messages = transaction.open_table(MESSAGES)?;
    let mut numbers = transaction.open_table(NUMBERS)?;
    let mut freed = 0;
    for row in messages.extract_from_if(next.., |_, _| true)? {
        freed += cost(&row?.1.value());
    }
    let held = numbers.get(COST)?.map_or(0, |cost| cost.value());
    numbers.insert(COST, held.saturating_sub(freed))?;
    Ok(())
}

/// What is in a spool, whoever else has it open.
pub(super) fn stats(database: &impl ReadableDatabase) -> Result<Stats, redb::Error> {
    let transaction = database.begin_read()?;
    let Ok(messages) = transaction.open_table(MESSAGES) else { return Ok(Stats::default()) };
    let (dead_letters, numbers) = (transaction.open_table(DEAD_LETTERS)?, transaction.open_table(NUMBERS)?);
    let oldest = messages.first()?.map(|(_, row)| Duration::from_millis(row.value().0));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Stats {
        messages: messages.len()?,
        dead_letters: dead_letters.len()?,
        bytes: numbers.get(COST)?.map_or(0, |cost| cost.value()),
        oldest: oldest.map(|at| now.saturating_sub(at)),
    })
}

/// Hands over what was put aside, and removes it if that goes well.
pub(super) fn take_dead_letters(
    database: &Database,
    take: impl FnOnce(&[(String, Message)]) -> io::Result<()>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(DEAD_LETTERS)?;
        let (mut letters, mut freed) = (Vec::new(), 0);
        for letter in table.extract_if(|_, _| true)? {
            let (_, letter) = letter?;
            let (reason, row) = letter.value();
            freed += cost(&row);
            letters.push((reason.to_owned(), message(&row)));
        }
        take(&letters)?;
        let mut numbers = transaction.open_table(NUMBERS)?;
        let held = numbers.get(COST)?.map_or(0, |cost| cost.value());
        numbers.insert(COST, held.saturating_sub(freed))?;
    }
    Ok(transaction.commit()?)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
