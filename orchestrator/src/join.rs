//! How a host becomes a node: with a join token, once, and then by its certificate.
//!
//! The token says which authority to trust, by the hash of its certificate; so nobody in between can be the server. The
//! key is made here, before anything is asked, and stays here: when the answer is lost, the same key asks again.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, bail, ensure};
use axum::http::Method;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ask::Servers;
use crate::pki::{self, LASTS};
use crate::secret::{self, sha256};
use crate::tls::client::{self, Https, Shows};

/// The node's files in its folder: its key, its certificate, the authority's certificate.
const KEY: &str = "node-key.pem";
const CERTIFICATE: &str = "node.pem";
const AUTHORITY: &str = "server-ca.pem";

/// The most bytes of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// What a host needs to become a node: a secret, and which authority to trust.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// What the server knows the hash of.
    secret: String,
    /// The SHA-256 of the authority's certificate.
    fingerprint: String,
}

impl Ticket {
    /// A new one, for nodes of this authority.
    pub(crate) fn new(fingerprint: String) -> anyhow::Result<Self> {
        Ok(Self { secret: secret::new()?, fingerprint })
    }

    /// What the server knows it by.
    pub(crate) fn hash(&self) -> String {
        sha256(self.secret.as_bytes())
    }

    /// Of this text.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let is_hex = |part: &str| part.len() == 64 && part.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        match text.trim().split_once('.') {
            Some((secret, fingerprint)) if is_hex(secret) && is_hex(fingerprint) => {
                Ok(Self { secret: secret.to_owned(), fingerprint: fingerprint.to_owned() })
            }
            _ => bail!("not a join token: two times 64 digits, with a dot between them"),
        }
    }

    /// As a person passes it on. It is a secret.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}", self.secret, self.fingerprint)
    }
}

/// Without the secret.
impl std::fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ticket").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// What a host asks to become a node.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinRequest {
    /// The join token.
    pub(crate) token: String,
    /// What the node is called.
    pub(crate) name: String,
    /// A request for a certificate, in PEM, signed with the node's key. Nothing else of it counts.
    pub(crate) csr: String,
}

/// What a node shows from then on, and whom it trusts.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Joined {
    /// The node's certificate, in PEM.
    pub(crate) certificate: String,
    /// The authority's, in PEM.
    pub(crate) ca: String,
}

/// Who a node is, and whom it trusts.
pub struct Identity {
    /// The node's name.
    pub name: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    authority: CertificateDer<'static>,
}

/// Without the key.
impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Identity {
    /// What is in this folder, if this host has joined. Blocks.
    ///
    /// # Errors
    /// If it can't be read, or does not fit together.
    pub fn load(folder: &Path) -> anyhow::Result<Option<Self>> {
        let file = |name: &str| secret::read(&folder.join(name));
        let (Some(certificate), Some(key), Some(authority)) = (file(CERTIFICATE)?, file(KEY)?, file(AUTHORITY)?) else {
            return Ok(None);
        };
        let identity = Self::new(&certificate, &key, &authority);
        identity.with_context(|| format!("{}: what is kept of this node can't be read", folder.display())).map(Some)
    }

    fn new(certificate: &str, key: &str, authority: &str) -> anyhow::Result<Self> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
        let peer = pki::peer(&certificate)?;
        ensure!(peer.key == known_by(&KeyPair::from_pem(key)?), "the certificate is for another key");
        Ok(Self {
            name: peer.name,
            certificate,
            key: PrivateKeyDer::from_pem_slice(key.as_bytes())?,
            authority: CertificateDer::from_pem_slice(authority.as_bytes())?,
        })
    }

    /// A client of the server that shows who we are.
    ///
    /// # Errors
    /// If what is kept can't be shown.
    pub fn client(&self) -> anyhow::Result<Https> {
        let shows = Shows { chain: vec![self.certificate.clone()], key: self.key.clone_key() };
        client::client(shows, &self.authority)
    }

    /// Whether it is time for the next certificate: a third of this one is left, or less.
    #[must_use]
    pub fn is_due(&self, now: SystemTime) -> bool {
        pki::ends(&self.certificate).is_ok_and(|ends| ends < now + LASTS / 3)
    }
}

