//! What `orchestrator agent` can be told.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use upbeat_service::settings::positive_duration;

use super::{EngineSettings, https_url};
use crate::join::Ticket;
use crate::pki::node_name;

/// Everything that an agent can be told, each as a flag or an environment variable.
#[derive(Args, Clone, Debug)]
pub struct AgentSettings {
    /// The server, by TLS: https://HOST:PORT; of several, all of them after commas
    #[arg(long, env = "SERVER", value_name = "LIST", value_delimiter = ',', required = true, value_parser = https_url)]
    pub server: Vec<String>,

    /// File with a join token: what this host becomes a node with, the first time
    #[arg(long, env = "JOIN_TOKEN_FILE", value_name = "PATH")]
    pub join_token_file: Option<PathBuf>,

    /// What the node is called; without it, as the host is
    #[arg(long, env = "NODE", value_name = "NAME")]
    pub node: Option<String>,

    /// How many containers it may run, unless the join token said so
    #[arg(long, env = "CAPACITY", default_value = "100", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub capacity: u32,

    /// What it has that others have not, besides what the join token said: KEY=VALUE, several after commas
    #[arg(long, env = "LABELS", value_name = "LIST", value_delimiter = ',', value_parser = label)]
    pub labels: Vec<(String, String)>,

    /// The engine.
    #[command(flatten)]
    pub engine: EngineSettings,

    /// Folder for the node's key and its last orders. It has secrets in it: the containers' environment
    #[arg(long, env = "STATE", default_value = "/var/lib/upbeat-orchestrator", value_name = "FOLDER")]
    pub state: PathBuf,

    /// How often everything is looked at, a tenth more or less, whatever events tell
    #[arg(long, env = "RESYNC", default_value = "30s", value_name = "DURATION", value_parser = positive_duration)]
    pub resync: Duration,
}

impl AgentSettings {
    /// What the node is called.
    ///
    /// # Errors
    /// If that can be no name.
    pub fn name(&self) -> anyhow::Result<String> {
        let name = match &self.node {
            Some(name) => name.clone(),
            None => nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
        };
        let checked = node_name(&name).map(ToOwned::to_owned);
        checked.map_err(|why| anyhow::anyhow!("--node (NODE) {name:?}: {why}"))
    }

    /// The join token. Blocks.
    ///
    /// # Errors
    /// If there is none, or the file has something else.
    pub fn ticket(&self) -> anyhow::Result<Ticket> {
        let path = self.join_token_file.as_ref();
        let path = path.context(
            "this host is no node yet: have a join token made (POST /v1/join-tokens of the server), and give its file \
             with --join-token-file (JOIN_TOKEN_FILE)",
        )?;
        let text = std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?;
        ensure!(!text.trim().is_empty(), "{} is empty", path.display());
        Ticket::parse(&text).with_context(|| path.display().to_string())
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.trim().split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as disk=ssd".to_owned()),
    }
}
