//! An endpoint with a certificate of its own.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use upbeat_consumer::Outcome;
use upbeat_consumer::handler::Http;

use super::failure;
use crate::scene::{options, outcome_of, queue_of};

/// Answers 200 to whatever it reads; returns its URL and its certificate.
async fn server() -> (String, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (cert.der().clone(), PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("https://localhost:{}/in", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let Ok(mut connection) = acceptor.accept(connection).await else { continue };
            let _ = connection.read(&mut [0; 16 * 1024]).await;
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    (url, certificate)
}

#[tokio::test]
async fn an_endpoint_whose_certificate_is_trusted_is_posted_to() {
    let (url, certificate) = server().await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let http = Http::with_roots(url.parse().unwrap(), roots).unwrap();
    assert_eq!(outcome_of(&queue_of(["x"]), options(), http).await, Outcome::Done);
}

#[tokio::test]
async fn an_endpoint_whose_certificate_is_not_trusted_is_told_nothing() {
    let (url, _) = server().await;
    let http = Http::with_roots(url.parse().unwrap(), RootCertStore::empty()).unwrap();
    let text = failure(outcome_of(&queue_of(["x"]), options(), http).await);
    assert!(text.contains("invalid peer certificate"), "{text}");
}
