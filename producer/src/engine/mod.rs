//! The publish loop: takes messages in, lets batches go out, and tries again what failed.
//!
//! A message's way: the loop takes it from the channel into [`waiting`], in [`plain`] for a standard topic or
//! [`groups`] for a FIFO one; with others it becomes a [`Flight`](queued::Flight), published by a [`call`] of its own;
//! what the call could not settle comes back. The [`gate`] keeps calls back while the topic can't take any, the [`pace`] while they would be too many.
//!
//! One loop owns all of this, so that nothing needs a lock, and calls run beside it on all cores.

pub(crate) mod call;
pub(crate) mod gate;
pub(crate) mod groups;
pub(crate) mod pace;
pub(crate) mod plain;
pub(crate) mod queued;
pub(crate) mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::core::Core;
use crate::publisher::{FaultKind, Publisher};
use call::Landed;
use gate::Gate;
use groups::Groups;
use pace::Pace;
use plain::Plain;
use queued::{Again, Queued};
use waiting::Waiting;

/// The loop is heard of this often, even with nothing to do.
const TICK: Duration = Duration::from_secs(5);

/// Liveness is told this much more.
const MARGIN: Duration = Duration::from_secs(10);

/// How many messages are taken in before the loop looks at what may go out.
const INTAKE: usize = 256;

/// Runs until no more messages can come and all are settled, or until they are to be abandoned.
pub(crate) async fn run<P: Publisher>(core: Arc<Core>, publisher: P, inbox: mpsc::Receiver<Queued>) {
    let max_bytes = core.topic.max_bytes;
    if core.topic.fifo {
        let groups = Groups::new(max_bytes, core.options.group_batch);
        Engine::new(core, publisher, inbox, groups).run().await;
    } else {
        Engine::new(core, publisher, inbox, Plain::new(max_bytes)).run().await;
    }
}

struct Engine<P, W> {
    core: Arc<Core>,
    publisher: Arc<P>,
    inbox: mpsc::Receiver<Queued>,
    /// Messages may still come.
    open: bool,
    /// The producer is to end.
    closing: bool,
    waiting: W,
    gate: Gate,
    pace: Pace,
    /// During an outage, when a waiting message is next to be given up.
    next_to_give_up: Option<Instant>,
    calls: JoinSet<Landed>,
}

impl<P: Publisher, W: Waiting> Engine<P, W> {
    fn new(core: Arc<Core>, publisher: P, inbox: mpsc::Receiver<Queued>, waiting: W) -> Self {
        Self {
            publisher: Arc::new(publisher),
            inbox,
            open: true,
            closing: false,
            waiting,
            gate: Gate::new(core.options.retry_for),
            pace: Pace::new(core.options.rate),
            core,
            next_to_give_up: None,
            calls: JoinSet::new(),
        }
    }

    async fn run(mut self) {
        let core = Arc::clone(&self.core);
        let beat = core.health.task("publish loop", TICK + MARGIN);
        let mut heard = Instant::now();
        let mut arrivals = Vec::with_capacity(INTAKE);
        let timer = sleep_until(heard);
        tokio::pin!(timer);
        while self.open || !self.waiting.is_empty() || !self.calls.is_empty() {
            let now = Instant::now();
            if now >= heard + TICK {
                beat.beat(TICK + MARGIN);
                heard = now;
            }
            self.waiting.wake(now);
            self.give_up_overdue(now);
            self.leave_to_the_spool();
            self.launch(now);

            let wake = self.next_event(now).map_or(heard + TICK, |event| event.min(heard + TICK));
            if timer.deadline() != wake {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                biased;
                () = core.abandon.cancelled() => break,
                () = core.closing.cancelled(), if !self.closing => {
                    self.closing = true;
                    // A spool goes on sending what it holds.
                    if !core.spooled {
                        self.inbox.close();
                    }
                }
                Some(landed) = self.calls.join_next() => self.landed(landed),
                count = self.inbox.recv_many(&mut arrivals, INTAKE), if self.open => {
                    self.open = count > 0;
                    core.counters.taken(count);
                    arrivals.drain(..).for_each(|queued| self.waiting.push(queued));
                }
                () = &mut timer => {}
            }
        }
        self.end().await;
        beat.finish();
    }

    /// Lets batches go: a full one at once, one that is not full when nothing else is under way, when its oldest
    /// message has lingered, or when no more messages will come.
    fn launch(&mut self, now: Instant) {
        let limit = self.gate.limit(now, self.core.options.max_in_flight);
        while self.calls.len() < limit && self.pace.opens_at(now).is_none() {
            let linger = self.core.options.linger;
            let lingered = || self.waiting.oldest().is_some_and(|taken| taken + linger <= now);
            if !(self.calls.is_empty() || self.inbox.is_closed() || self.waiting.fills_a_batch() || lingered()) {
                break;
            }
            let flight = self.waiting.take();
            if flight.is_empty() {
                break;
            }
            self.pace.left(now, flight.pending.len());
            // Boxed: ten messages are moved once, and not with every future that has them.
            let flight = Box::new(flight);
            self.calls.spawn(call::publish(Arc::clone(&self.core), Arc::clone(&self.publisher), flight));
        }
    }

