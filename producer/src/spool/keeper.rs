//! The one task that a spool belongs to: it acknowledges what is on the disk, hands it to the publish loop as that has
//! room, and takes out what was published.

mod intake;
mod staging;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};
use upbeat_service::Backoff;

use super::Spool;
use super::store::{Change, Failure, Store, Stored};
use crate::core::Core;
use crate::engine::queued::{Queued, Reply};
use crate::entry::Entry;
use intake::Settled;
pub(crate) use intake::{Intake, Mark, Request, Share};
use staging::Staging;

/// How many messages one transaction adds at most.
const MAX_ACCEPTED: usize = 8192;

/// How long published messages stay on the disk, at most, when no transaction comes by that takes them along.
const LAZY: Duration = Duration::from_millis(100);

/// How long a disk that failed is left alone.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The task is heard of this often, but for the disk's own time.
const TICK: Duration = Duration::from_secs(5);

/// Liveness is told this much more: an fsync on a busy network disk can take seconds.
const MARGIN: Duration = Duration::from_mins(1);

/// Everything the task knows. What the disk holds, in the order of numbers: with the publish loop, staged, and from
/// `undrawn` on only there.
struct Keeper {
    core: Arc<Core>,
    intake: Arc<Intake>,
    /// `None` while a transaction is under way.
    store: Option<Store>,
    inbox: mpsc::Receiver<Request>,
    /// More requests may come.
    open: bool,
    settled: mpsc::Receiver<Settled>,
    staging: Staging,
    /// The first message that is neither staged nor with the publish loop.
    undrawn: u64,
    /// The number of the next message.
    next: u64,
    /// Who still wants to know of messages that are not drawn yet.
    replies: HashMap<u64, Reply>,
    /// How many of these there were when those that nobody waits for were last taken out.
    replies_swept: usize,
    /// To be taken out with the next transaction, with what they cost.
    published: Vec<(u64, u64)>,
    dead: Vec<(u64, String)>,
    /// When the first of these came.
    unwritten_since: Option<Instant>,
    /// How many messages are on the disk.
    held: u64,
    /// What may be on the disk.
    limit: u64,
    failing: Option<(Instant, String)>,
    backoff: Backoff,
}

/// Runs until no more messages can come and the publish loop has ended; what is left then stays on the disk.
pub(crate) async fn keep(
    core: Arc<Core>,
    spool: Spool,
    intake: Arc<Intake>,
    inbox: mpsc::Receiver<Request>,
    engine: mpsc::Sender<Queued>,
) {
    let repaired = spool.was_repaired();
    let Spool { store, found, limit, .. } = spool;
    if found.messages > 0 || repaired {
        info!(messages = found.messages, bytes = found.cost, limit, repaired, "spool opened");
    }
    let (settled_sender, settled) = mpsc::channel(core.max_waiting());
    let keeper = Keeper {
        undrawn: found.first,
        next: store.next(),
        store: Some(store),
        inbox,
        open: true,
        settled,
        staging: Staging::new(engine, settled_sender, core.options.buffer),
        replies: HashMap::new(),
        replies_swept: 0,
        published: Vec::new(),
        dead: Vec::new(),
        unwritten_since: None,
        held: found.messages,
        limit,
        failing: None,
        backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        intake,
        core,
    };
    keeper.run().await;
}

impl Keeper {
    async fn run(mut self) {
        let core = Arc::clone(&self.core);
        let beat = core.health.task("spool", TICK + MARGIN);
        let mut requests = Vec::new();
        let mut settled = Vec::new();
        let mut any_to_settle = true;
        self.intake.condition.met();
        self.show();
        while self.open || any_to_settle {
            beat.beat(TICK + MARGIN);
            self.staging.forward(&core);
            if self.staging.is_empty() && self.undrawn < self.next && self.staging.takes_more() && self.works() {
                self.draw().await;
                continue;
            }
            let all_drawn = self.staging.is_empty() && (self.undrawn == self.next || !self.works());
            if !self.staging.takes_more() || (!self.open && all_drawn) {
                // All that can go out is with the publish loop, which ends when it has settled it; or it has ended.
                self.staging.finish();
            }
            let wake =
                self.next_write().map_or_else(|| Instant::now() + TICK, |write| write.min(Instant::now() + TICK));
            tokio::select! {
                biased;
                () = core.abandon.cancelled(), if self.staging.takes_more() => self.staging.finish(),
                () = core.closing.cancelled(), if !self.inbox.is_closed() => self.inbox.close(),
                count = self.inbox.recv_many(&mut requests, MAX_ACCEPTED), if self.open => {
                    self.open = count > 0;
                    while let Ok(one) = self.settled.try_recv() {
                        self.settle(one);
                    }
                    self.accept(std::mem::take(&mut requests)).await;
                }
                count = self.settled.recv_many(&mut settled, MAX_ACCEPTED), if any_to_settle => {
                    any_to_settle = count > 0;
                    settled.drain(..).for_each(|one| self.settle(one));
                }
                room = self.staging.room(&core), if !self.staging.is_empty() => self.staging.forward_first(room),
                () = sleep_until(wake) => {
                    if self.next_write().is_some_and(|write| write <= Instant::now()) {
                        self.write(Vec::new()).await;
                    }
                }
            }
        }
        if !self.published.is_empty() || !self.dead.is_empty() {
            self.write(Vec::new()).await;
        }
        core.counters.spooled(self.held);
        let store = self.store.take();
        // Closing writes, too.
        drop(spawn_blocking(move || drop(store)).await);
        beat.finish();
    }

    /// Whether the disk did not fail, or may be tried again.
    fn works(&self) -> bool {
        self.failing.as_ref().is_none_or(|(until, _)| *until <= Instant::now())
    }

