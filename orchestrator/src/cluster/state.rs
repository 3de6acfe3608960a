//! What is wanted, and where it was placed: all that a server keeps, as it is in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::{Node, Partition, Service, Template};
use crate::store::Hold;

/// A service's or a node's name.
pub type Name = Arc<str>;

/// A cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Its own id: containers bear it as a label.
    pub id: String,
    /// What is wanted.
    pub services: BTreeMap<Name, Entry>,
    /// Who runs it.
    pub nodes: BTreeMap<Name, Node>,
    /// What was placed, by service and slot, each slot's replicas by their epochs.
    pub slots: BTreeMap<(Name, u32), Vec<Placed>>,
    /// The last epoch that was given: no other is ever given again.
    pub epoch: u64,
}

/// A service, and what has been done with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// What is wanted.
    pub service: Arc<Service>,
    /// Counted up by every change.
    pub revision: u64,
    /// Replicas that were placed before this revision are replaced, one at a time.
    pub rollout: u64,
    /// Somebody asked to have it left alone.
    pub held: Option<Hold>,
    /// It is to go, and is kept until its last replica has gone.
    pub removing: bool,
}

/// A replica that was placed on a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Placed {
    /// Higher than that of every replica that was placed before it.
    pub epoch: u64,
    /// Its container's name: `service.slot.epoch`.
    pub name: Name,
    /// Where.
    pub node: Name,
    /// The service's revision then.
    pub revision: u64,
    /// What it is created from.
    pub template: Arc<Template>,
    /// It is to go, whether or not there is another in its slot.
    pub retired: bool,
}

/// Something that changes what is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Change {
    /// A service is as this says.
    Service(Name, Entry),
    /// A service is gone.
    ForgetService(Name),
    /// A node is as this says.
    Node(Name, Node),
    /// A node is out, with all that was placed on it.
    ForgetNode(Name),
    /// A replica was placed in this slot.
    Place(Name, u32, Placed),
    /// A replica is to go.
    Retire(Name, u32, u64),
    /// A replica has gone.
    Forget(Name, u32, u64),
}

impl Cluster {
    /// Takes in a change that is kept.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Service(name, entry) => drop(self.services.insert(Arc::clone(name), entry.clone())),
            Change::ForgetService(name) => drop(self.services.remove(name)),
            Change::Node(name, node) => drop(self.nodes.insert(Arc::clone(name), node.clone())),
            Change::ForgetNode(name) => {
                self.nodes.remove(name);
                self.slots.retain(|_, placed| {
                    placed.retain(|replica| replica.node != *name);
                    !placed.is_empty()
                });
            }
            Change::Place(service, slot, placed) => {
                self.epoch = self.epoch.max(placed.epoch);
                let replicas = self.slots.entry((Arc::clone(service), *slot)).or_default();
                replicas.push(placed.clone());
                replicas.sort_by_key(|replica| replica.epoch);
            }
            Change::Retire(service, slot, epoch) => {
                let replicas = self.slots.get_mut(&(Arc::clone(service), *slot));
                for replica in replicas.into_iter().flatten().filter(|replica| replica.epoch == *epoch) {
                    replica.retired = true;
                }
            }
            Change::Forget(service, slot, epoch) => {
                let key = (Arc::clone(service), *slot);
                if let Some(replicas) = self.slots.get_mut(&key) {
                    replicas.retain(|replica| replica.epoch != *epoch);
                    if replicas.is_empty() {
                        self.slots.remove(&key);
                    }
                }
            }
        }
    }

    /// The slots of a service, in their order.
    pub fn slots_of<'a>(&'a self, service: &Name) -> impl Iterator<Item = (u32, &'a [Placed])> {
        let range = (Arc::clone(service), 0)..=(Arc::clone(service), u32::MAX);
        self.slots.range(range).map(|((_, slot), placed)| (*slot, placed.as_slice()))
    }
}

impl Entry {
    /// How many replicas there are to be.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        if self.removing { 0 } else { self.service.replicas }
    }

    /// Whether two of a slot may never run at the same time.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.service.partition == Partition::Stop
    }
}

/// What is in force of a slot: the one with the highest epoch, unless it is to go.
#[must_use]
pub fn current(placed: &[Placed]) -> Option<&Placed> {
    placed.last().filter(|replica| !replica.retired)
}

/// What a replica's container is called.
#[must_use]
pub fn container_name(service: &str, slot: u32, epoch: u64) -> Name {
    format!("{service}.{slot}.{epoch}").into()
}