    /// When there is something to do even if no message arrives and no call lands.
    fn next_event(&self, now: Instant) -> Option<Instant> {
        let paced = self.pace.opens_at(now);
        let may_leave = paced.is_none() && self.calls.len() < self.gate.limit(now, self.core.options.max_in_flight);
        let lingered = self.waiting.oldest().filter(|_| may_leave).map(|taken| taken + self.core.options.linger);
        let opens = self.gate.opens_at(now).filter(|_| !self.waiting.is_empty());
        let paced = paced.filter(|_| !self.waiting.is_empty());
        [lingered, opens, paced, self.waiting.next_wake(), self.next_to_give_up].into_iter().flatten().min()
    }

    fn landed(&mut self, landed: Result<Landed, tokio::task::JoinError>) {
        let landed = match landed {
            Ok(landed) => landed,
            // Ours to fix, and not to be hidden: liveness shows that the loop has ended.
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            Err(_cancelled) => return,
        };
        let now = Instant::now();
        match &landed.result {
            Err(fault) if fault.kind != FaultKind::Refused => {
                self.gate.failed(now, &fault.reason);
                if fault.kind == FaultKind::Unavailable {
                    self.core.condition.unmet(&fault.reason);
                }
            }
            // A refusal is an answer, too.
            _ => {
                if self.gate.succeeded() {
                    self.core.condition.met();
                }
            }
        }
        self.core.meter.gate(self.gate.is_closed());
        let mut again = Vec::with_capacity(landed.unsettled.len());
        for (queued, reason) in landed.unsettled {
            self.core.meter.retried();
            again.extend(self.try_again(queued, landed.result.as_ref().err().map(|fault| fault.kind), reason, now));
        }
        self.waiting.put_back(&landed.groups, again);
        self.next_to_give_up = self.first_to_give_up();
    }

    /// Decides whether and when a message is tried again, after its call failed as a whole in this way, or its own
    /// entry did.
    fn try_again(&self, mut queued: Queued, call: Option<FaultKind>, reason: String, now: Instant) -> Option<Again> {
        if call == Some(FaultKind::Refused) {
            queued.pending.alone = true;
            return Some(Again { queued, not_before: None });
        }
        let since = self.gate.held_up_since(&queued.pending).unwrap_or(now);
        queued.pending.failing_since = Some(since);
        let end = self.core.options.retry_for.and_then(|retry_for| since.checked_add(retry_for));
        if end.is_some_and(|end| end <= now) {
            queued.give_up(&self.core, reason, now - since);
            return None;
        }
        // After a failed call the gate makes all wait together. An entry that failed alone rests alone, and has a last
        // try when its time is up.
        let not_before = call.is_none().then(|| {
            let rested = now + queued.pending.backoff.next_wait();
            end.map_or(rested, |end| rested.min(end))
        });
        Some(Again { queued, not_before })
    }

    /// During an outage, messages that wait have no try of their own to fail by.
    fn give_up_overdue(&mut self, now: Instant) {
        if self.next_to_give_up.is_none_or(|instant| instant > now) {
            return;
        }
        let gate = &self.gate;
        let overdue = |queued: &Queued| gate.gives_up_at(&queued.pending).is_some_and(|end| end <= now);
        for queued in self.waiting.take_out(overdue) {
            let tried_for = gate.held_up_since(&queued.pending).map_or(Duration::ZERO, |since| now - since);
            queued.give_up(&self.core, gate.reason().to_owned(), tried_for);
        }
        self.next_to_give_up = self.first_to_give_up();
    }

    /// Only during an outage do messages run out of time while they wait. Looks at every one of them.
    fn first_to_give_up(&self) -> Option<Instant> {
        if !self.gate.is_closed() {
            return None;
        }
        self.waiting.earliest(|queued| self.gate.gives_up_at(&queued.pending))
    }

    /// What can't go out now is safe on the disk, and an outage is no reason to hold up a stop.
    fn leave_to_the_spool(&mut self) {
        if self.core.spooled && self.closing && self.gate.is_closed() {
            self.inbox.close();
            self.waiting.drain().into_iter().for_each(|queued| queued.abandon(&self.core));
        }
    }

    /// Calls see for themselves that they are to be abandoned.
    async fn end(mut self) {
        self.inbox.close();
        while self.calls.join_next().await.is_some() {}
        self.waiting.drain().into_iter().for_each(|queued| queued.abandon(&self.core));
        while let Some(queued) = self.inbox.recv().await {
            self.core.counters.taken(1);
            queued.abandon(&self.core);
        }
    }
}
