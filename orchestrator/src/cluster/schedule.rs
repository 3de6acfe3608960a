//! What is to change, out of what is wanted, where it was placed and what nodes tell: a pure function.
//!
//! | a replica | `keep` | `stop` | `hold` |
//! | --- | --- | --- | --- |
//! | whose node is lost | another is placed after 10 s | once its lease and its time to stop are over | nothing |
//! | whose node drains, that is of an older revision, or that keeps failing | another is placed; the old one goes once that is ready | it goes; then another is placed | as `keep` |
//! | of a slot with a newer one | it goes once the newer one is ready | there is none | as `keep` |
//!
//! Of a service, only one replica at a time is replaced though it runs. A service with host ports is replaced in place as
//! `stop` is if there is no other node.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::model::{Admission, Node, Partition};
use super::placement::{Loads, Wanted};
use super::sight::{LOST, MARGIN, Sight, Standing};
use super::state::{Change, Cluster, Entry, Name, Placed, container_name, current};
use super::wire::{Report, Seen};
use crate::moment::Moment;

/// After so many ends and failures within ten minutes another node is tried.
pub const TROUBLES: usize = 5;

/// At most so many changes come of one look, so that none takes long; the rest comes of the next.
pub const AT_ONCE: usize = 1000;

/// A node gets no replicas of others before it has been up for so long.
const STEADY: Duration = Duration::from_secs(30);

/// What is to change, and why.
#[derive(Debug, Default)]
pub struct Decision {
    /// To be kept and applied in this order.
    pub changes: Vec<(Change, String)>,
    /// Slots that no node takes now, and why.
    pub waiting: BTreeMap<(Name, u32), String>,
    /// Slots whose replica failed where it was, and there.
    pub failed: Vec<((Name, u32), Name)>,
}

/// What is to change now.
#[must_use]
pub fn decide(cluster: &Cluster, sight: &Sight, now: Moment) -> Decision {
    let mut work = Work {
        cluster,
        sight,
        now,
        facts: cluster.nodes.iter().map(|(name, node)| (&**name, Facts::of(sight, name, node, now))).collect(),
        loads: Loads::of(cluster, sight, now),
        epoch: cluster.epoch,
        decision: Decision::default(),
    };
    for (name, entry) in &cluster.services {
        if work.decision.changes.len() >= AT_ONCE {
            break;
        }
        work.service(name, entry);
    }
    work.decision
}

struct Work<'a> {
    cluster: &'a Cluster,
    sight: &'a Sight,
    now: Moment,
    facts: HashMap<&'a str, Facts<'a>>,
    loads: Loads<'a>,
    epoch: u64,
    decision: Decision,
}

/// What is known of a node, found once: it is asked for every replica.
#[derive(Clone, Copy)]
struct Facts<'a> {
    standing: Standing,
    drains: bool,
    stormed: bool,
    report: Option<&'a Report>,
}

/// The replica in force of a slot, and how it is.
#[derive(Clone, Copy)]
struct Current<'a> {
    replica: &'a Placed,
    /// Nothing, if its node was taken out.
    facts: Option<Facts<'a>>,
    seen: Option<&'a Seen>,
}

/// A service while its slots are gone through.
struct Of<'a> {
    name: &'a Name,
    entry: &'a Entry,
    spread: BTreeMap<&'a str, u32>,
    /// Something is being replaced, or not ready: nothing else that runs is touched.
    moving: bool,
}

impl<'a> Work<'a> {
    fn service(&mut self, name: &'a Name, entry: &'a Entry) {
        let slots: Vec<(u32, &[Placed], Option<Current<'_>>)> =
            self.cluster.slots_of(name).map(|(slot, placed)| (slot, placed, self.current(placed))).collect();
        if entry.removing && slots.is_empty() {
            self.change(Change::ForgetService(Arc::clone(name)), "its last replica has gone");
            return;
        }
        let mut spread: BTreeMap<&str, u32> = BTreeMap::new();
        for current in slots.iter().filter_map(|(_, _, current)| *current) {
            *spread.entry(&current.replica.node).or_default() += 1;
        }
        let is_moving = |placed: &[Placed], current: Option<Current<'_>>| {
            placed.len() > 1 || !current.is_some_and(|current| current.is_ready())
        };
        let moving = slots.iter().any(|(_, placed, current)| is_moving(placed, *current));
        let mut of = Of { name, entry, spread, moving };
        let mut empty = 0..entry.wanted();
        for (slot, placed, current) in slots {
            if self.decision.changes.len() >= AT_ONCE {
                return;
            }
            // Slots before it that have nothing.
            for missing in empty.start..slot.min(empty.end) {
                self.fill(&mut of, missing);
            }
            empty.start = empty.start.max(slot + 1);
            self.slot(&mut of, slot, placed, current);
        }
        for missing in empty {
            if self.decision.changes.len() >= AT_ONCE {
                return;
            }
            self.fill(&mut of, missing);
        }
        self.balance(&mut of);
    }

