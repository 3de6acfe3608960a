//! What replicas printed last, of nodes with an agent: the server can't reach those, so they take what is wanted with
//! their orders, and send it.
//!
//! A tail is told once. If that answer is lost, or the agent does not know of tails, whoever asked is told to come again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

/// How many may be wanted at a time, of all nodes and of one: each may be of a megabyte.
const MOST: usize = 16;
const MOST_OF_NODE: usize = 4;

/// The last lines of a replica, which somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// Under which they are sent.
    pub id: u64,
    /// The replica's name.
    pub name: String,
    /// So many lines at most.
    pub lines: u32,
}

/// What comes with a node's orders.
#[derive(Debug, Default, Deserialize)]
pub struct Wanted {
    /// What it is to send.
    #[serde(default)]
    pub tails: Vec<Tail>,
}

/// What a node sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Printed {
    /// The lines.
    Text(String),
    /// It has no such container.
    Missing(String),
    /// Its engine can't be asked now.
    Unreachable(String),
    /// Its engine does not keep them.
    Refused(String),
}

/// All tails that somebody waits for. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tails {
    waiting: Arc<Mutex<BTreeMap<u64, Waiting>>>,
    /// Counted up with each that is wanted.
    asked: watch::Sender<u64>,
}

#[derive(Debug)]
struct Waiting {
    node: String,
    tail: Tail,
    told: bool,
    answer: oneshot::Sender<Printed>,
}

/// One that is wanted for as long as this is kept.
#[derive(Debug)]
pub struct Asked {
    id: u64,
    tails: Tails,
    answer: oneshot::Receiver<Printed>,
}

impl Tails {
    /// Wants these lines of a replica on this node; nothing, if too many are wanted already.
    #[must_use]
    pub fn ask(&self, node: &str, name: &str, lines: u32) -> Option<Asked> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.lock();
        let of_node = waiting.values().filter(|other| other.node == node).count();
        if waiting.len() >= MOST || of_node >= MOST_OF_NODE {
            return None;
        }
        // Not one of an earlier start of the server, which may still be answered.
        let id = std::iter::repeat_with(|| fastrand::u64(..)).find(|id| !waiting.contains_key(id))?;
        let tail = Tail { id, name: name.to_owned(), lines };
        waiting.insert(id, Waiting { node: node.to_owned(), tail, told: false, answer: sender });
        drop(waiting);
        self.asked.send_modify(|count| *count += 1);
        Some(Asked { id, tails: self.clone(), answer })
    }

    /// Waits until something is wanted of this node that it has not been told.
    pub async fn wanted(&self, node: &str) {
        let mut asked = self.asked.subscribe();
        while !self.lock().values().any(|waiting| waiting.node == node && !waiting.told) {
            if asked.changed().await.is_err() {
                // It ends with us.
                return std::future::pending().await;
            }
        }
    }

    /// What this node is to be told now, and is not told again.
    #[must_use]
    pub fn take(&self, node: &str) -> Vec<Tail> {
        let mut waiting = self.lock();
        let untold = waiting.values_mut().filter(|waiting| waiting.node == node && !waiting.told);
        untold
            .map(|waiting| {
                waiting.told = true;
                waiting.tail.clone()
            })
            .collect()
    }

    /// A node has sent what was wanted of it. Whether somebody waits for that.
    #[must_use]
    pub fn answer(&self, node: &str, id: u64, printed: Printed) -> bool {
        let mut waiting = self.lock();
        let is_its = waiting.get(&id).is_some_and(|waiting| waiting.node == node);
        let found = if is_its { waiting.remove(&id) } else { None };
        drop(waiting);
        found.is_some_and(|found| found.answer.send(printed).is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// What the node sends, whenever it does.
    pub async fn printed(&mut self) -> Printed {
        match (&mut self.answer).await {
            Ok(printed) => printed,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.tails.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_node_that_was_asked_answers_and_only_once() {
        let tails = Tails::default();
        let mut asked = tails.ask("n1", "web.0.1", 7).unwrap();
        assert_eq!(tails.take("n2"), []);
        tails.wanted("n1").await;
        let told = tails.take("n1");
        assert_eq!((told.len(), told[0].name.as_str(), told[0].lines), (1, "web.0.1", 7));
        assert_eq!(tails.take("n1"), [], "it is told once");
        let text = |text: &str| Printed::Text(text.to_owned());
        assert!(!tails.answer("n2", told[0].id, text("forged")));
        assert!(!tails.answer("n1", told[0].id.wrapping_add(1), text("of nothing")));
        assert!(tails.answer("n1", told[0].id, text("one\n")));
        assert!(!tails.answer("n1", told[0].id, text("two\n")));
        assert_eq!(asked.printed().await, text("one\n"));
    }

    #[test]
    fn no_more_than_a_few_are_wanted_at_a_time_and_who_has_gone_makes_room() {
        let tails = Tails::default();
        let ask = |node: &str| tails.ask(node, "web.0.1", 1);
        let mut all: Vec<_> = (0..MOST_OF_NODE).map(|_| ask("n1").unwrap()).collect();
        assert!(ask("n1").is_none());
        drop(all.pop());
        all.push(ask("n1").unwrap());
        all.extend((MOST_OF_NODE..MOST).map(|node| ask(&format!("m{node}")).unwrap()));
        assert!(ask("other").is_none());
        assert!(tails.lock().len() == MOST && all.len() == MOST);
        drop(all);
        assert!(ask("n1").is_some());
    }
}