    /// When what is published is to be taken out, if nothing else is written before.
    fn next_write(&self) -> Option<Instant> {
        let due = self.unwritten_since? + LAZY;
        Some(self.failing.as_ref().map_or(due, |(until, _)| due.max(*until)))
    }

    fn settle(&mut self, settled: Settled) {
        self.unwritten_since.get_or_insert_with(Instant::now);
        match settled {
            Settled::Published { number, cost, .. } => self.published.push((number, cost)),
            Settled::Dead { number, reason, .. } => self.dead.push((number, reason)),
        }
    }

    /// Puts messages on the disk, or refuses them all while it fails.
    async fn accept(&mut self, requests: Vec<Request>) {
        if requests.is_empty() {
            return;
        }
        if self.works() && self.failing.is_some() && self.unwritten_since.is_some() {
            // A full disk is to be emptied before it is filled again.
            self.write(Vec::new()).await;
        }
        match &self.failing {
            Some((until, reason)) if *until > Instant::now() => {
                let reason = reason.clone();
                for request in requests {
                    request.refuse(&self.core, &reason);
                }
            }
            _ => self.write(requests).await,
        }
    }

    /// One transaction, and one fsync, for all that waits.
    async fn write(&mut self, requests: Vec<Request>) {
        let (accepted, askers): (Vec<_>, Vec<_>) = requests.into_iter().map(Request::split).unzip();
        let change = Change {
            accepted,
            published: self.published.iter().map(|(number, _)| *number).collect(),
            dead: self.dead.clone(),
        };
        let first = self.next;
        let (change, done) = self
            .on_disk(move |store| {
                let done = store.change(&change);
                (change, done)
            })
            .await;
        let Change { accepted, .. } = change;
        if let Err(Failure(reason)) = done {
            self.failed(reason.clone());
            for asker in askers {
                asker.refuse(&self.core, &reason);
            }
            return;
        }
        self.worked();
        self.core.meter.accepted(accepted.len());
        self.show();
        self.next += accepted.len() as u64;
        self.held += accepted.len() as u64;
        self.held = self.held.saturating_sub((self.published.len() + self.dead.len()) as u64);
        let freed: u64 = self.published.drain(..).map(|(_, cost)| cost).sum();
        self.intake.free(freed);
        self.dead.clear();
        self.unwritten_since = None;
        for ((number, entry), asker) in (first..).zip(accepted).zip(askers) {
            let reply = asker.accept();
            self.accepted(number, entry, reply);
        }
        self.intake.show_room();
        self.sweep();
    }

    /// Straight to the publish loop, unless others are to go first or there is no room in memory.
    fn accepted(&mut self, number: u64, entry: Entry, reply: Reply) {
        let core = &self.core;
        self.staging.forward(core);
        if self.undrawn == number && self.staging.has_room_for(&entry) {
            self.undrawn += 1;
            self.staging.push(number, entry, Some(reply));
        } else if !reply.is_closed() {
            self.replies.insert(number, reply);
        }
    }

    /// Reads on where the publish loop has come to.
    async fn draw(&mut self) {
        let from = self.undrawn;
        let max_cost = self.staging.max_cost();
        match self.on_disk(move |store| store.read(from, max_cost)).await {
            Ok(stored) if stored.is_empty() => self.undrawn = self.next,
            Ok(stored) => stored.into_iter().for_each(|stored| self.drawn(stored)),
            Err(Failure(reason)) => self.failed(reason),
        }
    }

    fn drawn(&mut self, Stored { number, message }: Stored) {
        self.undrawn = number + 1;
        let reply = self.replies.remove(&number);
        let id = message.id.clone().unwrap_or_default();
        match Entry::check(message, &self.core.topic, self.core.options.default_group.as_ref()) {
            Ok(entry) => self.staging.push(number, entry, reply),
            // It was accepted for a topic that took it.
            Err(refusal) => {
                error!(%id, error = %refusal, "put aside");
                self.core.counters.refused_by_topic();
                self.settle(Settled::dead(number, refusal.to_string()));
                if let Some(reply) = reply {
                    drop(reply.send(Err(refusal.into())));
                }
            }
        }
    }

    /// What is on the disk now, for whoever watches.
    fn show(&self) {
        if let Some(store) = &self.store {
            self.core.meter.spool(store.on_disk(), self.limit);
        }
    }

    /// Lets the disk work on a thread of its own.
    async fn on_disk<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Store) -> T + Send + 'static) -> T {
        let Some(mut store) = self.store.take() else { unreachable!("one piece of work is awaited before the next") };
        let worked = spawn_blocking(move || {
            let result = work(&mut store);
            (store, result)
        });
        match worked.await {
            Ok((store, result)) => {
                self.store = Some(store);
                result
            }
            // Ours to fix, and not to be hidden: liveness shows that the task has ended.
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }

    fn worked(&mut self) {
        if self.failing.take().is_some() {
            info!("spool works again");
            self.core.meter.spool_fails(false);
            self.intake.condition.met();
        }
        self.backoff.reset();
    }

    fn failed(&mut self, reason: String) {
        if self.failing.is_none() {
            warn!(%reason, "spool fails");
            self.core.meter.spool_fails(true);
        }
        self.intake.condition.unmet(&reason);
        self.failing = Some((Instant::now() + self.backoff.next_wait(), reason));
    }

    /// Forgets who does not wait any more, each time when there are twice as many.
    fn sweep(&mut self) {
        if self.replies.len() > 2 * self.replies_swept + 1024 {
            self.replies.retain(|_, reply| !reply.is_closed());
            self.replies_swept = self.replies.len();
        }
    }
}
