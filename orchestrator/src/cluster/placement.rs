//! Which node takes a replica: of those that may, the one with the fewest of its service, then the least loaded.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::model::{Admission, HostPort, Node, Partition, Reach, Service};
use super::sight::{Sight, Standing};
use super::state::{Cluster, Name};
use crate::moment::Moment;

/// How long a node on which a replica failed is tried last.
pub const AVOIDED_FOR: Duration = Duration::from_mins(10);

/// What each node has, as it is while changes are worked out.
#[derive(Debug)]
pub struct Loads<'a> {
    nodes: BTreeMap<&'a str, Load<'a>>,
}

#[derive(Debug)]
struct Load<'a> {
    node: &'a Node,
    name: &'a Name,
    up: bool,
    replicas: u32,
    ports: BTreeSet<HostPort>,
}

/// What is looked for.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The service.
    pub service: &'a Service,
    /// Where it must not be.
    pub not: Option<&'a str>,
    /// Where it is to be only if nothing else does.
    pub avoided: &'a [(Name, Moment)],
    /// How many of the service each node has.
    pub spread: &'a BTreeMap<&'a str, u32>,
    /// What time it is.
    pub now: Moment,
}

impl<'a> Loads<'a> {
    /// As things are.
    #[must_use]
    pub fn of(cluster: &'a Cluster, sight: &Sight, now: Moment) -> Self {
        let load = |(name, node): (&'a Name, &'a Node)| {
            let up = sight.standing(name, now) == Standing::Up;
            (&**name, Load { node, name, up, replicas: 0, ports: BTreeSet::new() })
        };
        let mut loads = Self { nodes: cluster.nodes.iter().map(load).collect() };
        let mut last: Option<(&Name, &[HostPort])> = None;
        for ((service, _), placed) in &cluster.slots {
            // Slots come service by service.
            let ports = match last {
                Some((name, ports)) if name == service => ports,
                _ => cluster.services.get(service).map_or(&[][..], |entry| &entry.service.host_ports),
            };
            last = Some((service, ports));
            for replica in placed {
                loads.add(&replica.node, ports);
            }
        }
        loads
    }

    /// One more is there.
    pub fn add(&mut self, node: &str, ports: &[HostPort]) {
        if let Some(load) = self.nodes.get_mut(node) {
            load.replicas += 1;
            load.ports.extend(ports);
        }
    }

    /// Whether a node could take another of this service.
    fn fits(load: &Load<'_>, service: &Service) -> Result<(), &'static str> {
        if !load.up {
            return Err("not up");
        }
        if load.node.admission != Admission::Open {
            return Err("cordoned or draining");
        }
        if service.placement.iter().any(|(key, value)| load.node.labels.get(key) != Some(value)) {
            return Err("without the labels that it wants");
        }
        if service.partition == Partition::Stop && load.node.reach != Reach::Agent {
            return Err("without an agent, which partition: stop needs");
        }
        if load.replicas >= load.node.capacity {
            return Err("full");
        }
        if service.host_ports.iter().any(|port| load.ports.contains(port)) {
            return Err("one whose port is taken");
        }
        Ok(())
    }

    /// The node that takes it; else why none does.
    ///
    /// # Errors
    /// In words: how many nodes there are of which kind that does not fit.
    pub fn pick(&self, wanted: &Wanted<'_>) -> Result<&'a Name, String> {
        let mut refusals: BTreeMap<&str, usize> = BTreeMap::new();
        let mut best: Option<&Load<'a>> = None;
        for load in self.nodes.values() {
            if wanted.not == Some(&**load.name) {
                *refusals.entry("where it is now").or_default() += 1;
                continue;
            }
            match Self::fits(load, wanted.service) {
                Err(why) => *refusals.entry(why).or_default() += 1,
                Ok(()) if best.is_none_or(|best| wanted.compare(load, best) == Ordering::Less) => best = Some(load),
                Ok(()) => {}
            }
        }
        best.map(|load| load.name).ok_or_else(|| {
            let words: Vec<_> = refusals.iter().map(|(why, count)| format!("{count} {why}")).collect();
            if words.is_empty() {
                "there are no nodes".to_owned()
            } else {
                format!("no node takes it: {}", words.join(", "))
            }
        })
    }
}

impl Wanted<'_> {
    fn compare(&self, one: &Load<'_>, other: &Load<'_>) -> Ordering {
        let avoided = |load: &Load<'_>| {
            self.avoided.iter().any(|(node, at)| node == load.name && self.now.since(*at) < AVOIDED_FOR)
        };
        let spread = |load: &Load<'_>| self.spread.get(&**load.name).copied().unwrap_or_default();
        // By how full they would be, without fractions.
        let fuller = |one: &Load<'_>, other: &Load<'_>| {
            let [full, other_full] = [(one, other), (other, one)]
                .map(|(this, that)| u64::from(this.replicas + 1) * u64::from(that.node.capacity));
            full.cmp(&other_full)
        };
        let by_spread = (avoided(one), spread(one)).cmp(&(avoided(other), spread(other)));
        by_spread.then_with(|| fuller(one, other))
    }
}
