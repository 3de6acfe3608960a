//! What each node is to run, out of what was placed and what nodes tell: pure, as the [`schedule`](super::schedule).
//!
//! Of a slot, the replica with the highest epoch is to run, and those below it for as long as it is not ready: so at
//! least one does at any time. What may run in one place only never has two in its slot.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::sight::Sight;
use super::state::{Cluster, Entry, Name, Placed, current};
use super::wire::{Order, Orders, Seen, Stamp};
use crate::moment::Moment;
use crate::plan::at_once;

/// The orders of every node, without stamps.
#[must_use]
pub fn orders(cluster: &Cluster, sight: &Sight) -> BTreeMap<Name, Orders> {
    let none = || Orders { cluster: cluster.id.clone(), ..Orders::default() };
    let mut orders: HashMap<&str, Orders> = cluster.nodes.keys().map(|node| (&**node, none())).collect();
    let mut last: Option<(&Name, &Entry)> = None;
    for ((service, _), placed) in &cluster.slots {
        // Slots come service by service.
        let entry = match last {
            Some((name, entry)) if name == service => entry,
            _ => match cluster.services.get(service) {
                Some(entry) => entry,
                None => continue,
            },
        };
        last = Some((service, entry));
        for replica in placed.iter().filter(|replica| is_to_run(entry, placed, replica, sight)) {
            let Some(orders) = orders.get_mut(&*replica.node) else { continue };
            orders.replicas.push(order(service, entry, replica, sight));
            let hash = &replica.template.hash;
            if !orders.templates.contains_key(hash) {
                orders.templates.insert(Arc::clone(hash), Arc::clone(&replica.template));
            }
        }
    }
    cluster.nodes.keys().filter_map(|node| Some((Arc::clone(node), orders.remove(&**node)?))).collect()
}

fn is_to_run(entry: &Entry, placed: &[Placed], replica: &Placed, sight: &Sight) -> bool {
    if replica.retired {
        return false;
    }
    match current(placed) {
        Some(newest) if newest.epoch == replica.epoch => true,
        Some(newest) => {
            let ready = sight.seen(&newest.node, &newest.name).is_some_and(Seen::is_ready);
            !ready && !entry.is_exclusive()
        }
        None => false,
    }
}

fn order(service: &Name, entry: &Entry, replica: &Placed, sight: &Sight) -> Order {
    Order {
        name: Arc::clone(&replica.name),
        service: Arc::clone(service),
        template: Arc::clone(&replica.template.hash),
        partition: entry.service.partition,
        logs: entry.service.logs.clone(),
        probe: entry.service.probe.clone(),
        cure: sight.cures.contains(&replica.name),
        held: entry.held.is_some(),
    }
}

/// Which replicas may be restarted for their health now: a quarter of a service at a time, and those that may already
/// until they are well, or have been restarted in vain.
#[must_use]
pub fn cures(cluster: &Cluster, sight: &Sight) -> BTreeSet<Name> {
    // Few are ill, as a rule: what nodes tell is gone through, not what was placed.
    let mut by_service: BTreeMap<&str, (Vec<Name>, usize)> = BTreeMap::new();
    for (name, seen) in sight.nodes.values().flat_map(|node| &node.report.replicas) {
        if !seen.settling && seen.ill.is_none() {
            continue;
        }
        let service = name.split('.').next().unwrap_or_default();
        let (ill, settling) = by_service.entry(service).or_default();
        if seen.settling {
            *settling += 1;
        } else if !seen.degraded {
            ill.push(name.as_str().into());
        }
    }
    let mut cures = BTreeSet::new();
    for (service, (mut ill, settling)) in by_service {
        let Some(entry) = cluster.services.get(service) else { continue };
        // Those first that may already.
        ill.sort_by_key(|name| (!sight.cures.contains(name), Arc::clone(name)));
        let room = at_once(entry.wanted() as usize).saturating_sub(settling);
        cures.extend(ill.into_iter().take(room));
    }
    cures
}

impl Sight {
    /// Takes in what nodes are to be told; gives those whose orders are other ones than before.
    pub fn order(
        &mut self,
        term: u64,
        orders: BTreeMap<Name, Orders>,
        last: &BTreeMap<Name, Arc<Orders>>,
    ) -> Vec<(Name, Arc<Orders>)> {
        let mut changed = Vec::new();
        for (node, mut orders) in orders {
            let known = last.get(&node);
            let same = known.is_some_and(|known| known.stamp.generation > 0 && known.replicas == orders.replicas);
            if same {
                continue;
            }
            let sight = self.nodes.entry(Arc::clone(&node)).or_default();
            sight.stamp = Stamp { term, generation: sight.stamp.generation + 1 };
            sight.ordered = orders.replicas.iter().map(|order| Arc::clone(&order.name)).collect();
            orders.stamp = sight.stamp;
            changed.push((node, Arc::new(orders)));
        }
        changed
    }

    /// Forgets nodes and slots that are not of the cluster any more.
    pub fn forget(&mut self, cluster: &Cluster, now: Moment) {
        self.nodes.retain(|node, _| cluster.nodes.contains_key(node));
        self.storm.retain(|node| cluster.nodes.contains_key(node));
        self.avoided.retain(|_, nodes| {
            nodes.retain(|(_, at)| now.since(*at) < super::placement::AVOIDED_FOR);
            !nodes.is_empty()
        });
    }
}
