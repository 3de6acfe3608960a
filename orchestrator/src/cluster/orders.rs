//! What each node is to run, out of what was placed and what nodes tell: pure, as the [`schedule`](super::schedule).
//!
//! Of a slot, the replica with the highest epoch is to run, and those below it for as long as it is not ready: so at
//! least one does at any time. What may run in one place only never has two in its slot.

use std::collections::{BTreeMap, BTreeSet};
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
    let mut orders: BTreeMap<Name, Orders> = cluster.nodes.keys().map(|node| (Arc::clone(node), none())).collect();
    for ((service, _), placed) in &cluster.slots {
        let Some(entry) = cluster.services.get(service) else { continue };
        for replica in placed.iter().filter(|replica| is_to_run(entry, placed, replica, sight)) {
            let Some(orders) = orders.get_mut(&replica.node) else { continue };
            orders.replicas.push(order(service, entry, replica, sight));
            let hash = &replica.template.hash;
            if !orders.templates.contains_key(hash) {
                orders.templates.insert(hash.clone(), Arc::clone(&replica.template));
            }
        }
    }
    orders
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
        template: replica.template.hash.clone(),
        partition: entry.service.partition,
        logs: entry.service.logs.clone(),
        cure: sight.cures.contains(&replica.name),
        held: entry.held.is_some(),
    }
}

/// Which replicas may be restarted for their health now: a quarter of a service at a time, and those that may already
/// until they are well, or have been restarted in vain.
#[must_use]
pub fn cures(cluster: &Cluster, sight: &Sight) -> BTreeSet<Name> {
    let mut cures = BTreeSet::new();
    for (service, entry) in &cluster.services {
        let (mut ill, mut settling) = (Vec::new(), 0);
        for (_, placed) in cluster.slots_of(service) {
            for replica in placed {
                match sight.seen(&replica.node, &replica.name) {
                    Some(seen) if seen.settling => settling += 1,
                    Some(seen) if seen.ill.is_some() && !seen.degraded => ill.push(&replica.name),
                    _ => {}
                }
            }
        }
        // Those first that may already.
        ill.sort_by_key(|name| !sight.cures.contains(*name));
        let room = at_once(entry.wanted() as usize).saturating_sub(settling);
        cures.extend(ill.into_iter().take(room).map(Arc::clone));
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
            let same = known.is_some_and(|known| known.cluster == orders.cluster && known.replicas == orders.replicas);
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
