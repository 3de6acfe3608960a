//! Who is who: our own certificate authority, the server's certificate by it, and those of the nodes.
//!
//! The authority is made at the first start, and is as secret as the store beside it: whoever has its key is every node.
//! Nodes make their own keys, and send a request that one was signed with; a private key never travels. A node is known
//! by its key, not by its certificate: a certificate is given anew for the same key, and nothing needs to be revoked when
//! the store no longer knows that key.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SubjectPublicKeyInfo,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::secret::{self, sha256};
use crate::tls::client::Shows;

/// The authority's file in the state folder: its key, then its certificate.
pub const AUTHORITY: &str = "authority.pem";

/// The authority's certificate alone, for clients: `curl --cacert`.
pub const AUTHORITY_CERTIFICATE: &str = "ca.pem";

/// Clocks differ: what is given now is good from a day ago.
const EARLIER: Duration = Duration::from_hours(24);

/// How long the authority lasts.
const AUTHORITY_LASTS: Duration = Duration::from_hours(20 * 365 * 24);

/// How long a certificate lasts. A node asks for the next one when a third of that is left.
pub const LASTS: Duration = Duration::from_hours(365 * 24);

/// What every certificate of ours has as its organisation, and those of nodes as its unit.
const ORGANISATION: &str = "upbeat-orchestrator";
const NODES: &str = "nodes";
const SERVERS: &str = "servers";

/// The names that reach a server from its own machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The most characters of a node's name: as a host's.
const MAX_NAME: usize = 63;

/// A node's name that can be one.
///
/// # Errors
/// With what would do, otherwise.
pub fn node_name(text: &str) -> Result<&str, String> {
    let fits = text.len() <= MAX_NAME
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if fits {
        Ok(text)
    } else {
        Err(format!(
            "a node's name has letters, digits, _ . and -, begins with one of the first two, and has {MAX_NAME} characters at most"
        ))
    }
}

/// Our certificate authority.
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Without the key.
impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authority").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// What a certificate of ours says that its holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A node.
    Node,
    /// Another server of the same authority, which may do whatever servers do among themselves.
    Server,
}

/// Whom a certificate of ours was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What its key is known by.
    pub key: String,
    /// Its key, as certificates have it.
    pub(crate) info: Vec<u8>,
}

impl Authority {
    /// Of this folder, where it is made if there is none. Blocks.
    ///
    /// # Errors
    /// If there is one that can't be read, or the folder does not take one.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(AUTHORITY);
        let text = match secret::read(&path)? {
            Some(text) => text,
            None => secret::write_once(&path, &new_authority().context("cannot make a certificate authority")?)?,
        };
        let authority =
            Self::of_pem(&text).with_context(|| format!("{}: no key and certificate of ours", path.display()))?;
        let public = folder.join(AUTHORITY_CERTIFICATE);
        if std::fs::read_to_string(&public).ok().as_ref() != Some(&authority.pem) {
            std::fs::write(&public, &authority.pem).with_context(|| format!("cannot write {}", public.display()))?;
        }
        Ok(authority)
    }

    fn of_pem(text: &str) -> anyhow::Result<Self> {
        let certificate = CertificateDer::from_pem_slice(text.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes())?;
        let key = KeyPair::try_from(&key)?;
        ensure!(peer_key(&certificate)?.1 == key.subject_public_key_info(), "the key is not the certificate's");
        let begin = text.find("-----BEGIN CERTIFICATE").context("no certificate")?;
        let pem = text[begin..].to_owned();
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, pem, issuer })
    }

    /// The SHA-256 of its certificate, in hex.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        sha256(&self.certificate)
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its certificate, as text.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A new key and a certificate for it: for this machine's own names, and these.
    ///
    /// # Errors
    /// If one of them can't be a host's name.
    pub fn server(&self, names: &[String]) -> anyhow::Result<CertifiedKey> {
        let mut all: Vec<String> = LOOPBACK.map(str::to_owned).to_vec();
        all.extend(names.iter().filter(|name| !LOOPBACK.contains(&name.as_str())).cloned());
        let mut params = lasting(CertificateParams::new(all).context("no host's name")?, LASTS);
        params.distinguished_name = named("server", None);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Ok(CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())?)
    }

    /// What a server of this authority shows to the others: a new key, and a certificate for it.
    ///
    /// # Errors
    /// If none can be made.
    pub fn server_client(&self) -> anyhow::Result<Shows> {
        let key = KeyPair::generate()?;
        let certificate = self.signed("server", SERVERS, &key)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        Ok(Shows { chain: vec![certificate.der().clone()], key })
    }

    /// A certificate for the node that made this request, and what its key is known by. Nothing else of the request
    /// counts, only that it was signed with its key.
    ///
    /// # Errors
    /// If it is none, or was not signed with its key.
    pub fn admit(&self, name: &str, request: &str) -> anyhow::Result<(String, String)> {
        let request = CertificateSigningRequestParams::from_pem(request)?;
        Ok((self.node(name, &request.public_key)?, sha256(&request.public_key.subject_public_key_info())))
    }

    /// The next certificate of a node, for the key of its last one.
    ///
    /// # Errors
    /// If its key can't be read.
    pub fn renew(&self, peer: &Peer) -> anyhow::Result<String> {
        self.node(&peer.name, &SubjectPublicKeyInfo::from_der(&peer.info)?)
    }

    fn node(&self, name: &str, key: &impl PublicKeyData) -> anyhow::Result<String> {
        node_name(name).map_err(anyhow::Error::msg)?;
        Ok(self.signed(name, NODES, key)?.pem())
    }

    /// A certificate to be shown to servers.
    fn signed(&self, name: &str, unit: &str, key: &impl PublicKeyData) -> anyhow::Result<Certificate> {
        let mut params = lasting(CertificateParams::default(), LASTS);
        params.distinguished_name = named(name, Some(unit));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer)?)
    }
}

