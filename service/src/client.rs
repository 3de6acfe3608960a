//! Requests to others: a client for `http` and `https`, and what an answer says of a later try.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use bytes::Bytes;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};

/// Shorter than the keep-alive of common servers (Node.js and uvicorn: 5 s), so that a request is not sent on a
/// connection that the server is just closing.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// A client by HTTP/1.1 with a pool of connections.
pub type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that gives up a connection after this time. Certificates are checked against those that the system trusts,
/// which `SSL_CERT_FILE` and `SSL_CERT_DIR` set; where there are none, `http` works all the same. A proxy is not used,
/// whatever the environment says.
pub fn https(connect_timeout: Duration) -> anyhow::Result<Https> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    let tls = ClientConfig::builder_with_provider(default_provider().into()).with_safe_default_protocol_versions();
    let tls = tls.context("cannot set up TLS")?;
    let tls = match tls.clone().with_native_roots() {
        Ok(tls) => tls.with_no_client_auth(),
        Err(_) => tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    };
    let tls = HttpsConnectorBuilder::new().with_tls_config(tls);
    let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION)
        .build(connector))
}

/// How long to wait, if the answer says so. A time that is over says nothing: taken by its word, it would be a try
/// after another without a pause.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    let until = || httpdate::parse_http_date(value).ok()?.duration_since(now).ok();
    seconds.or_else(until).filter(|after| !after.is_zero())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_in_the_future() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let after = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_bytes(value.as_bytes()).unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(after("120"), Some(Duration::from_mins(2)));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_mins(1)));
        for nothing in
            ["0", "-1", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:00:00 GMT", "soon", "", "\u{ff}"]
        {
            assert_eq!(after(nothing), None, "{nothing}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
