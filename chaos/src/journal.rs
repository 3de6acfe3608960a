//! The append-only log of what was accepted, handled and deleted: all that the oracle goes by.
//!
//! An entry is a line of JSON, in the file before the one it is about goes on: an effect before its endpoint answers, an
//! acceptance before the next message is posted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// One thing that happened to one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// It is posted, for the first time.
    Offered {
        /// Its number.
        number: u64,
    },
    /// The producer has answered that it has it.
    Accepted {
        /// Its number.
        number: u64,
        /// Its id in this post. If a post without an answer arrived too, there is the message under another id as well.
        id: String,
        /// Its handler always fails, so it belongs into the dead-letter queue.
        poison: bool,
    },
    /// A handler has done its work.
    Effect {
        /// Its number.
        number: u64,
        /// Its id.
        id: String,
        /// The consumer.
        by: String,
    },
    /// A handler was given what nobody has sent, or not in this form.
    Strange {
        /// Its id.
        id: String,
        /// The beginning of the body.
        body: String,
    },
    /// A consumer says that it has deleted it.
    Deleted {
        /// Its id.
        id: String,
        /// The consumer.
        by: String,
    },
    /// LocalStack had it when it was killed, and has forgotten it.
    Held {
        /// Its number.
        number: u64,
    },
    /// It is in the dead-letter queue.
    Dead {
        /// Its number.
        number: u64,
    },
}

/// An entry, and when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Seconds from the start.
    pub at: f64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// The log, being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    started: Instant,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    file: File,
    figures: Figures,
    messages: HashMap<u64, State>,
}

#[derive(Debug, Default)]
struct State {
    accepted: bool,
    effects: u64,
    /// Not to be waited for: held by a LocalStack that is gone, or dead.
    gone: bool,
}

/// How far it is, for those who watch. (The verdict is the oracle's, from the file.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Accepted, but for poison.
    pub accepted: u64,
    /// Of these, those that are handled or will never be since they are gone.
    pub settled: u64,
    /// Effects after the first of a message.
    pub repeated: u64,
}

impl Figures {
    /// Accepted and not handled yet.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.accepted - self.settled
    }
}

impl Journal {
    /// A new one, in this file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let written = Written { file: File::create(path)?, figures: Figures::default(), messages: HashMap::new() };
        Ok(Self { path: path.to_owned(), started: Instant::now(), written: Mutex::new(written) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Seconds from the start.
    #[must_use]
    pub fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Adds entries.
    ///
    /// # Panics
    /// If the file can't be written to: without the journal there is no verdict.
    pub fn write(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut written = self.written();
        let mut lines = Vec::new();
        for entry in entries {
            written.count(&entry);
            let at = (self.now() * 1000.0).round() / 1000.0;
            #[expect(clippy::expect_used, reason = "numbers, texts and a bool can be written as JSON")]
            serde_json::to_writer(&mut lines, &Line { at, entry }).expect("an entry is JSON");
            lines.push(b'\n');
        }
        if let Err(error) = written.file.write_all(&lines) {
            panic!("cannot write the journal {}: {error}", self.path.display());
        }
    }

    /// How far it is.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.written().figures
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    fn count(&mut self, entry: &Entry) {
        let (&Entry::Accepted { number, poison: false, .. }
        | &Entry::Effect { number, .. }
        | &Entry::Held { number }
        | &Entry::Dead { number }) = entry
        else {
            return;
        };
        let state = self.messages.entry(number).or_default();
        let settled = |state: &State| state.accepted && (state.effects > 0 || state.gone);
        let before = settled(state);
        match entry {
            Entry::Accepted { .. } => {
                self.figures.accepted += u64::from(!state.accepted);
                state.accepted = true;
            }
            Entry::Effect { .. } => {
                self.figures.repeated += u64::from(state.effects > 0);
                state.effects += 1;
            }
            _ => state.gone = true,
        }
        self.figures.settled += u64::from(settled(state)) - u64::from(before);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;

    #[test]
    fn what_was_accepted_is_settled_once_it_is_handled_in_whichever_order_that_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(&folder.path().join("journal")).unwrap();
        let accepted = |number, poison| Entry::Accepted { number, id: String::new(), poison };
        let effect = |number| Entry::Effect { number, id: String::new(), by: String::new() };
        journal.write([accepted(1, false), accepted(2, false), effect(3), accepted(9, true)]);
        assert_eq!(journal.figures(), Figures { accepted: 2, settled: 0, repeated: 0 });
        journal.write([effect(1), effect(1), accepted(3, false), Entry::Held { number: 2 }]);
        assert_eq!(journal.figures(), Figures { accepted: 3, settled: 3, repeated: 1 });
    }
}
