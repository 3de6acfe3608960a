//! The task that owns a cluster: whatever is asked for, told or due comes to it one after the other.
//!
//! What changes is kept first and in force then; what could not be kept has not happened. Nodes are told of nothing that
//! is not kept, so that whatever runs is found again by a server that was killed at any moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use upbeat_service::Health;
use upbeat_service::readiness::Condition;

use super::meter::ClusterMeter;
use super::orders::{cures, orders};
use super::records::Records;
use super::schedule::decide;
use super::sight::{HEARTBEAT, Sight};
use super::state::{Change, Cluster, Name};
use super::wire::{Orders, Report};
use crate::moment::Moment;
use crate::picture::Event;
use crate::store::StoreError;

/// How often it is looked for nodes that have not told.
const TICK: Duration = Duration::from_millis(250);

/// After a look there is a pause of so many times what it took, and so long at least: what is told meanwhile waits for
/// one look, however many nodes tell.
const PAUSE: u32 = 4;
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// How often a store that did not work is tried again.
const STORE_AGAIN: Duration = Duration::from_secs(5);

/// How many may wait to be heard, and how many events a listener may be behind.
const WAITING: usize = 1024;

/// How often gauges are set.
const METER_EVERY: Duration = Duration::from_secs(1);

/// How long a look and all that it keeps may take before the task counts as stuck.
const LIMIT: Duration = Duration::from_mins(2);

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

type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Job = Box<dyn FnOnce(&View<'_>) -> Option<(Vec<(Change, String)>, Done)> + Send>;

enum Ask {
    Job(Job),
    Tell(Name, Report, oneshot::Sender<Result<watch::Receiver<Arc<Orders>>, Refusal>>),
}

/// Where the task is asked. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Server {
    asks: mpsc::Sender<Ask>,
    events: broadcast::Sender<Event>,
}

/// The task.
pub struct Brain {
    asks: mpsc::Receiver<Ask>,
    events: broadcast::Sender<Event>,
    records: Arc<dyn Records>,
    store: Option<Condition>,
    meter: ClusterMeter,
    store_works: bool,
    cluster: Cluster,
    sight: Sight,
    waiting: BTreeMap<(Name, u32), String>,
    given: BTreeMap<Name, watch::Sender<Arc<Orders>>>,
    term: u64,
    metered: Moment,
    began: Instant,
}