/// Has this host join as a node of this name, at one of the servers, and keeps in the folder who it is from then on.
///
/// # Errors
/// If the server can't be reached, is not the one of the token, or does not take it. To try again does no harm.
pub async fn join(servers: &Servers, ticket: &Ticket, name: &str, folder: &Path) -> anyhow::Result<Identity> {
    let key = {
        let path = folder.join(KEY);
        let made = move || secret::write_once(&path, &KeyPair::generate()?.serialize_pem());
        tokio::task::spawn_blocking(made).await??
    };
    let csr = pki::request(&KeyPair::from_pem(&key).context("the node's key can't be read")?)?;
    let request = JoinRequest { token: ticket.text(), name: name.to_owned(), csr };
    let client = client::joining(&ticket.fingerprint)?;
    let joined: Joined = post(servers, &client, "/v1/join", &request).await?;
    let authority = CertificateDer::from_pem_slice(joined.ca.as_bytes()).context("no authority was sent")?;
    ensure!(sha256(&authority) == ticket.fingerprint, "the authority that was sent is not the one of the token");
    let identity = Identity::new(&joined.certificate, &key, &joined.ca).context("what was sent is no use")?;
    keep(folder, joined).await?;
    Ok(identity)
}

/// Has the next certificate made, and keeps it.
///
/// # Errors
/// If the server can't be reached, or does not know the node any more.
pub async fn renew(servers: &Servers, identity: &Identity, folder: &Path) -> anyhow::Result<Identity> {
    let client = identity.client()?;
    let joined: Joined = post(servers, &client, "/v1/join/renew", &serde_json::json!({})).await?;
    let authority = CertificateDer::from_pem_slice(joined.ca.as_bytes()).context("no authority was sent")?;
    ensure!(authority == identity.authority, "the authority that was sent is another one");
    let key = folder.join(KEY);
    let key = tokio::task::spawn_blocking(move || secret::read(&key)).await??.context("the node's key is gone")?;
    let next = Identity::new(&joined.certificate, &key, &joined.ca).context("what was sent is no use")?;
    keep(folder, joined).await?;
    Ok(next)
}

fn known_by(key: &KeyPair) -> String {
    use rcgen::PublicKeyData;
    sha256(&key.subject_public_key_info())
}

async fn keep(folder: &Path, joined: Joined) -> anyhow::Result<()> {
    let folder = folder.to_owned();
    let kept = move || {
        secret::write(&folder.join(AUTHORITY), &joined.ca)?;
        secret::write(&folder.join(CERTIFICATE), &joined.certificate)
    };
    tokio::task::spawn_blocking(kept).await?
}

async fn post<C, T>(
    servers: &Servers,
    client: &Client<C, Full<Bytes>>,
    path: &str,
    what: &impl Serialize,
) -> anyhow::Result<T>
where
    C: Connect + Clone + Send + Sync + 'static,
    T: for<'de> Deserialize<'de>,
{
    let answer = servers.ask(client, Method::POST, path, what, MAX_ANSWER).await?;
    serde_json::from_slice(&answer).with_context(|| format!("{path}: what was answered is not what was asked for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_as_it_was_written_and_nothing_else_is_one() {
        let ticket = Ticket::new(sha256(b"x")).unwrap();
        assert_eq!(Ticket::parse(&format!(" {}\n", ticket.text())).unwrap(), ticket);
        assert!(!format!("{ticket:?}").contains(&ticket.secret));
        for bad in ["", ".", &ticket.secret, &ticket.text().to_uppercase(), &ticket.text()[1..]] {
            assert!(Ticket::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_when_a_third_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let authority = pki::Authority::open(folder.path()).unwrap();
        let key = KeyPair::generate().unwrap();
        let (certificate, _) = authority.admit("n", &pki::request(&key).unwrap()).unwrap();
        let identity = Identity::new(&certificate, &key.serialize_pem(), authority.pem()).unwrap();
        let now = SystemTime::now();
        assert!(!identity.is_due(now + LASTS * 6 / 10) && identity.is_due(now + LASTS * 7 / 10));
        let other = KeyPair::generate().unwrap();
        assert!(Identity::new(&certificate, &other.serialize_pem(), authority.pem()).is_err());
    }
}
