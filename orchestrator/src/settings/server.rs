//! What `orchestrator server` can be told.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::{DoorSettings, https_url};
use crate::cluster::compose::{Composed, Source, read};

/// Everything that a server can be told, each as a flag or an environment variable.
#[derive(Args, Clone, Debug)]
pub struct ServerSettings {
    /// Folder for what is wanted and where it was placed. It has secrets in it: the containers' environment
    #[arg(long, env = "STATE", default_value = "/var/lib/upbeat-orchestrator", value_name = "FOLDER")]
    pub state: PathBuf,

    /// Have the services of this Compose file, besides those that are asked for by HTTP. Read again when it changes
    #[arg(long, env = "CONFIG", value_name = "PATH")]
    pub config: Option<PathBuf>,

    /// Folder with ca.pem, by which engines at https:// are known, and with cert.pem and key.pem, which they are shown
    #[arg(long, env = "ENGINE_TLS", value_name = "FOLDER")]
    pub engine_tls: Option<PathBuf>,

    /// Be one of several servers, of which a majority keeps everything: the others, agents and clients reach this one here,
    /// https://HOST:PORT
    #[arg(long, env = "ADVERTISE", value_name = "URL", value_parser = https_url, requires = "tls_listen")]
    pub advertise: Option<String>,

    /// Join the servers of which one is here, with their authority.pem in --state; without it, this is the first one
    #[arg(long, env = "JOIN", value_name = "URL", value_parser = https_url, requires = "advertise")]
    pub join: Option<String>,

    /// How other machines reach it, and who may ask for what.
    #[command(flatten)]
    pub door: DoorSettings,
}

impl ServerSettings {
    /// What the Compose file says, if there is one. Blocks.
    ///
    /// # Errors
    /// If it can't be read, or says what can't be: each line that is wrong.
    pub fn composed(&self) -> anyhow::Result<Option<Composed>> {
        let Some(path) = &self.config else { return Ok(None) };
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("{shown} can't be read"))?;
        // As Compose calls it: after the folder.
        let folder = path.canonicalize().ok().and_then(|path| path.parent()?.file_name().map(ToOwned::to_owned));
        let folder = folder.unwrap_or_default().to_string_lossy().to_lowercase();
        let project: String = folder.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        let project = if project.is_empty() { "upbeat" } else { project.as_str() };
        let variables = |name: &str| std::env::var(name).ok();
        Ok(Some(read(&Source { file: &shown, text: &text, project, variables: &variables })?))
    }
}