    fn slot(&mut self, of: &mut Of<'a>, slot: u32, placed: &'a [Placed], current: Option<Current<'a>>) {
        let left = self.forget_gone(of, slot, placed);
        if slot >= of.entry.wanted() {
            for replica in placed.iter().filter(|replica| !replica.retired) {
                let why = if of.entry.removing { "its service is removed" } else { "fewer are wanted" };
                self.change(Change::Retire(Arc::clone(of.name), slot, replica.epoch), why);
            }
            return;
        }
        match current {
            Some(current) if left.contains(&current.replica.epoch) => self.keep_up(of, slot, current),
            None if left.is_empty() || !of.entry.is_exclusive() => self.fill(of, slot),
            // The next look finds the slot as it is then.
            _ => {}
        }
    }

    /// Forgets replicas that have certainly gone; gives the epochs of the others.
    fn forget_gone(&mut self, of: &Of<'a>, slot: u32, placed: &'a [Placed]) -> Vec<u64> {
        let in_force = current(placed).map(|replica| replica.epoch);
        let mut left = Vec::with_capacity(placed.len());
        for replica in placed {
            let why = if !self.facts.contains_key(&*replica.node) {
                "its node was taken out"
            } else if self.is_surely_stopped(of.entry, replica) {
                "its node is lost, and has stopped it by now"
            } else if in_force != Some(replica.epoch) && self.sight.has_gone(&replica.node, &replica.name) {
                "it has gone"
            } else {
                left.push(replica.epoch);
                continue;
            };
            self.change(Change::Forget(Arc::clone(of.name), slot, replica.epoch), why);
        }
        left
    }

    /// A node without a lease stops what may run in one place only; unless its engine hangs, and then it tells so.
    fn is_surely_stopped(&self, entry: &Entry, replica: &Placed) -> bool {
        let limit = LOST + entry.service.stop_grace + MARGIN;
        let stormed = self.facts.get(&*replica.node).is_some_and(|facts| facts.stormed);
        entry.is_exclusive() && !stormed && self.sight.silent(&replica.node, self.now) >= limit
    }

    /// The replica that is in force, which is to run where it is unless there is a reason.
    fn keep_up(&mut self, of: &mut Of<'a>, slot: u32, current: Current<'a>) {
        let Current { replica, facts: Some(facts), seen } = current else { return };
        if of.entry.held.is_some() {
            return;
        }
        let node = &*replica.node;
        if facts.standing == Standing::Lost {
            if of.entry.service.partition == Partition::Keep && !facts.stormed {
                self.place(of, slot, Some(node), &format!("{node} is lost"));
            }
            return;
        }
        if facts.drains {
            let why = format!("{node} drains");
            // With another begun first there is nothing to wait for.
            if of.entry.is_exclusive() || !self.place(of, slot, Some(node), &why) {
                self.replace(of, slot, current, Some(node), &why);
            }
        } else if seen.is_some_and(|seen| seen.troubles >= TROUBLES) {
            if self.replace(of, slot, current, Some(node), &format!("it keeps failing on {node}")) {
                self.decision.failed.push(((Arc::clone(of.name), slot), Arc::clone(&replica.node)));
            }
        } else if replica.revision < of.entry.rollout {
            self.replace(of, slot, current, None, "it is of an older revision");
        }
    }

