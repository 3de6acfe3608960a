//! The task that owns a cluster: whatever is asked for, told or due comes to it one after the other.
//!
//! What changes is kept first and in force then; what could not be kept has not happened. Nodes are told of nothing that
//! is not kept, so that whatever runs is found again by a server that was killed at any moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;
use upbeat_service::readiness::Condition;

use super::brain::Brain;
use super::records::Records;
use super::sight::{HEARTBEAT, Sight};
use super::state::{Change, Cluster, Name};
use super::wire::{Orders, Report};
use crate::moment::Moment;
use crate::picture::Event;
use crate::store::StoreError;

/// How many may wait to be heard, and how many events a listener may be behind.
const WAITING: usize = 1024;

/// Why something that was asked for is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none of this name.
    #[error("{0}")]
    NotFound(String),
    /// Something is in its way: look at what there is.
    #[error("{0}")]
    Conflict(String),
    /// It is not as it was said to be: look again.
    #[error("{0}")]
    Precondition(String),
    /// It can't be: ask for something else.
    #[error("{0}")]
    Invalid(String),
    /// It could not be kept: try again later.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server is stopping, or has not read yet what is kept: try again later.
    #[error("the server is not there: {0}")]
    Away(String),
}

/// What is to change, each with a word on why, and what is answered once it is kept.
pub type Wish<T> = Result<(Vec<(Change, String)>, T), Refusal>;

/// All there is to see.
#[derive(Debug)]
pub struct View<'a> {
    /// What is wanted and where it was placed.
    pub cluster: &'a Cluster,
    /// What nodes have told.
    pub sight: &'a Sight,
    /// Slots that no node takes, and why.
    pub waiting: &'a BTreeMap<(Name, u32), String>,
    /// What time it is.
    pub now: Moment,
}

pub(super) type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
pub(super) type Work = Box<dyn FnOnce(Result<&View<'_>, Refusal>) -> Option<(Vec<(Change, String)>, Done)> + Send>;

/// Something that somebody wants done.
pub(super) struct Job(Work);

impl Job {
    /// What is to change for it, and what is to be done then; nothing if it is refused.
    pub(super) fn run(self, view: &View<'_>) -> Option<(Vec<(Change, String)>, Done)> {
        (self.0)(Ok(view))
    }

    /// Says no.
    pub(super) fn refuse(self, why: Refusal) {
        (self.0)(Err(why));
    }
}

pub(super) enum Ask {
    Job(Job),
    Tell(Name, Report, oneshot::Sender<Result<watch::Receiver<Arc<Orders>>, Refusal>>),
}

/// Where the task is asked. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Server {
    asks: mpsc::Sender<Ask>,
    records: Arc<dyn Records>,
    events: broadcast::Sender<Event>,
}

impl Server {
    /// One that keeps what it knows there, and the task that must run for it.
    #[must_use]
    pub fn new(records: Arc<dyn Records>, store: Option<Condition>) -> (Self, Brain) {
        let (sender, asks) = mpsc::channel(WAITING);
        let events = broadcast::Sender::new(WAITING);
        let brain = Brain::new(asks, events.clone(), Arc::clone(&records), store);
        (Self { asks: sender, records, events }, brain)
    }

    /// What happens, from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Looks.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        self.write(move |view| Ok((Vec::new(), look(view)))).await
    }

    /// Changes something; what is answered with `Ok` is kept.
    pub async fn write<T: Send + 'static>(
        &self,
        wish: impl FnOnce(&View<'_>) -> Wish<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        let job: Work = Box::new(move |view| match view.and_then(wish) {
            Ok((changes, value)) => {
                // Whoever asked may be gone.
                let done: Done = Box::new(|kept| drop(answer.send(kept.map(|()| value).map_err(Refusal::from))));
                Some((changes, done))
            }
            Err(refusal) => {
                drop(answer.send(Err(refusal)));
                None
            }
        });
        self.asks.send(Ask::Job(Job(job))).await.map_err(|_| away())?;
        answered.await.map_err(|_| away())?
    }

    /// Takes in what a node tells, and answers with its orders: if they are those by which it goes, and it waits, once
    /// there are others, or after two seconds.
    pub async fn exchange(&self, node: &str, report: Report, waits: bool) -> Result<Arc<Orders>, Refusal> {
        let (answer, answered) = oneshot::channel();
        let (stamp, term) = (report.stamp, self.records.leadership());
        self.asks.send(Ask::Tell(node.into(), report, answer)).await.map_err(|_| away())?;
        let mut given = answered.await.map_err(|_| away())??;
        if waits {
            let about = HEARTBEAT.mul_f64(0.2f64.mul_add(fastrand::f64(), 0.9));
            let others = given.wait_for(|orders| orders.stamp.generation > 0 && Some(orders.stamp) != stamp);
            // In time or not, what is in force now is the answer.
            drop(timeout(about, others).await);
        }
        let orders = Arc::clone(&given.borrow());
        if !term.is_ours() || self.records.leadership() != term {
            // Meanwhile, another server may have said something else.
            Err(Refusal::Away("another server leads".to_owned()))
        } else if orders.stamp.generation == 0 {
            Err(Refusal::Away("it has no orders for this node yet".to_owned()))
        } else {
            Ok(orders)
        }
    }
}

fn away() -> Refusal {
    Refusal::Away("it is stopping".to_owned())
}
