//! What has changed since the loop last looked. Events, timers, requests and finished work only leave a mark here; the
//! loop takes all of them at once, and then looks for itself. So a burst of events costs one look, and one that is lost
//! costs a wait until the next resync.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::plan::Action;
use crate::runtime::RuntimeError;
use crate::store::StoreError;

/// Where marks are left. Bounded by the number of containers and of requests that are under way.
#[derive(Debug, Default)]
pub struct Marks {
    left: Mutex<Left>,
    changed: Notify,
}

/// What was left.
#[derive(Debug, Default)]
pub struct Left {
    /// Ids to look at.
    pub dirty: BTreeSet<String>,
    /// Everything is to be looked at.
    pub all: bool,
    /// What is kept in the store may be something else.
    pub reload: bool,
    /// The engine answers again, or does not any more, and why.
    pub engine: Option<Result<(), String>>,
    /// What was done, and how it ended.
    pub done: Vec<(Action, Result<(), RuntimeError>)>,
    /// Probes by container, and why they failed if they did.
    pub probes: Vec<(String, Option<String>)>,
    /// What runs of a cluster's containers, by id and start, have answered to their probes.
    pub answers: Vec<((String, String), Answer)>,
    /// Containers by id whose log lines ask for a restart, and why.
    pub alarms: Vec<(String, String)>,
    /// Who wants the snapshot taken anew.
    pub retake: Vec<oneshot::Sender<Result<usize, Retake>>>,
}

/// What a run of a container has answered to its probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is well.
    Well,
    /// It is not, or does not answer.
    Failed(String),
    /// It can't be asked from here.
    Unasked(String),
}

/// Why the snapshot was not taken anew.
#[derive(Debug, thiserror::Error)]
pub enum Retake {
    /// There is none in this mode.
    #[error("there is no snapshot: an allow list, or the cluster, says what runs")]
    NotHere,
    /// The engine can't be asked now.
    #[error(transparent)]
    Engine(#[from] RuntimeError),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Marks {
    /// Leaves a mark.
    pub fn leave(&self, mark: impl FnOnce(&mut Left)) {
        mark(&mut self.lock());
        self.changed.notify_one();
    }

    /// Takes all marks.
    #[must_use]
    pub fn take(&self) -> Left {
        std::mem::take(&mut *self.lock())
    }

    /// Waits until there are some.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