    /// Replaces a replica that runs, one at a time. Whether that begins.
    fn replace(&mut self, of: &mut Of<'a>, slot: u32, current: Current<'a>, not: Option<&str>, why: &str) -> bool {
        // One that does not work is not waited for, nor does it wait.
        let fails = current.seen.is_some_and(Seen::fails);
        if of.moving && !fails {
            return false;
        }
        if !of.entry.is_exclusive() && self.place(of, slot, not, why) {
            return true;
        }
        // What can't run twice at a time goes first; if it must go elsewhere, only if there is an elsewhere.
        let in_place = not.is_none() && (of.entry.is_exclusive() || !of.entry.service.host_ports.is_empty());
        let elsewhere = of.entry.is_exclusive() && self.pick(of, slot, not).is_ok();
        if in_place || elsewhere {
            of.moving = true;
            self.decision.waiting.remove(&(Arc::clone(of.name), slot));
            self.change(Change::Retire(Arc::clone(of.name), slot, current.replica.epoch), why);
        }
        in_place || elsewhere
    }

    /// A slot that has nothing.
    fn fill(&mut self, of: &mut Of<'a>, slot: u32) {
        if of.entry.held.is_none() {
            self.place(of, slot, None, "it is wanted");
        }
    }

    /// Places a replica, if a node takes it.
    fn place(&mut self, of: &mut Of<'a>, slot: u32, not: Option<&str>, why: &str) -> bool {
        match self.pick(of, slot, not) {
            Ok(node) => {
                self.epoch += 1;
                let placed = Placed {
                    epoch: self.epoch,
                    name: container_name(of.name, slot, self.epoch),
                    node: Arc::clone(node),
                    revision: of.entry.revision,
                    template: Arc::clone(&of.entry.service.container),
                    retired: false,
                };
                self.loads.add(node, &of.entry.service.host_ports);
                *of.spread.entry(node).or_default() += 1;
                of.moving = true;
                self.change(Change::Place(Arc::clone(of.name), slot, placed), why);
                true
            }
            Err(why) => {
                self.decision.waiting.insert((Arc::clone(of.name), slot), why);
                false
            }
        }
    }

    fn pick(&self, of: &Of<'a>, slot: u32, not: Option<&str>) -> Result<&'a Name, String> {
        let avoided = self.sight.avoided.get(&(Arc::clone(of.name), slot)).map_or(&[][..], Vec::as_slice);
        let wanted = Wanted { service: &of.entry.service, not, avoided, spread: &of.spread, now: self.now };
        self.loads.pick(&wanted)
    }

    /// Moves one replica from the node that has the most of the service to one that has two fewer or less.
    fn balance(&mut self, of: &mut Of<'a>) {
        let steady = of.entry.held.is_none() && !of.moving && of.entry.service.partition == Partition::Keep;
        let Some((most, count)) = of.spread.iter().max_by_key(|(_, count)| **count) else { return };
        let (most, count) = (*most, *count);
        if !steady || count < 2 {
            return;
        }
        let Some((slot, _)) = self
            .cluster
            .slots_of(of.name)
            .find(|(_, placed)| current(placed).is_some_and(|replica| *replica.node == *most))
        else {
            return;
        };
        let Ok(node) = self.pick(of, slot, Some(most)) else { return };
        let has = of.spread.get(&**node).copied().unwrap_or_default();
        let up_since = self.sight.nodes.get(node).and_then(|sight| sight.up_since);
        let avoided = self.sight.avoided.get(&(Arc::clone(of.name), slot));
        let avoided = avoided.is_some_and(|nodes| nodes.iter().any(|(avoided, _)| avoided == node));
        if has + 2 <= count && !avoided && up_since.is_some_and(|since| self.now.since(since) >= STEADY) {
            self.place(of, slot, Some(most), &format!("{most} has {count} of them, {node} {has}"));
        }
    }

    fn current(&self, placed: &'a [Placed]) -> Option<Current<'a>> {
        let replica = current(placed)?;
        let facts = self.facts.get(&*replica.node).copied();
        let report = facts.and_then(|facts| facts.report);
        Some(Current { replica, facts, seen: report.and_then(|report| report.replicas.get(&*replica.name)) })
    }

    fn change(&mut self, change: Change, why: impl Into<String>) {
        self.decision.changes.push((change, why.into()));
    }
}

impl<'a> Facts<'a> {
    fn of(sight: &'a Sight, name: &Name, node: &Node, now: Moment) -> Self {
        Self {
            standing: sight.standing(name, now),
            drains: node.admission == Admission::Draining,
            stormed: sight.storm.contains(name),
            report: sight.nodes.get(name).map(|sight| &*sight.report),
        }
    }
}

impl Current<'_> {
    fn is_ready(&self) -> bool {
        self.seen.is_some_and(Seen::is_ready) && self.facts.is_some_and(|facts| facts.standing != Standing::Lost)
    }
}