impl Server {
    /// One that keeps what it knows there, and the task that must run for it.
    #[must_use]
    pub fn new(records: Arc<dyn Records>, store: Option<Condition>) -> (Self, Brain) {
        let (sender, asks) = mpsc::channel(WAITING);
        let events = broadcast::Sender::new(WAITING);
        let brain = Brain {
            asks,
            events: events.clone(),
            records,
            store,
            meter: ClusterMeter::default(),
            store_works: true,
            cluster: Cluster::default(),
            sight: Sight::default(),
            waiting: BTreeMap::new(),
            given: BTreeMap::new(),
            term: fastrand::u64(1..),
            metered: Moment::default(),
            began: Instant::now(),
        };
        (Self { asks: sender, events }, brain)
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
        let job: Job = Box::new(move |view| match wish(view) {
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
        self.asks.send(Ask::Job(job)).await.map_err(|_| away())?;
        answered.await.map_err(|_| away())?
    }

    /// Takes in what a node tells, and answers with its orders: if they are those by which it goes, and it waits, once
    /// there are others, or after two seconds.
    pub async fn exchange(&self, node: &str, report: Report, waits: bool) -> Result<Arc<Orders>, Refusal> {
        let (answer, answered) = oneshot::channel();
        let stamp = report.stamp;
        self.asks.send(Ask::Tell(node.into(), report, answer)).await.map_err(|_| away())?;
        let mut given = answered.await.map_err(|_| away())??;
        if waits {
            let about = HEARTBEAT.mul_f64(0.2f64.mul_add(fastrand::f64(), 0.9));
            let others = given.wait_for(|orders| orders.stamp.generation > 0 && Some(orders.stamp) != stamp);
            // In time or not, what is in force now is the answer.
            drop(timeout(about, others).await);
        }
        let orders = Arc::clone(&given.borrow());
        if orders.stamp.generation == 0 {
            Err(Refusal::Away("it has no orders for this node yet".to_owned()))
        } else {
            Ok(orders)
        }
    }
}

fn away() -> Refusal {
    Refusal::Away("it is stopping".to_owned())
}

impl Brain {
    /// Counts here.
    #[must_use]
    pub fn meter(mut self, meter: ClusterMeter) -> Self {
        self.meter = meter;
        self
    }

    /// Runs until `stop`.
    pub async fn run(mut self, health: Health, stop: CancellationToken) {
        let beat = health.task("cluster", LIMIT);
        loop {
            beat.beat(LIMIT);
            match self.records.load().await {
                Ok(cluster) => {
                    self.cluster = cluster;
                    break;
                }
                Err(why) => {
                    self.see_store(Err(&why));
                    tokio::select! {
                        () = stop.cancelled() => return beat.finish(),
                        () = sleep(STORE_AGAIN) => {}
                    }
                }
            }
        }
        self.see_store(Ok(()));
        let Cluster { id, services, nodes, slots, .. } = &self.cluster;
        info!(cluster = %id, services = services.len(), nodes = nodes.len(), slots = slots.len(), "cluster");
        self.sight.began = self.now();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut dirty, mut look_at) = (true, Instant::now());
        loop {
            beat.beat(LIMIT);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(look_at), if dirty => {
                    let began = Instant::now();
                    dirty = self.look().await;
                    look_at = Instant::now() + (began.elapsed() * PAUSE).max(SHORTEST_PAUSE);
                    if dirty && !self.store_works {
                        look_at = Instant::now() + STORE_AGAIN;
                    }
                }
                ask = self.asks.recv() => match ask {
                    Some(ask) => dirty |= self.hear(ask).await,
                    None => break,
                },
                _ = ticks.tick() => dirty |= self.watch(),
            }
        }
        beat.finish();
    }

    fn now(&self) -> Moment {
        Moment(self.began.elapsed())
    }

