//! The loop: look, plan, act, again and again.
//!
//! It is level-triggered: whatever woke it, it looks at what is, works out what is to be done now, and begins that, up to
//! four things at a time and one to a container. What it did not get to, what failed, and what it was never told of is
//! found again by the next pass; the next full look is 30 s away at most.

mod act;
mod hear;
mod look;
mod tell;

pub(crate) use tell::{is_ours, word};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use upbeat_service::Health;
use upbeat_service::readiness::Condition;

use crate::allow::AllowList;
use crate::desired::{Assigned, Desired, Protected, Scope, Snapshot};
use crate::marks::{Left, Marks};
use crate::meter::Meter;
use crate::moment::Moment;
use crate::picture::{Event, Picture};
use crate::plan::{Observed, plan};
use crate::probers::Probers;
use crate::readers::Readers;
use crate::runtime::Runtime;
use crate::store::{Kept, Store};

/// How many things are done at a time.
pub const AT_ONCE: usize = 4;

/// How often a store that did not work is tried again.
const STORE_AGAIN: Duration = Duration::from_secs(5);

/// How long things that have begun may go on after a stop. An engine does what it was asked anyway.
const GRACE: Duration = Duration::from_secs(5);

/// How much longer than the time to the next resync a pass may take before the loop counts as stuck: looks that time
/// out one after the other.
const PASS_LIMIT: Duration = Duration::from_mins(2);

/// How many events a listener may be behind.
const EVENTS: usize = 256;

/// What the loop does.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether it does anything, or only says what it would do.
    pub enforce: bool,
    /// The allow list; without one, the snapshot decides.
    pub allow: Option<AllowList>,
    /// What the cluster has given to this node, if it is one's; then that decides. Who changes it leaves a mark.
    pub assigned: Option<watch::Receiver<Option<Arc<Assigned>>>>,
    /// What is left alone.
    pub protected: Protected,
    /// How often everything is looked at, a tenth more or less.
    pub resync: Duration,
}

/// The loop's parts that others share: where to leave marks, and what it last saw.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What has changed.
    pub marks: Arc<Marks>,
    /// What was last seen and decided.
    pub picture: watch::Receiver<Arc<Picture>>,
    /// What happens.
    pub events: broadcast::Sender<Event>,
}

/// Conditions of readiness that the loop knows of.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Whether the engine answers.
    pub engine: Condition,
    /// Whether what is wanted can be read and kept.
    pub store: Condition,
}

/// The loop.
pub struct Control {
    options: Options,
    runtime: Arc<dyn Runtime>,
    store: Arc<dyn Store>,
    readers: Readers,
    probers: Probers,
    shared: Shared,
    publish: watch::Sender<Arc<Picture>>,
    conditions: Option<Conditions>,
    meter: Meter,
    began: Instant,
    engine: Result<(), String>,
    seen: bool,
    kept: Option<Kept>,
    kept_version: Option<u64>,
    desired: Desired,
    observed: Observed,
    told: BTreeMap<String, String>,
    acting: JoinSet<()>,
    resync_at: Instant,
    store_at: Option<Instant>,
    store_works: bool,
}

impl Control {
    /// A loop that has not begun.
    #[must_use]
    pub fn new(options: Options, runtime: Arc<dyn Runtime>, store: Arc<dyn Store>, readers: Readers) -> Self {
        let (publish, picture) = watch::channel(Arc::default());
        let shared = Shared { marks: Arc::default(), picture, events: broadcast::Sender::new(EVENTS) };
        let desired = Desired { protected: options.protected.clone(), ..Desired::default() };
        Self {
            options,
            runtime,
            store,
            readers,
            probers: Probers::default(),
            shared,
            publish,
            conditions: None,
            meter: Meter::default(),
            began: Instant::now(),
            engine: Err("not reached yet".to_owned()),
            seen: false,
            kept: None,
            kept_version: None,
            desired,
            observed: Observed::default(),
            told: BTreeMap::new(),
            acting: JoinSet::new(),
            resync_at: Instant::now(),
            store_at: None,
            store_works: false,
        }
    }

