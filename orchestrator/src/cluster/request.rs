//! A service as it is asked for.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::model::{LogRule, Partition};

/// A service as it is asked for: one image and how many containers of it there are to be.
#[derive(Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRequest {
    /// Small letters, digits and dashes: what its containers are called, on their networks too.
    #[schema(example = "web", pattern = "^[a-z0-9][a-z0-9-]{0,40}$")]
    pub name: String,
    /// The image. A node that has not got it pulls it, without credentials.
    #[schema(example = "nginx:1.27")]
    pub image: String,
    /// How many containers there are to be, on all nodes together.
    #[serde(default = "one")]
    #[schema(default = 1, maximum = 10_000)]
    pub replicas: u32,
    /// What is run, instead of the image's command.
    #[schema(nullable = false)]
    pub command: Option<Vec<String>>,
    /// What the command is given to, instead of the image's entrypoint.
    #[schema(nullable = false)]
    pub entrypoint: Option<Vec<String>>,
    /// Environment variables. They are never shown again.
    #[serde(default, deserialize_with = "environment")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub env: BTreeMap<String, String>,
    /// Published ports: `8080:80`, `127.0.0.1:8080:80/udp`, or `80` for any free one. Two containers that publish the
    /// same one are never on one node.
    #[serde(default)]
    #[schema(example = json!(["8080:80"]))]
    pub ports: Vec<String>,
    /// Mounts: `name:/path` or `/folder/of/the/node:/path`, with `:ro` to read only. Each node has its own.
    #[serde(default)]
    #[schema(example = json!(["data:/var/lib/data"]))]
    pub volumes: Vec<String>,
    /// Networks by name, each of one node alone: one that a node has not got is made there, a bridge. Containers of
    /// the same node find each other there by the names of their services. `host` and `none` stand alone.
    #[serde(default)]
    pub networks: Vec<String>,
    /// How it is asked whether a container is well.
    #[schema(nullable = false)]
    pub health: Option<HealthRequest>,
    /// Where it is asked by HTTP, besides or instead.
    #[schema(nullable = false)]
    pub probe: Option<ProbeRequest>,
    /// How long a container is given to stop, before it is killed; at most `4m`.
    #[serde(default = "ten_seconds")]
    #[schema(default = "10s")]
    pub stop_grace_period: String,
    /// What it is told to stop by, instead of the image's signal.
    #[schema(nullable = false, example = "SIGINT")]
    pub stop_signal: Option<String>,
    /// What is done while a node can't be reached.
    #[serde(default)]
    pub partition: Partition,
    /// Labels that a node must have.
    #[serde(default)]
    pub placement: BTreeMap<String, String>,
    /// Which log lines restart a container.
    #[schema(nullable = false)]
    pub logs: Option<LogRule>,
    /// The user that runs it, instead of the image's.
    #[schema(nullable = false, example = "65532:65532")]
    pub user: Option<String>,
    /// The folder that it is run in, instead of the image's.
    #[schema(nullable = false)]
    pub working_dir: Option<String>,
    /// The name that a container has for itself, instead of its id.
    #[schema(nullable = false)]
    pub hostname: Option<String>,
    /// Hosts besides those of the DNS: `name:address`; the address may be `host-gateway`, the node.
    #[serde(default)]
    #[schema(example = json!(["db:10.0.0.7"]))]
    pub extra_hosts: Vec<String>,
    /// Labels of its containers.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The most memory that a container may take: `64m`, `1g`, or bytes.
    #[schema(nullable = false, example = "256m")]
    pub memory: Option<String>,
    /// How many CPUs a container may take.
    #[schema(nullable = false, example = 0.5)]
    pub cpus: Option<f64>,
    /// Whether a small init passes signals on and collects what has ended.
    #[serde(default)]
    pub init: bool,
    /// Whether its file system can't be written to.
    #[serde(default)]
    pub read_only: bool,
    /// Folders in memory: `/path`, or `/path:size=64m`.
    #[serde(default)]
    pub tmpfs: Vec<String>,
    /// Linux capabilities besides the usual ones.
    #[serde(default)]
    pub cap_add: Vec<String>,
    /// Linux capabilities that it does not get.
    #[serde(default)]
    pub cap_drop: Vec<String>,
    /// As Docker has it; `no-new-privileges:true` is a good one.
    #[serde(default)]
    pub security_opt: Vec<String>,
}

