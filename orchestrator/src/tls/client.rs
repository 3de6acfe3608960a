//! Clients by TLS: of the server, as a node, and of engines.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls::{WantsVerifier, client::WantsClientCert};
use subtle::ConstantTimeEq;

use crate::secret::sha256;

/// How long an address may take to answer.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a connection is kept that nothing is asked on: as long as the server keeps it, or shorter.
const IDLE_CONNECTION: Duration = Duration::from_mins(1);

/// A client of one server, by HTTP/1.1 and TLS alone.
pub type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// What somebody shows to be who they are.
pub struct Shows {
    /// A certificate, and what leads from it to what the other trusts.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// A node's client: it trusts this authority alone, and shows who it is.
///
/// # Errors
/// If certificate and key don't fit.
pub fn client(shows: Shows, authority: &CertificateDer<'static>) -> anyhow::Result<Https> {
    let mut tls = shown(trusting([authority.clone()])?, shows)?;
    tls.alpn_protocols = vec![super::NODES.to_vec()];
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION)
        .build(connector(tls)))
}

/// The client of a host that is no node yet: it trusts the one authority whose certificate has this hash.
pub(crate) fn joining(fingerprint: &str) -> anyhow::Result<Https> {
    let pinned = Pinned { fingerprint: fingerprint.to_owned(), provider: provider() };
    let tls = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(pinned));
    let mut tls = tls.with_no_client_auth();
    tls.alpn_protocols = vec![super::NODES.to_vec()];
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector(tls)))
}

/// What connects to an engine, by TLS alone: these authorities are trusted, and nobody else.
pub(crate) fn engine(
    authorities: Vec<CertificateDer<'static>>,
    shows: Shows,
) -> anyhow::Result<HttpsConnector<HttpConnector>> {
    Ok(connector(shown(trusting(authorities)?, shows)?))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> anyhow::Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    Ok(ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?)
}

fn trusting(
    authorities: impl IntoIterator<Item = CertificateDer<'static>>,
) -> anyhow::Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).context("no authority's certificate")?;
    }
    Ok(builder()?.with_root_certificates(roots))
}

fn shown(tls: ConfigBuilder<ClientConfig, WantsClientCert>, shows: Shows) -> anyhow::Result<ClientConfig> {
    tls.with_client_auth_cert(shows.chain, shows.key).context("certificate and key do not fit")
}

fn connector(tls: ClientConfig) -> HttpsConnector<HttpConnector> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    let mut connector = HttpsConnector::from((tcp, tls));
    connector.enforce_https();
    connector
}

/// Trusts the certificate with this hash as an authority, if the server shows it, and whom it vouches for.
#[derive(Debug)]
struct Pinned {
    fingerprint: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_pinned =
            |one: &&CertificateDer<'_>| bool::from(sha256(one).as_bytes().ct_eq(self.fingerprint.as_bytes()));
        let authority = others.iter().find(is_pinned).ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&self.provider)).build();
        let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(server, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