/// What a request for a certificate is, for this key.
pub(crate) fn request(key: &KeyPair) -> anyhow::Result<String> {
    Ok(CertificateParams::default().serialize_request(key)?.pem()?)
}

/// Whose this certificate is, which has been verified already.
///
/// # Errors
/// If it is neither a node's nor a server's to show to others.
pub fn peer(certificate: &CertificateDer<'_>) -> anyhow::Result<Peer> {
    let (key, info) = peer_key(certificate)?;
    let (_, parsed) = X509Certificate::from_der(certificate).context("no certificate")?;
    let subject = parsed.subject();
    let unit = subject.iter_organizational_unit().next().and_then(|unit| unit.as_str().ok());
    let kind = match unit {
        Some(NODES) => Kind::Node,
        Some(SERVERS) => Kind::Server,
        _ => bail!("not a node's certificate"),
    };
    let name = subject.iter_common_name().next().and_then(|name| name.as_str().ok()).context("no name")?;
    Ok(Peer { kind, name: node_name(name).map_err(anyhow::Error::msg)?.to_owned(), key, info })
}

/// What a certificate's key is known by, and that key.
pub(crate) fn peer_key(certificate: &CertificateDer<'_>) -> anyhow::Result<(String, Vec<u8>)> {
    let (_, parsed) = X509Certificate::from_der(certificate).context("no certificate")?;
    let info = parsed.public_key().raw.to_vec();
    Ok((sha256(&info), info))
}

/// When a certificate ends.
pub(crate) fn ends(certificate: &CertificateDer<'_>) -> anyhow::Result<SystemTime> {
    let (_, parsed) = X509Certificate::from_der(certificate).context("no certificate")?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).context("it ended before 1970")?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn new_authority() -> anyhow::Result<String> {
    let mut params = lasting(CertificateParams::default(), AUTHORITY_LASTS);
    params.distinguished_name = named("authority", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

fn lasting(mut params: CertificateParams, time: Duration) -> CertificateParams {
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - EARLIER).into(), (now + time).into());
    params
}

fn named(name: &str, unit: Option<&str>) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::OrganizationName, ORGANISATION);
    if let Some(unit) = unit {
        named.push(DnType::OrganizationalUnitName, unit);
    }
    named.push(DnType::CommonName, name);
    named
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_authority_is_made_once_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let first = Authority::open(&state).unwrap();
        let second = Authority::open(&state).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
        let mode = std::fs::metadata(state.join(AUTHORITY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let public = std::fs::read_to_string(state.join(AUTHORITY_CERTIFICATE)).unwrap();
        assert!(public.contains("CERTIFICATE") && !public.contains("PRIVATE"), "{public}");
        std::fs::write(state.join(AUTHORITY), "x").unwrap();
        assert!(Authority::open(&state).is_err(), "one that can't be read is not replaced");
    }

    #[test]
    fn a_node_is_known_by_its_name_and_key_also_after_a_renewal() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path()).unwrap();
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let (certificate, known_by) = authority.admit("n-1", &request(&key).unwrap()).unwrap();
        let first = peer(&CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
        assert_eq!((first.name.as_str(), &first.key), ("n-1", &known_by));
        let renewed = CertificateDer::from_pem_slice(authority.renew(&first).unwrap().as_bytes()).unwrap();
        assert_eq!(peer(&renewed).unwrap(), first);
        assert!(ends(&renewed).unwrap() > SystemTime::now() + LASTS * 9 / 10);
        let (_, another) = authority.admit("n-1", &request(&other).unwrap()).unwrap();
        assert_ne!(another, known_by);
    }

    #[test]
    fn what_is_no_request_of_a_key_or_no_name_gets_no_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path()).unwrap();
        let request = request(&KeyPair::generate().unwrap()).unwrap();
        for name in ["", "-x", "a b", "a/b", &"x".repeat(64)] {
            assert!(authority.admit(name, &request).is_err(), "{name}");
        }
        let lines: Vec<_> = request.lines().collect();
        let other = self::request(&KeyPair::generate().unwrap()).unwrap();
        let last = lines.len() - 2;
        let mixed = lines.iter().zip(other.lines()).enumerate();
        let mixed: Vec<_> = mixed.map(|(n, (one, other))| if n == last { other } else { one }).collect();
        for bad in ["", "x", &request[..100], &mixed.join("\n")] {
            assert!(authority.admit("n", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_servers_own_certificate_is_not_a_nodes() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path()).unwrap();
        let server = authority.server(&["orchestrator.example".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        assert!(peer(&server.cert[0]).is_err() && peer(authority.certificate()).is_err());
        assert!(authority.server(&["a b".to_owned(), "ü".to_owned()]).is_err());
    }
}