/// How it is asked whether a container is well.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthRequest {
    /// What is run in the container: a line for its shell, or a list that begins with `CMD` or `CMD-SHELL`; `["NONE"]` for
    /// none, though the image has one.
    pub test: HealthTest,
    /// How often.
    #[schema(nullable = false, example = "10s")]
    pub interval: Option<String>,
    /// How long it may take.
    #[schema(nullable = false, example = "3s")]
    pub timeout: Option<String>,
    /// After so many failures in a row it is ill.
    #[schema(nullable = false, example = 3)]
    pub retries: Option<u16>,
    /// For so long after its start failures do not count.
    #[schema(nullable = false, example = "30s")]
    pub start_period: Option<String>,
}

/// Where a container is asked by HTTP whether it is well. Any answer below 400 is a good one; after three failures in a
/// row it is ill, and it is ready once it has given a good one.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeRequest {
    /// The container's own port. On a node without an agent it is asked only if it is published.
    #[schema(example = 8080, minimum = 1)]
    pub port: u16,
    /// What is asked for there.
    #[schema(nullable = false, default = "/", example = "/health")]
    pub path: Option<String>,
    /// How often; 1s at least.
    #[schema(nullable = false, default = "10s")]
    pub interval: Option<String>,
    /// How long an answer may take; 1m at most.
    #[schema(nullable = false, default = "5s")]
    pub timeout: Option<String>,
}

/// What is run to know whether a container is well.
#[derive(Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum HealthTest {
    /// For the container's shell.
    Line(String),
    /// As Docker has it.
    Words(Vec<String>),
}

/// What is wrong with something that was asked for, and what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct FieldError {
    /// Where: `ports[1]`, `health.interval`.
    pub field: String,
    /// What is wrong, and what would do. Values of environment variables are not in it.
    pub why: String,
}

impl FieldError {
    /// This, there.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), why: why.into() }
    }
}

impl Default for HealthTest {
    fn default() -> Self {
        Self::Words(Vec::new())
    }
}

/// The environment and more that may be secret is left out.
impl fmt::Debug for ServiceRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, image, replicas, .. } = self;
        formatter
            .debug_struct("ServiceRequest")
            .field("name", name)
            .field("image", image)
            .field("replicas", replicas)
            .finish_non_exhaustive()
    }
}

const fn one() -> u32 {
    1
}

fn ten_seconds() -> String {
    "10s".to_owned()
}

/// Numbers and truth values are taken as they are written. An error shows no value, as serde's own would.
fn environment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values = BTreeMap::<String, Value>::deserialize(deserializer)
        .map_err(|_| serde::de::Error::custom("env: an object of names and strings will do"))?;
    let string = |(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(truth) => Ok((name, truth.to_string())),
        _ => Err(serde::de::Error::custom(format_args!("env.{name}: a string will do"))),
    };
    values.into_iter().map(string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_shows_a_value_of_the_environment() {
        for env in [r#"{"KEY": ["hunter2"]}"#, r#""hunter2""#, r#"["hunter2"]"#, r#"{"KEY": {"hunter2": 1}}"#] {
            let body = format!(r#"{{"name": "web", "image": "web:1", "env": {env}}}"#);
            let why = serde_json::from_str::<ServiceRequest>(&body).unwrap_err().to_string();
            assert!(why.contains("env") && !why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn numbers_and_truth_values_are_variables_too_and_unknown_fields_are_refused_by_name() {
        let body = r#"{"name": "web", "image": "web:1", "env": {"A": 1, "B": true, "C": "c"}}"#;
        let request: ServiceRequest = serde_json::from_str(body).unwrap();
        let values: Vec<_> = request.env.values().map(String::as_str).collect();
        assert_eq!(values, ["1", "true", "c"]);
        assert_eq!(request.replicas, 1);
        let body = r#"{"name": "web", "image": "web:1", "privileged": true}"#;
        let why = serde_json::from_str::<ServiceRequest>(body).unwrap_err().to_string();
        assert!(why.contains("privileged"), "{why}");
    }
}
