//! What nodes have told, and since when they have not.
//!
//! In memory alone: a server that has just started has heard of nobody, and counts everyone's silence from its own start.
//! So whatever was promised to a node before, such as its lease, is over before anything is done about its silence.
//! Times are of a clock that nobody sets: a node whose clock is an hour off is heard as well as any other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::state::Name;
use super::wire::{Report, Seen, Stamp};
use crate::moment::Moment;

/// How often a node tells how it is, a tenth more or less.
pub const HEARTBEAT: Duration = Duration::from_secs(2);

/// After so long without a word, nothing new is placed on a node.
pub const SUSPECT: Duration = Duration::from_secs(4);

/// After so long without a word, a node is lost.
pub const LOST: Duration = Duration::from_secs(10);

/// How much longer than its lease and its containers' time to stop a node is given to have stopped them.
pub const MARGIN: Duration = Duration::from_secs(5);

/// If over a third of the nodes, of three or more, are lost within this time, it is not they who are gone.
pub const STORM: Duration = Duration::from_mins(1);

/// How one node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It tells, and its engine answers.
    Up,
    /// It has not told for a little.
    Suspect,
    /// It has not told for long, or its engine has not answered.
    Lost,
}

/// What is known of all nodes.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// When the server started.
    pub began: Moment,
    /// By node.
    pub nodes: BTreeMap<Name, NodeSight>,
    /// Nodes that were lost in a storm: what they ran is not begun elsewhere.
    pub storm: BTreeSet<Name>,
    /// Replicas that may be restarted for their health now.
    pub cures: BTreeSet<Name>,
    /// Where replicas of a slot have failed, and when: another node is tried first.
    pub avoided: BTreeMap<(Name, u32), Vec<(Name, Moment)>>,
}

/// What is known of one node.
#[derive(Clone, Debug, Default)]
pub struct NodeSight {
    /// When it told last.
    pub heard: Option<Moment>,
    /// When its engine answered last.
    pub engine_heard: Option<Moment>,
    /// Since when it has told without a gap.
    pub up_since: Option<Moment>,
    /// Since when it is lost.
    pub lost_since: Option<Moment>,
    /// What it told.
    pub report: Arc<Report>,
    /// The orders that it was given last.
    pub stamp: Stamp,
    /// The replicas that are in them.
    pub ordered: BTreeSet<Name>,
}

impl Sight {
    /// How a node is.
    #[must_use]
    pub fn standing(&self, node: &str, now: Moment) -> Standing {
        let sight = self.nodes.get(node);
        let silent = now.since(sight.and_then(|sight| sight.engine_heard).unwrap_or(self.began));
        let never = sight.is_none_or(|sight| sight.engine_heard.is_none());
        match silent {
            silent if silent >= LOST => Standing::Lost,
            silent if silent >= SUSPECT || never => Standing::Suspect,
            _ => Standing::Up,
        }
    }

    /// How long nothing was heard of the node itself, whatever its engine does.
    #[must_use]
    pub fn silent(&self, node: &str, now: Moment) -> Duration {
        let heard = self.nodes.get(node).and_then(|sight| sight.heard);
        now.since(heard.unwrap_or(self.began))
    }

    /// What a node told of a replica, if it told of it.
    #[must_use]
    pub fn seen(&self, node: &str, replica: &str) -> Option<&Seen> {
        self.nodes.get(node)?.report.replicas.get(replica)
    }

    /// Whether a replica has certainly gone from a node that is up: it goes by its newest orders, they do not have the
    /// replica, and it does not tell of it.
    #[must_use]
    pub fn has_gone(&self, node: &str, replica: &str) -> bool {
        self.nodes.get(node).is_some_and(|sight| {
            sight.report.stamp == Some(sight.stamp)
                && sight.report.engine.is_none()
                && !sight.ordered.contains(replica)
                && !sight.report.replicas.contains_key(replica)
        })
    }

    /// Takes in what a node told. Whether anything is other than before.
    pub fn tell(&mut self, node: &Name, report: Report, now: Moment) -> bool {
        let lost = self.standing(node, now) == Standing::Lost;
        let sight = self.nodes.entry(Arc::clone(node)).or_default();
        let first = sight.heard.is_none();
        sight.heard = Some(now);
        if report.engine.is_none() {
            sight.engine_heard = Some(now);
            if lost || sight.up_since.is_none() {
                sight.up_since = Some(now);
            }
            sight.lost_since = None;
        }
        let changed = *sight.report != report;
        if changed {
            sight.report = Arc::new(report);
        }
        changed || lost || first
    }

    /// Notes who is lost by now, and whether that is a storm. Gives those newly lost, and whether a storm has begun.
    pub fn watch<'a>(&mut self, nodes: impl Iterator<Item = &'a Name>, now: Moment) -> (Vec<Name>, bool) {
        let (mut newly, mut count, mut lately) = (Vec::new(), 0, Vec::new());
        for node in nodes {
            count += 1;
            let lost = self.standing(node, now) == Standing::Lost;
            let sight = self.nodes.entry(Arc::clone(node)).or_default();
            if !lost {
                self.storm.remove(node);
                continue;
            }
            if sight.lost_since.is_none() {
                (sight.lost_since, sight.up_since) = (Some(now), None);
                newly.push(Arc::clone(node));
            }
            if sight.lost_since.is_some_and(|since| now.since(since) < STORM) {
                lately.push(Arc::clone(node));
            }
        }
        let is_storm = count >= 3 && lately.len() * 3 > count;
        let begins = is_storm && self.storm.is_empty();
        if is_storm {
            self.storm.extend(lately);
        }
        (newly, begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_has_gone_only_by_the_word_of_a_node_that_goes_by_its_newest_orders() {
        let (node, mut sight): (Name, _) = ("n".into(), Sight::default());
        let newest = Stamp { term: 7, generation: 2 };
        let mut tell = |stamp: Option<Stamp>, engine: Option<&str>, replicas: &[&str], ordered: &[&str]| {
            let replicas = replicas.iter().map(|name| ((*name).to_owned(), Seen::default())).collect();
            sight.tell(&node, Report { stamp, engine: engine.map(str::to_owned), replicas }, Moment::default());
            let known = sight.nodes.get_mut(&node).unwrap();
            (known.stamp, known.ordered) = (newest, ordered.iter().map(|name| (*name).into()).collect());
            sight.has_gone("n", "web.0.1")
        };
        assert!(tell(Some(newest), None, &["web.0.2"], &["web.0.2"]));
        assert!(!tell(Some(Stamp { generation: 1, ..newest }), None, &[], &[]), "it may be about to make it");
        assert!(!tell(Some(Stamp { term: 6, ..newest }), None, &[], &[]), "those of another start of the server");
        assert!(!tell(None, None, &[], &[]));
        assert!(!tell(Some(newest), Some("hangs"), &[], &[]), "it has not looked");
        assert!(!tell(Some(newest), None, &["web.0.1"], &[]), "it is there");
        assert!(!tell(Some(newest), None, &[], &["web.0.1"]), "it is to be there");
    }
}
