//! The handler that posts each message to an HTTP endpoint.

mod answer;
mod headers;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use http_body_util::Full;
use hyper_rustls::builderstates::WantsSchemes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tracing::info;

use super::Handler;
use crate::message::{Message, Payload};
use crate::outcome::Outcome;
pub use headers::PREFIX;
pub use upbeat_service::endpoint::{Endpoint, InvalidEndpoint};

/// How long an endpoint may take to answer, if not told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Shorter than the keep-alive of common servers (Node.js and uvicorn: 5 s), so that a request is not sent on a
/// connection that the server is just closing.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

const AGENT: HeaderValue = HeaderValue::from_static(concat!("upbeat-consumer/", env!("CARGO_PKG_VERSION")));

/// Posts the body of each message to an endpoint and goes by the answer.
///
/// | answer | outcome |
/// | --- | --- |
/// | 2xx | done, whatever becomes of the answer's body |
/// | 429 or 503 with `Retry-After` in seconds or as a date, in the future | [`Outcome::Retry`] after that |
/// | another 4xx, but for 408, 425 and 429, which say that a later try may do | [`Outcome::Reject`] if [asked](Self::reject), else [`Outcome::Failed`] |
/// | anything else, redirects too: they are not followed | [`Outcome::Failed`] |
/// | none in time, or no connection | [`Outcome::Failed`] |
///
/// The beginning of the answer's body is in the text of a failure or rejection. When the message is
/// [cancelled](Message::cancellation), the request is dropped and its connection closed.
///
/// # Headers
///
/// `upbeat-id` (the sender's own id), `upbeat-message-id` (of SQS), `upbeat-attempt`, `upbeat-group` if there is one,
/// `upbeat-first-received` (RFC 3339), and `upbeat-attribute-NAME` for each attribute. In texts, `%`, control characters,
/// spaces at either end and all that is not ASCII are percent-encoded UTF-8; binary attributes are in base64.
///
/// `content-type` is the attribute of that name, however it is capitalised; without it `application/json` for a body that
/// begins with `{` or `[`, `text/plain; charset=utf-8` for others. `traceparent` and `tracestate` name the span in
/// which the message is handled, or without traces are the attributes of these names. A proxy is not used, whatever the environment says.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: Endpoint,
    timeout: Duration,
    reject: bool,
}

impl Http {
    /// Posts to this endpoint. Its certificate, if it has one, is checked against those that the system trusts,
    /// which `SSL_CERT_FILE` and `SSL_CERT_DIR` set; `Err` if there are none.
    pub fn new(endpoint: Endpoint) -> anyhow::Result<Self> {
        if !endpoint.is_https() {
            return Self::with_roots(endpoint, RootCertStore::empty());
        }
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(default_provider());
        let builder = builder
            .context("cannot load the certificates that the system trusts; SSL_CERT_FILE names a file of others")?;
        Ok(Self::over(endpoint, builder))
    }

    /// Posts to this endpoint, whose certificate is checked against these.
    pub fn with_roots(endpoint: Endpoint, roots: RootCertStore) -> anyhow::Result<Self> {
        let tls = ClientConfig::builder_with_provider(default_provider().into()).with_safe_default_protocol_versions();
        let tls = tls.context("cannot set up TLS")?.with_root_certificates(roots).with_no_client_auth();
        Ok(Self::over(endpoint, HttpsConnectorBuilder::new().with_tls_config(tls)))
    }

    fn over(endpoint: Endpoint, tls: HttpsConnectorBuilder<WantsSchemes>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .build(connector);
        Self { client, endpoint, timeout: TIMEOUT, reject: false }
    }

    /// How long the endpoint may take from the connection to the head of its answer. 30 s if not set.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether a client error (4xx) rejects the message, as one that can never be handled, rather than being a failure.
    #[must_use]
    pub const fn reject(mut self, reject: bool) -> Self {
        self.reject = reject;
        self
    }

    async fn post(&self, message: &Message) -> anyhow::Result<Outcome> {
        let mut request = Request::post(self.endpoint.uri()).body(body(message)).context("cannot make the request")?;
        *request.headers_mut() = headers::headers(message);
        request.headers_mut().insert(USER_AGENT, AGENT);
        if let Some(authorization) = self.endpoint.authorization() {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let answer = timeout(self.timeout, self.client.request(request)).await;
        let answer = answer.map_err(|_| anyhow!("no answer within {:?}", self.timeout))?;
        Ok(answer::outcome(answer.context("no answer")?, self.reject).await)
    }
}

impl Handler for Http {
    async fn handle(&self, message: Message) -> Outcome {
        let id = message.id();
        info!(%id, message_id = %message.delivery().message_id, attempt = message.attempt(), trace_id = message.trace_id(), "received");
        let posted = tokio::select! {
            biased;
            posted = self.post(&message) => posted,
            reason = message.cancellation().cancelled() => Err(anyhow!("the request was dropped: {reason}")),
        };
        posted.unwrap_or_else(|error| Outcome::Failed { error: format!("{error:#}") })
    }
}

/// The body as it is in memory: the request shares it.
fn body(message: &Message) -> Full<Bytes> {
    struct Body(Arc<Payload>);
    impl AsRef<[u8]> for Body {
        fn as_ref(&self) -> &[u8] {
            self.0.body().as_bytes()
        }
    }
    Full::new(Bytes::from_owner(Body(Arc::clone(message.payload()))))
}
