//! What an engine says of a container, in our own words.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Containers with this label are of the orchestrator itself: its image has it. They are never touched.
pub const OURS: &str = "io.upbeat.orchestrator";

/// On containers that we created: the hash of what they were created from.
pub const SPEC: &str = "io.upbeat.orchestrator.spec";

/// On a cluster's containers: which cluster's. No other one's are touched.
pub const CLUSTER: &str = "io.upbeat.orchestrator.cluster";

/// On a cluster's containers: which service's.
pub const SERVICE: &str = "io.upbeat.orchestrator.service";

/// A container at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Its name, without the slash that Docker puts before it.
    pub name: String,
    /// The image, as it was asked for.
    pub image: String,
    /// What runs in it.
    pub command: Vec<String>,
    /// When it was created, as the engine writes times.
    pub created: String,
    /// What it is doing.
    pub state: State,
    /// What its own health check says.
    pub health: Health,
    /// How it ended the last time, if it did.
    pub exit_code: Option<i64>,
    /// Why it could not be started, or empty.
    pub error: String,
    /// When it was started last, as the engine writes times; empty if never. Tells one run from another.
    pub started: String,
    /// When it ended last; empty if never.
    pub finished: String,
    /// How long the last run was, if it is over.
    pub ran_for: Option<Duration>,
    /// Whether the engine itself starts it again when it ends.
    pub engine_restarts: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its published ports, as `docker ps` writes them.
    pub ports: Vec<String>,
    /// Where it can be asked.
    pub ways: Ways,
}

/// Where a container can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// It has its host's network, and answers wherever that does.
    pub host: bool,
    /// Its address on its first network, for who is on its host.
    pub own: Option<IpAddr>,
    /// Where its ports of TCP are published on its host.
    pub published: BTreeMap<u16, Vec<SocketAddr>>,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Made, and never started.
    #[default]
    Created,
    /// Running.
    Running,
    /// Frozen by somebody.
    Paused,
    /// The engine is about to start it again.
    Restarting,
    /// Being taken away.
    Removing,
    /// Ended.
    Exited,
    /// Could not be taken away.
    Dead,
}

/// What a container's own health check says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It has no check.
    #[default]
    None,
    /// The check has not said yet.
    Starting,
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
}

impl State {
    /// Whether it has processes.
    #[must_use]
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    /// Whether it could be started now.
    #[must_use]
    pub const fn is_down(self) -> bool {
        matches!(self, Self::Created | Self::Exited | Self::Dead)
    }

    /// The engine's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

impl Container {
    /// The hash of what it was created from, if we created it.
    #[must_use]
    pub fn spec(&self) -> Option<&str> {
        self.labels.get(SPEC).map(String::as_str)
    }
}
