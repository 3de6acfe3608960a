//! What a cluster is made of: services, and the nodes that run their replicas.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::severity::Severity;

/// What a service's containers are, and how many of them there are to be.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name: a part of its containers' names, and what they are called on their networks.
    pub name: String,
    /// How many there are to be.
    pub replicas: u32,
    /// What is done while a node can't be reached.
    pub partition: Partition,
    /// Labels that a node must have.
    pub placement: BTreeMap<String, String>,
    /// Its published ports: two replicas that have one in common can't be on one node.
    pub host_ports: Vec<HostPort>,
    /// How long a container is given to stop.
    pub stop_grace: Duration,
    /// Whose log lines restart a container, if any.
    pub logs: Option<LogRule>,
    /// How its containers are asked whether they are well, besides their health checks.
    pub probe: Option<ProbeRule>,
    /// What a container is created from: the engine's own body, without the labels that tell it from others.
    pub container: Arc<Template>,
}

/// A container's image, and the rest of what the engine is told. There are secrets in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// The image, as the engine is asked for it.
    pub image: String,
    /// The body of the engine's call to create it.
    pub body: serde_json::Value,
    /// Networks besides the first, by name.
    pub networks: BTreeMap<String, serde_json::Value>,
    /// Of all that: how many replicas there are is not in it.
    pub hash: Arc<str>,
}

/// What is done with a service while a node that runs some of it can't be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Partition {
    /// At least as many as wanted: others are begun, and when the node is back, its own are stopped.
    #[default]
    Keep,
    /// At most as many as wanted: the node stops its own when it has not heard of the server for long, and only then
    /// others are begun.
    Stop,
    /// Nothing, until a person has taken the node out.
    Hold,
}

/// A port of the node that a container takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct HostPort {
    /// Its number.
    pub port: u16,
    /// Whether it is of UDP.
    pub udp: bool,
}

/// Which log lines ask for a restart: as the settings of the same names say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogRule {
    /// Lines at or above this.
    pub severity: Severity,
    /// So many lines.
    pub lines: u16,
    /// within so many seconds,
    pub within: u32,
    /// and so many seconds after the last restart for that.
    pub cool_down: u32,
}

/// How a container is asked by HTTP whether it is well: any answer below 400 is a good one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRule {
    /// The container's own port.
    pub port: u16,
    /// What is asked for there: a path, and a query if there is one.
    pub path: String,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// A host that runs containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub reach: Reach,
    /// How many containers it may run.
    pub capacity: u32,
    /// What it has that others have not.
    pub labels: BTreeMap<String, String>,
    /// Whether it may be given more.
    pub admission: Admission,
}

/// How a node is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// An agent runs on it, and asks us.
    Agent,
    /// We ask its engine: `tcp://host:port`, or with TLS `https://host:port`.
    Engine(String),
}

/// Whether a node may be given more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// It may.
    #[default]
    Open,
    /// It keeps what it has, and is given no more.
    Cordoned,
    /// What it has goes elsewhere.
    Draining,
}

/// The environment is in it.
impl fmt::Debug for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Template").field("image", &self.image).field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, replicas, partition, container, .. } = self;
        formatter
            .debug_struct("Service")
            .field("name", name)
            .field("replicas", replicas)
            .field("partition", partition)
            .field("container", container)
            .finish_non_exhaustive()
    }
}
