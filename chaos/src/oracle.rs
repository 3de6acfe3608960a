//! Reads the journal and says what was lost: by content, message by message.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;

use crate::journal::{Entry, Line};

/// How many messages of a kind are named.
const NAMED: usize = 20;

/// What became of all messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Accepted, but for poison and what is left out.
    pub accepted: usize,
    /// Of these, those that were handled.
    pub handled: usize,
    /// Of these, those that were not.
    pub lost: Vec<Lost>,
    /// How often a message was handled that was before.
    pub repeated: usize,
    /// Accepted, not handled, and with LocalStack when that was killed.
    pub left_out: Vec<u64>,
    /// Accepted and in the dead-letter queue, where they belong.
    pub poison: usize,
    /// What handlers were given that nobody has sent: ids and how the bodies begin.
    pub strange: Vec<(String, String)>,
}

/// A message that was accepted, and of which nothing has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// Its number.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// When it was accepted, in seconds from the start.
    pub accepted_at: f64,
    /// Who has deleted it all the same, and when.
    pub deleted: Option<(String, f64)>,
    /// It is in the dead-letter queue and does not belong there.
    pub dead: bool,
}

impl Verdict {
    /// Of the journal in this file.
    pub fn read(journal: &Path) -> anyhow::Result<Self> {
        let file = File::open(journal).with_context(|| format!("cannot read {}", journal.display()))?;
        let lines = BufReader::new(file).lines().enumerate().map(|(number, line)| {
            serde_json::from_str(&line?).with_context(|| format!("{}, line {}", journal.display(), number + 1))
        });
        Ok(Self::of(lines.collect::<anyhow::Result<Vec<Line>>>()?))
    }

    /// Of these entries.
    #[must_use]
    pub fn of(lines: impl IntoIterator<Item = Line>) -> Self {
        let mut accepted = BTreeMap::new();
        let mut effects = BTreeMap::<u64, usize>::new();
        let mut deleted = BTreeMap::new();
        let (mut offered, mut held, mut dead) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut verdict = Self::default();
        for Line { at, entry } in lines {
            match entry {
                Entry::Offered { number } => drop(offered.insert(number)),
                Entry::Accepted { number, id, poison } => drop(accepted.entry(number).or_insert((at, id, poison))),
                Entry::Effect { number, .. } => *effects.entry(number).or_default() += 1,
                Entry::Strange { id, body } => verdict.strange.push((id, body)),
                Entry::Deleted { id, by } => drop(deleted.entry(id).or_insert((by, at))),
                Entry::Held { number } => drop(held.insert(number)),
                Entry::Dead { number } => drop(dead.insert(number)),
            }
        }
        verdict.repeated = effects.values().map(|times| times - 1).sum();
        let never_sent = effects.keys().filter(|number| !offered.contains(number));
        verdict.strange.extend(never_sent.map(|number| (String::new(), format!("number {number}"))));
        for (number, (accepted_at, id, poison)) in accepted {
            // Poison that was handled has a handler that did what it should not.
            let in_place = if poison { dead.contains(&number) } else { effects.contains_key(&number) };
            match (in_place, poison) {
                (true, true) => verdict.poison += 1,
                (true, false) => (verdict.accepted, verdict.handled) = (verdict.accepted + 1, verdict.handled + 1),
                (false, _) if held.contains(&number) => verdict.left_out.push(number),
                (false, _) => {
                    verdict.accepted += 1;
                    let deleted = deleted.get(&id).cloned();
                    verdict.lost.push(Lost { number, deleted, id, accepted_at, dead: dead.contains(&number) });
                }
            }
        }
        verdict
    }

    /// Nothing lost, and nothing handled that nobody has sent.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.lost.is_empty() && self.strange.is_empty()
    }
}

/// The lines at the end of a run, the one that counts last.
impl Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for lost in self.lost.iter().take(NAMED) {
            writeln!(formatter, "LOST {lost}")?;
        }
        for (id, body) in self.strange.iter().take(NAMED) {
            writeln!(formatter, "STRANGE: nobody has sent {body} (id {id})")?;
        }
        if self.poison > 0 {
            writeln!(formatter, "poison {}, all of it in the dead-letter queue", self.poison)?;
        }
        if !self.left_out.is_empty() {
            let named: Vec<_> = self.left_out.iter().take(NAMED).map(u64::to_string).collect();
            let more = if self.left_out.len() > NAMED { ", … (all of them in the journal)" } else { "" };
            let (count, named) = (self.left_out.len(), named.join(", "));
            writeln!(formatter, "left out {count}, which LocalStack held when it was killed: {named}{more}")?;
        }
        let Self { accepted, handled, lost, repeated, .. } = self;
        write!(formatter, "accepted {accepted}, handled {handled}, lost {}, repeated {repeated}", lost.len())
    }
}

impl Display for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, id, accepted_at, .. } = self;
        write!(formatter, "number {number}, id {id}, accepted after {accepted_at:.1} s")?;
        match &self.deleted {
            Some((by, at)) => write!(formatter, ", deleted by {by} after {at:.1} s, never handled"),
            None if self.dead => write!(formatter, ", in the dead-letter queue"),
            None => write!(formatter, ", never seen again"),
        }
    }
}