    /// Shows these conditions.
    #[must_use]
    pub fn conditions(mut self, conditions: Conditions) -> Self {
        self.conditions = Some(conditions);
        self
    }

    /// Counts here.
    #[must_use]
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meter = meter;
        self
    }

    /// What others share.
    #[must_use]
    pub fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// Runs until `stop`, then lets what has begun end, for a few seconds.
    pub async fn run(mut self, health: Health, stop: CancellationToken) {
        let limit = self.options.resync * 2 + PASS_LIMIT;
        let beat = health.task("loop", limit);
        self.load().await;
        let marks = Arc::clone(&self.shared.marks);
        loop {
            beat.beat(limit);
            let next = self.pass().await;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = marks.changed() => {}
                () = sleep_until(next) => {}
                // What was done has left a mark, unless it panicked; then nobody would know of it, so we end too.
                Some(ended) = self.acting.join_next() => if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                },
            }
        }
        beat.finish();
        self.readers.stop();
        self.probers.stop();
        let _ = tokio::time::timeout(GRACE, async { while self.acting.join_next().await.is_some() {} }).await;
    }

    /// One pass; gives the time of the next one, if nothing else comes.
    async fn pass(&mut self) -> Instant {
        let Left { mut dirty, mut all, reload, engine, done, probes, answers, alarms, retake } =
            self.shared.marks.take();
        for (action, ended) in done {
            self.finish(&action, ended, &mut dirty);
        }
        if let Some(engine) = engine {
            self.see_engine(engine);
        }
        let resync = Instant::now() >= self.resync_at;
        if resync {
            all = true;
            let about = self.options.resync.mul_f64(0.2f64.mul_add(fastrand::f64(), 0.9));
            self.resync_at = Instant::now() + about;
        }
        if reload || resync || self.store_at.is_some_and(|at| Instant::now() >= at) {
            self.reload().await;
        }
        self.take_orders();
        if self.engine.is_ok() {
            self.look(dirty, all).await;
        }
        let now = self.now();
        for (name, failure) in probes {
            self.observed.history.entry(name).or_default().probed(failure);
        }
        self.hear_answers(answers);
        self.hear(alarms);
        if self.seen && self.engine.is_ok() {
            self.take_first_snapshot().await;
        }
        for answer in retake {
            let taken = self.retake().await;
            // Whoever asked may be gone.
            drop(answer.send(taken));
        }
        self.see(now);
        let decided = plan(&self.desired, &self.observed, now);
        self.tell_of(&decided);
        if self.seen && self.engine.is_ok() && self.options.enforce {
            for action in decided.actions() {
                self.begin(action);
            }
        }
        self.readers.follow(&self.runtime, &self.shared.marks, &self.desired, &decided, &self.observed);
        self.probers.follow(&self.runtime, &self.shared.marks, &self.desired, &self.observed);
        self.meter.see(&decided, &self.observed);
        let next = decided.next().map(|due| self.began + due.0);
        self.show(decided, now);
        [next, self.store_at].into_iter().flatten().fold(self.resync_at, Instant::min).max(Instant::now() + SHORTEST)
    }

    fn now(&self) -> Moment {
        Moment(self.began.elapsed())
    }

    /// Shows what was seen and decided to whoever asks.
    fn show(&self, plan: crate::plan::Plan, at: Moment) {
        let picture = Picture {
            desired: self.desired.clone(),
            holds: self.kept.as_ref().map(|kept| kept.holds.clone()).unwrap_or_default(),
            observed: self.observed.clone(),
            plan,
            at,
            engine: self.engine.as_ref().err().cloned(),
            seen: self.seen,
        };
        self.publish.send_replace(Arc::new(picture));
        // Whoever waits for readiness finds what was seen, and what is wanted.
        let Some(conditions) = &self.conditions else { return };
        if self.seen && self.engine.is_ok() {
            conditions.engine.met();
        }
        if self.store_works && !matches!(self.desired.scope, Scope::Unknown(_)) {
            conditions.store.met();
        }
    }

    /// Reads what is kept, and works out what is wanted.
    async fn load(&mut self) {
        // The version first: what is written between the two is then read again.
        let version = self.store.version().await;
        match self.store.load().await {
            Ok(kept) => {
                self.store_at = None;
                self.kept_version = version.ok();
                self.see_store(Ok(()));
                self.want(&kept);
                self.kept = Some(kept);
            }
            Err(error) => {
                self.store_at = Some(Instant::now() + STORE_AGAIN);
                if self.kept.is_none() {
                    // What is wanted may be something else than the settings say.
                    self.desired.scope = Scope::Unknown(error.to_string());
                }
                self.see_store(Err(&error));
            }
        }
    }

    /// As [`load`](Self::load), if something else may be kept by now.
    async fn reload(&mut self) {
        let version = self.store.version().await;
        if self.store_at.is_none() && version.as_ref().ok() == self.kept_version.as_ref() && version.is_ok() {
            return;
        }
        self.load().await;
    }

    fn want(&mut self, kept: &Kept) {
        if self.options.assigned.is_some() {
            self.take_orders();
            return;
        }
        self.desired.held = kept.held();
        self.desired.scope = match (&self.options.allow, &kept.allow, &kept.snapshot) {
            // What was said last counts: a list that was put, until the setting says something else than it did then.
            (Some(setting), Some((list, then)), _) if then == setting => Scope::Allow(list.clone()),
            (Some(setting), _, _) => Scope::Allow(setting.clone()),
            (None, _, Some(snapshot)) => Scope::Snapshot(snapshot.clone()),
            (None, _, None) => match std::mem::take(&mut self.desired.scope) {
                // One that could not be kept yet.
                Scope::Snapshot(snapshot) => Scope::Snapshot(Snapshot { stored: false, ..snapshot }),
                _ => Scope::Unknown("the engine has not been seen yet".to_owned()),
            },
        };
    }

    /// What the cluster has given to this node counts from the next pass on.
    fn take_orders(&mut self) {
        let Some(assigned) = &mut self.options.assigned else { return };
        let Some(orders) = assigned.borrow_and_update().clone() else { return };
        let held = orders.replicas.iter().filter(|(_, replica)| replica.held);
        self.desired.held = held.map(|(name, _)| name.clone()).collect();
        self.desired.scope = Scope::Assigned(orders);
    }

    /// Takes what was seen into the histories of all but those to which something is being done.
    fn see(&mut self, now: Moment) {
        if !self.seen || self.engine.is_err() {
            return;
        }
        let mut names: BTreeSet<String> = self.observed.containers.keys().cloned().collect();
        if let Scope::Snapshot(snapshot) = &self.desired.scope {
            names.extend(snapshot.originals.keys().cloned());
        }
        if let Scope::Assigned(assigned) = &self.desired.scope {
            for name in assigned.replicas.keys() {
                if !self.observed.containers.contains_key(name) {
                    self.observed.history.entry(name.clone()).or_default().begin(now);
                }
                names.insert(name.clone());
            }
        }
        self.observed.history.retain(|name, _| names.contains(name));
        for name in names {
            if self.observed.busy.contains_key(&name) {
                continue;
            }
            let container = self.observed.containers.get(&name);
            let history = self.observed.history.entry(name.clone()).or_default();
            let was_down = history.down.clone();
            if let Scope::Assigned(assigned) = &self.desired.scope {
                let probe = assigned.replicas.get(&name).and_then(|replica| replica.probe.as_ref());
                history.has_probe(probe.is_some());
            }
            history.see(container, now, fastrand::f64().mul_add(2.0, -1.0));
            if let Some(down) = history.down.clone().filter(|down| Some(down) != was_down.as_ref()) {
                self.tell_down(&name, &down, now);
            }
        }
    }
}

/// A pass is never followed by another at once, whatever the clock's grain.
const SHORTEST: Duration = Duration::from_millis(1);
