//! What runs containers: Docker, or a simulator.

pub mod docker;
pub mod simulator;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::cluster::model::ProbeRule;
use crate::container::Container;
use crate::desired::{Original, Spec};

/// An engine that runs containers.
///
/// Every call is one try, and may hang for as long as the engine does: whoever calls sets the limit, tries again, and
/// looks at the engine afterwards, since a call that failed or was given up may have been done all the same.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Whether the engine answers.
    async fn ping(&self) -> Result<(), RuntimeError>;

    /// The ids of all containers, whatever their state.
    async fn list(&self) -> Result<Vec<String>, RuntimeError>;

    /// One container, by id; `None` if there is none.
    async fn inspect(&self, id: &str) -> Result<Option<Container>, RuntimeError>;

    /// One container as it can be created from again, by id; `None` if there is none.
    async fn describe(&self, id: &str) -> Result<Option<Original>, RuntimeError>;

    /// The ids of containers to which something has happened, as it happens, from a little before now on. Ends, or not,
    /// when the connection does.
    fn events(&self) -> BoxStream<'static, Result<String, RuntimeError>>;

    /// Starts a container; one that runs is left as it is.
    async fn start(&self, name: &str) -> Result<(), RuntimeError>;

    /// Stops a container within its own grace period; one that does not run is left as it is.
    async fn stop(&self, name: &str) -> Result<(), RuntimeError>;

    /// Stops and starts a container.
    async fn restart(&self, name: &str) -> Result<(), RuntimeError>;

    /// Takes a container away that does not run, and its volumes without a name; one that is gone is no error.
    async fn remove(&self, id: &str) -> Result<(), RuntimeError>;

    /// Creates a container, connected to its networks and labelled with the spec's hash, and does not start it.
    /// [`RuntimeError::Exists`] if there is one of this name.
    async fn create(&self, name: &str, spec: &Spec) -> Result<(), RuntimeError>;

    /// The last lines that a container printed, so many at most and [`MOST_PRINTED`] bytes; by name or id.
    async fn tail(&self, name: &str, lines: u32) -> Result<String, RuntimeError>;

    /// Asks a container by HTTP whether it is well: at its own address if the engine is on this machine, else where its
    /// port is published on the engine's.
    async fn ask(&self, container: &Container, rule: &ProbeRule) -> Result<(), NoAnswer>;

    /// The lines that a container has printed from `since` on (as the engine writes times), and goes on printing.
    fn logs(&self, id: &str, since: &str) -> BoxStream<'static, Result<LogLine, RuntimeError>>;
}

/// The most bytes of what a container printed that are read at a time.
pub const MOST_PRINTED: usize = 1 << 20;

/// A line that a container printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, in nanoseconds since 1970.
    pub nanos: i64,
    /// What, without the end of line, cut if it is very long.
    pub text: String,
}

/// Why a container is not well, as far as its probe tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It does not answer, or not well.
    Failed(String),
    /// It can't be asked from here.
    Unasked(String),
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// It can't be reached, or does not answer: try again later.
    #[error("the engine can't be reached: {0}")]
    Unreachable(String),
    /// There is no such container or image: look again.
    #[error("{0}")]
    Missing(String),
    /// There is one of this name already: look again.
    #[error("{0}")]
    Exists(String),
    /// It refuses: somebody must see to it, though it may do later.
    #[error("{0}")]
    Refused(String),
}
