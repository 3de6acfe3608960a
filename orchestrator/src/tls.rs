//! TLS: what the server shows and asks for, what nodes trust, and [`listener`], the secure door itself.

pub mod client;
pub mod connection;
mod doorman;
mod files;
pub mod listener;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tracing::warn;

pub use files::Files;
use files::Others;

use crate::pki::Authority;

/// By this a client says that it is a node. It is shown the certificate of our own authority then, which it has pinned,
/// whatever others are shown.
const NODES: &[u8] = b"upbeat-node";

const HTTP: &[u8] = b"http/1.1";

/// How long we show one certificate of our own authority: much shorter than it lasts.
const SHOWN_FOR: Duration = Duration::from_hours(30 * 24);

/// All certificates of a file. Blocks.
pub(crate) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let shown = path.display();
    let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.with_context(|| format!("{shown}: no certificate can be read"))?;
    anyhow::ensure!(!chain.is_empty(), "{shown}: no certificate in it");
    Ok(chain)
}

/// The private key of a file. Blocks.
pub(crate) fn private_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).with_context(|| format!("{}: no private key can be read", path.display()))
}

/// What the server shows: to nodes and, unless there is another for them, to all others, one of our own authority.
#[derive(Debug)]
struct Shown {
    authority: Arc<Authority>,
    names: Vec<String>,
    ours: Mutex<(Arc<CertifiedKey>, Instant)>,
    others: Option<Others>,
}

impl Shown {
    fn ours(&self) -> Arc<CertifiedKey> {
        let mut ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        if ours.1.elapsed() > SHOWN_FOR {
            match self.authority.server(&self.names) {
                Ok(next) => *ours = (Arc::new(next), Instant::now()),
                Err(error) => warn!(error = %format_args!("{error:#}"), "the server's certificate is not renewed"),
            }
        }
        Arc::clone(&ours.0)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_node = hello.alpn().is_some_and(|mut offered| offered.any(|name| name == NODES));
        match &self.others {
            Some(others) if !is_node => Some(others.shown()),
            _ => Some(self.ours()),
        }
    }
}

/// What the server goes by: it is reached by these names, and shows others this certificate, if it is set. Clients may
/// show a certificate, and if they do, it must be our authority's. Blocks.
///
/// # Errors
/// If a name can't be one, or the files don't fit.
pub fn server(authority: Arc<Authority>, names: Vec<String>, files: Option<&Files>) -> anyhow::Result<ServerConfig> {
    let others = files.cloned().map(Others::new).transpose()?;
    let ours = authority.server(&names).context("cannot make a certificate")?;
    let mut nodes = RootCertStore::empty();
    nodes.add(authority.certificate().clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(nodes.into(), Arc::clone(&provider));
    let verifier = verifier.allow_unauthenticated().build().context("cannot verify certificates")?;
    let shown = Shown { authority, names, ours: Mutex::new((Arc::new(ours), Instant::now())), others };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![NODES.to_vec(), HTTP.to_vec()];
    Ok(config)
}
