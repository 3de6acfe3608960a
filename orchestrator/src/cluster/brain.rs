//! The task behind a [`Server`](super::server::Server).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use upbeat_service::Health;
use upbeat_service::health::Beat;
use upbeat_service::readiness::Condition;

use super::meter::ClusterMeter;
use super::orders::{cures, orders};
use super::records::{Leadership, Records};
use super::schedule::decide;
use super::server::{Ask, Refusal, View};
use super::sight::Sight;
use super::state::{Change, Cluster, Name};
use super::wire::Orders;
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

/// How often it is looked at what may be due by time alone, and for how long after a node came or went: longer than any
/// container takes to stop.
const BY_TIME_EVERY: Duration = Duration::from_secs(1);
const BY_TIME_FOR: Duration = Duration::from_mins(10);

/// How often gauges are set.
const METER_EVERY: Duration = Duration::from_secs(1);

/// How long a look and all that it keeps may take before the task counts as stuck.
const LIMIT: Duration = Duration::from_mins(2);

/// The task.
pub struct Brain {
    asks: mpsc::Receiver<Ask>,
    events: broadcast::Sender<Event>,
    records: Arc<dyn Records>,
    store: Option<Condition>,
    meter: ClusterMeter,
    store_works: bool,
    in_doubt: bool,
    cluster: Cluster,
    sight: Sight,
    waiting: BTreeMap<(Name, u32), String>,
    given: BTreeMap<Name, watch::Sender<Arc<Orders>>>,
    term: u64,
    metered: Moment,
    timed: Moment,
    began: Instant,
}

impl Brain {
    pub(super) fn new(
        asks: mpsc::Receiver<Ask>,
        events: broadcast::Sender<Event>,
        records: Arc<dyn Records>,
        store: Option<Condition>,
    ) -> Self {
        Self {
            asks,
            events,
            records,
            store,
            meter: ClusterMeter::default(),
            store_works: true,
            in_doubt: false,
            cluster: Cluster::default(),
            sight: Sight::default(),
            waiting: BTreeMap::new(),
            given: BTreeMap::new(),
            term: fastrand::u64(1..),
            metered: Moment::default(),
            timed: Moment::default(),
            began: Instant::now(),
        }
    }

    /// Counts here.
    #[must_use]
    pub fn meter(mut self, meter: ClusterMeter) -> Self {
        self.meter = meter;
        self
    }

    /// Runs until `stop`.
    pub async fn run(mut self, health: Health, stop: CancellationToken) {
        let beat = health.task("cluster", LIMIT);
        while let Some(term) = self.stand_by(&beat, &stop).await {
            self.lead(&term, &beat, &stop).await;
        }
        beat.finish();
    }

    /// Waits until this server leads, and reads what is kept. Nothing if it is to stop.
    async fn stand_by(&mut self, beat: &Beat, stop: &CancellationToken) -> Option<Leadership> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut load_at = Instant::now();
        loop {
            beat.beat(LIMIT);
            let refusal = match self.records.leadership() {
                term @ Leadership::Ours(_) if Instant::now() >= load_at => match self.load().await {
                    Ok(()) => return Some(term).filter(|_| !stop.is_cancelled()),
                    Err(why) => {
                        load_at = Instant::now() + STORE_AGAIN;
                        Refusal::Store(why)
                    }
                },
                Leadership::Ours(_) => Refusal::Away("it has not read yet what is kept".to_owned()),
                Leadership::Anothers => {
                    self.store.iter().for_each(Condition::met);
                    Refusal::Away("another server leads".to_owned())
                }
                Leadership::Nobodys(why) => {
                    self.store.iter().for_each(|store| store.unmet(&why));
                    Refusal::Away(why)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                _ = ticks.tick() => {}
                ask = self.asks.recv() => match ask {
                    Some(Ask::Tell(_, _, answer)) => drop(answer.send(Err(refusal))),
                    Some(Ask::Job(job)) => job.refuse(refusal),
                    None => return None,
                },
            }
        }
    }

    /// Acts, for as long as this server leads, and no other has in between.
    async fn lead(&mut self, term: &Leadership, beat: &Beat, stop: &CancellationToken) {
        let Cluster { id, services, nodes, slots, .. } = &self.cluster;
        info!(cluster = %id, services = services.len(), nodes = nodes.len(), slots = slots.len(), "cluster");
        self.sight = Sight { began: self.now(), ..Sight::default() };
        self.term = fastrand::u64(1..);
        self.announce("leads", "this server leads");
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut dirty, mut look_at) = (true, Instant::now());
        while self.records.leadership() == *term {
            beat.beat(LIMIT);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => dirty |= self.watch(),
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
            }
        }
        // Whoever still waits for orders has none from here.
        for given in std::mem::take(&mut self.given).into_values() {
            given.send_replace(Arc::default());
        }
        self.waiting.clear();
        self.meter.rest();
        self.announce("leads", "this server leads no more");
    }

    /// Reads what is kept.
    async fn load(&mut self) -> Result<(), StoreError> {
        let loaded = self.records.load().await;
        self.see_store(loaded.as_ref().map(drop));
        self.cluster = loaded?;
        self.in_doubt = false;
        Ok(())
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
                // Else what is known may not be what is kept.
                let doubt = if self.in_doubt { self.load().await.err() } else { None };
                let Some((changes, done)) = job.run(&self.view()) else { return false };
                if changes.is_empty() {
                    done(Ok(()));
                    return false;
                }
                let kept = match doubt {
                    Some(why) => Err(why),
                    None => self.keep(changes).await,
                };
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
        !lost.is_empty() || storm || self.is_time(now)
    }

    /// Whether something may be due by time alone: a lease that is over, a node that has been up for long enough.
    fn is_time(&mut self, now: Moment) -> bool {
        if now.since(self.timed) < BY_TIME_EVERY {
            return false;
        }
        self.timed = now;
        let lately = |since: Option<Moment>| since.is_some_and(|since| now.since(since) < BY_TIME_FOR);
        self.sight.nodes.values().any(|sight| lately(sight.lost_since) || lately(sight.up_since))
    }

    /// Works out what is to change, and what nodes are to be told; whether there is more to do at once.
    async fn look(&mut self) -> bool {
        if self.in_doubt && self.load().await.is_err() {
            return true;
        }
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
        // What was not answered with `Ok` may be kept all the same.
        self.in_doubt = kept.is_err();
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

    /// An event that is logged elsewhere.
    fn announce(&self, event: &'static str, why: &str) {
        drop(self.events.send(Event::now(event, "", None, why)));
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