    fn view(&self) -> View<'_> {
        View { cluster: &self.cluster, sight: &self.sight, waiting: &self.waiting, now: self.now() }
    }

    /// Whether there is reason to look.
    async fn hear(&mut self, ask: Ask) -> bool {
        match ask {
            Ask::Tell(node, report, answer) => {
                if !self.cluster.nodes.contains_key(&node) {
                    drop(answer.send(Err(Refusal::NotFound(format!("{node} is no node of this cluster")))));
                    return false;
                }
                let now = self.now();
                let was_lost = self.sight.nodes.get(&node).is_some_and(|sight| sight.lost_since.is_some());
                let news = self.sight.tell(&node, report, now);
                if was_lost && self.sight.nodes.get(&node).is_some_and(|sight| sight.lost_since.is_none()) {
                    self.tell("back", &node, "it tells again");
                }
                drop(answer.send(Ok(self.given(&node).subscribe())));
                news
            }
            Ask::Job(job) => {
                let Some((changes, done)) = job(&self.view()) else { return false };
                if changes.is_empty() {
                    done(Ok(()));
                    return false;
                }
                let kept = self.keep(changes).await;
                let is_kept = kept.is_ok();
                done(kept);
                is_kept
            }
        }
    }

    /// Looks for nodes that are lost, or are up for long enough; whether there is reason to look at all.
    fn watch(&mut self) -> bool {
        let now = self.now();
        let (lost, storm) = self.sight.watch(self.cluster.nodes.keys(), now);
        for node in &lost {
            let why = match self.sight.nodes.get(node).and_then(|sight| sight.report.engine.clone()) {
                Some(engine) if self.sight.silent(node, now) < super::sight::LOST => engine,
                _ => "nothing was heard of it".to_owned(),
            };
            self.tell("lost", node, &why);
        }
        if storm {
            let lost: Vec<_> = self.sight.storm.iter().map(|node| &**node).collect();
            let why = format!(
                "over a third of the nodes are lost at once: {}. Nothing of theirs is begun elsewhere until they are back, \
                 or are taken out",
                lost.join(", ")
            );
            self.tell("storm", "", &why);
        }
        if now.since(self.metered) >= METER_EVERY {
            self.metered = now;
            self.meter.see(&self.view());
        }
        // Leases and other waits end by time alone.
        !self.sight.nodes.values().all(|sight| sight.lost_since.is_none()) || !lost.is_empty() || self.has_unsteady(now)
    }

    fn has_unsteady(&self, now: Moment) -> bool {
        let steady = Duration::from_secs(31);
        self.sight.nodes.values().any(|sight| sight.up_since.is_some_and(|since| now.since(since) < steady))
    }

    /// Works out what is to change, and what nodes are to be told; whether there is more to do at once.
    async fn look(&mut self) -> bool {
        let now = self.now();
        self.sight.forget(&self.cluster, now);
        let decision = decide(&self.cluster, &self.sight, now);
        let more = !decision.changes.is_empty();
        for (slot, why) in &decision.waiting {
            if self.waiting.get(slot) != Some(why) {
                self.tell("waiting", &format!("{}.{}", slot.0, slot.1), why);
            }
        }
        self.waiting = decision.waiting;
        if more && self.keep(decision.changes).await.is_err() {
            return true;
        }
        for (slot, node) in decision.failed {
            self.sight.avoided.entry(slot).or_default().push((node, now));
        }
        self.sight.cures = cures(&self.cluster, &self.sight);
        let last = self.given.iter().map(|(node, given)| (Arc::clone(node), Arc::clone(&given.borrow()))).collect();
        for (node, orders) in self.sight.order(self.term, orders(&self.cluster, &self.sight), &last) {
            self.given(&node).send_replace(orders);
        }
        self.given.retain(|node, _| self.cluster.nodes.contains_key(node));
        more
    }

    /// Keeps changes, and then takes them in.
    async fn keep(&mut self, changes: Vec<(Change, String)>) -> Result<(), StoreError> {
        let kept = self.records.keep(changes.iter().map(|(change, _)| change.clone()).collect()).await;
        self.see_store(kept.as_ref().copied());
        kept?;
        for (change, why) in &changes {
            self.cluster.apply(change);
            self.meter.changed(change);
            match change {
                Change::Service(name, _) | Change::ForgetService(name) => self.tell("service", name, why),
                Change::Node(name, _) | Change::ForgetNode(name) => self.tell("node", name, why),
                Change::Place(_, _, placed) => self.tell("placed", &placed.name, &format!("on {}: {why}", placed.node)),
                Change::Retire(service, slot, epoch) => self.tell("retired", &format!("{service}.{slot}.{epoch}"), why),
                Change::Forget(service, slot, epoch) => self.tell("gone", &format!("{service}.{slot}.{epoch}"), why),
            }
        }
        Ok(())
    }

    fn given(&mut self, node: &Name) -> &watch::Sender<Arc<Orders>> {
        self.given.entry(Arc::clone(node)).or_insert_with(|| watch::Sender::new(Arc::default()))
    }

    fn see_store(&mut self, works: Result<(), &StoreError>) {
        let worked = std::mem::replace(&mut self.store_works, works.is_ok());
        match works {
            Ok(()) => self.store.iter().for_each(Condition::met),
            Err(why) => {
                if worked {
                    error!(%why, "cannot keep what changes");
                }
                self.store.iter().for_each(|store| store.unmet(why));
            }
        }
    }

    fn tell(&self, event: &'static str, what: &str, why: &str) {
        match event {
            "lost" | "storm" | "waiting" => warn!(%what, %why, "{event}"),
            _ => info!(%what, %why, "{event}"),
        }
        // Nobody has to be listening.
        drop(self.events.send(Event::now(event, what, None, why)));
    }
}
