//! What is to run here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::allow::{AllowList, Pattern};
use crate::cluster::model::{LogRule, ProbeRule};
use crate::cluster::wire::Stamp;
use crate::container::{Container, OURS};

/// Images that are never stopped, whatever the settings say: without the broker, the pair has nothing to work on. A pattern
/// is slow to compile.
static NEVER_STOPPED: LazyLock<Option<Pattern>> = LazyLock::new(|| "localstack/localstack".parse().ok());

/// What is to run, and what is to be left alone.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// Which containers may run, and which must.
    pub scope: Scope,
    /// Names that somebody asked to have left alone.
    pub held: BTreeSet<String>,
    /// What is left alone always.
    pub protected: Protected,
}

/// Which containers may run, and which must.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Nothing is known: the store can't be read, or the engine has not been seen yet. Nothing is started or stopped.
    Unknown(String),
    /// These must run, and nothing else may.
    Snapshot(Snapshot),
    /// These may run, and nothing else.
    Allow(AllowList),
    /// These must run, and of our cluster's nothing else may. What is not of it is left alone.
    Assigned(Arc<Assigned>),
}

/// What a cluster has given this node to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assigned {
    /// Its own id, which its containers bear as a label.
    pub cluster: String,
    /// By their containers' names.
    pub replicas: BTreeMap<String, Replica>,
    /// Which orders these are.
    pub stamp: Stamp,
    /// The server has not been heard of for long: what it would allow is decided here.
    pub alone: bool,
}

/// One replica of a service, as its node is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Of which service.
    pub service: String,
    /// What it is created from.
    pub original: Arc<Original>,
    /// Which of its log lines ask for a restart.
    pub logs: Option<LogRule>,
    /// How it is asked whether it is well.
    pub probe: Option<ProbeRule>,
    /// Whether it may run now.
    pub run: bool,
    /// Whether it may be restarted for its health now: not too many of a service at a time are, on whatever nodes.
    pub cure: bool,
    /// Somebody asked to have it left alone.
    pub held: bool,
}

/// The containers that ran when it was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By name.
    pub originals: BTreeMap<String, Original>,
    /// When it was taken, in seconds since 1970.
    pub taken: i64,
    /// Whether a restart would find it again. While not, nothing is stopped by it.
    pub stored: bool,
}

/// A container as it was when the snapshot was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Its image.
    pub image: String,
    /// What it would be created from again. It has secrets in it, and is neither shown nor logged.
    pub spec: Spec,
}

/// What a container is created from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// As the engine takes it, without networks but the first.
    pub body: Value,
    /// Networks that it is connected to before its start, by name.
    pub networks: BTreeMap<String, Value>,
    /// Of all that.
    pub hash: String,
}

/// What is left alone always.
#[derive(Clone, Debug, Default)]
pub struct Protected {
    /// Our own container's id, if we are in one.
    pub own_id: Option<String>,
    /// Names and image patterns.
    pub patterns: Vec<Pattern>,
}

impl Default for Scope {
    fn default() -> Self {
        Self::Unknown("not seen yet".to_owned())
    }
}

impl Protected {
    /// Whether this container is never touched: ourselves, and all that has our label.
    #[must_use]
    pub fn is_ours(&self, container: &Container) -> bool {
        self.own_id.as_ref() == Some(&container.id) || container.labels.contains_key(OURS)
    }

    /// Whether this container is never stopped.
    #[must_use]
    pub fn is_spared(&self, container: &Container) -> bool {
        let broker = NEVER_STOPPED.as_ref().is_some_and(|broker| broker.matches("", &container.image));
        broker || self.patterns.iter().any(|pattern| pattern.matches(&container.name, &container.image))
    }
}

/// Of what a container is created from: the body, and the networks besides the first.
#[must_use]
pub fn hash(body: &Value, networks: &BTreeMap<String, Value>) -> String {
    let text = json!([body, networks]).to_string();
    digest(&SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .take(16)
        .fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"))
}

/// Its body has the container's environment in it.
impl std::fmt::Debug for Spec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Spec").field("hash", &self.hash).finish_non_exhaustive()
    }
}
