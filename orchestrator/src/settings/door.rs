//! How other machines reach the orchestrator: by TLS, or not at all.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use clap::builder::BoolishValueParser;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::http::Access;
use crate::pki::Authority;
use crate::tls::listener::TlsListener;
use crate::tls::{self, Files};

/// Where and as whom it is listened by TLS, and who may ask for what.
#[derive(Args, Clone, Debug, Default)]
pub struct DoorSettings {
    /// Let whoever can reach it read what runs here; else, that is open on a loopback address only
    #[arg(long, env = "PUBLIC_STATUS", value_parser = BoolishValueParser::new())]
    pub public_status: bool,

    /// Let whoever has one of the tokens in this file, one a line, do everything. Read again when it changes
    #[arg(long, env = "TOKEN_FILE", value_name = "PATH")]
    pub token_file: Option<PathBuf>,

    /// Listen by TLS here, for who has a token. A certificate authority is made in the state folder at the first start,
    /// and a first token
    #[arg(long, env = "TLS_LISTEN", value_name = "ADDRESS")]
    pub tls_listen: Option<SocketAddr>,

    /// Names and addresses by which other machines reach it; several after commas
    #[arg(long, env = "TLS_NAME", value_name = "LIST", value_delimiter = ',')]
    pub tls_name: Vec<String>,

    /// Show this certificate, with what leads to whom clients trust, instead of one of our own authority; not to nodes.
    /// Read again when it changes
    #[arg(long, env = "TLS_CERT", value_name = "PATH", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Its key
    #[arg(long, env = "TLS_KEY", value_name = "PATH", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

/// What a door opens by.
#[derive(Debug)]
pub struct Door {
    /// By whom nodes are known.
    pub authority: Arc<Authority>,
    /// Where it is.
    pub listen: SocketAddr,
    config: ServerConfig,
}

impl DoorSettings {
    /// Who may ask for what, if that listens there.
    pub fn access(&self, listen: SocketAddr) -> anyhow::Result<Access> {
        Access::new(self.public_status, self.token_file.as_deref(), listen)
    }

    /// What is needed to listen, if that is to be done; the authority is made in this folder if need be. Blocks.
    ///
    /// # Errors
    /// If something of it can't be read, kept or used.
    pub fn prepare(&self, state: &Path) -> anyhow::Result<Option<Door>> {
        let Some(listen) = self.tls_listen else { return Ok(None) };
        let authority = Arc::new(Authority::open(state)?);
        let files = self.tls_cert.clone().zip(self.tls_key.clone());
        let files = files.map(|(certificate, key)| Files { certificate, key });
        let config = tls::server(Arc::clone(&authority), self.tls_name.clone(), files.as_ref());
        let config = config.context("--tls-name, --tls-cert, --tls-key (TLS_NAME, TLS_CERT, TLS_KEY)")?;
        Ok(Some(Door { authority, listen, config }))
    }
}

impl Door {
    /// Listens.
    ///
    /// # Errors
    /// If the port can't be had.
    pub async fn open(self) -> anyhow::Result<TlsListener> {
        let Self { listen, config, .. } = self;
        let listener = TcpListener::bind(listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {listen}; see --tls-listen (TLS_LISTEN)"))?;
        Ok(TlsListener::new(listener, config)?)
    }
}
