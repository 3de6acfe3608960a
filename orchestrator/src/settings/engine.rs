//! Which engine, and how it is reached.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;

use crate::runtime::docker::{DockerEngine, EngineTls};

/// Which engine, and how it is reached.
#[derive(Args, Clone, Debug)]
pub struct EngineSettings {
    /// The Docker engine: `unix:///PATH`, `https://HOST:PORT` by TLS, or `tcp://HOST:PORT` without it
    #[arg(long, env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock", value_name = "ADDRESS",
        value_parser = address)]
    pub engine: String,

    /// Folder with ca.pem, by which an engine at https:// is known, and with cert.pem and key.pem, which it is shown
    #[arg(long, env = "ENGINE_TLS", value_name = "FOLDER")]
    pub engine_tls: Option<PathBuf>,
}

impl EngineSettings {
    /// The engine. Nothing is connected yet.
    #[must_use]
    pub fn open(&self) -> DockerEngine {
        DockerEngine::new(self.engine.clone(), self.engine_tls.clone().map(|folder| EngineTls { folder }))
    }

    /// What does not go together.
    ///
    /// # Errors
    /// If there is something.
    pub fn check(&self) -> anyhow::Result<()> {
        let is_https = self.engine.starts_with("https://");
        ensure!(
            is_https == self.engine_tls.is_some(),
            "--engine-tls (ENGINE_TLS) and --engine (DOCKER_HOST) https://HOST:PORT go together; the engine is {}",
            self.engine
        );
        Ok(())
    }
}

/// An engine's address.
///
/// # Errors
/// If it is none, with what would do.
pub(super) fn address(text: &str) -> Result<String, String> {
    let fits = text.strip_prefix("unix://").is_some_and(|path| path.starts_with('/')) || is_remote(text);
    let good = "write unix:///var/run/docker.sock, https://10.0.0.7:2376 or tcp://10.0.0.7:2375";
    if fits { Ok(text.to_owned()) } else { Err(good.to_owned()) }
}

/// Whether this is the address of an engine on another machine.
#[must_use]
pub fn is_remote(text: &str) -> bool {
    let uri: Option<axum::http::Uri> = text.parse().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("tcp" | "https"))
            && uri.port_u16().is_some()
            // A password would be shown with the address.
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.path() == "/"
            && uri.query().is_none()
    })
}
