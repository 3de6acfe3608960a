//! A shorter way for the calls that are made again and again.
//!
//! For each request the SDK puts its configuration together anew, looks for an auth scheme and an endpoint, and asks a
//! dozen interceptors: more work than all the rest of the request. Here the first request of an operation goes the SDK's
//! way and is watched; the next ones are made of the same parts, with the SDK's own (de)serializers, identity cache, signer
//! and HTTP client, so that bodies, credentials, connections and errors are what they were.
//!
//! What such a request would pass by must not be there: retries, time limits of the SDK, an endpoint with a say in signing,
//! headers that may differ from request to request. Then, and once the clock turns out to be wrong, every request goes
//! the SDK's way.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock, Weak};

use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::SCHEME_ID;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeEndpointConfig, SharedAuthScheme};
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::identity::{ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver};
use aws_smithy_runtime_api::client::interceptors::context::{BeforeTransmitInterceptorContextRef, Error, Input};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, Metadata, OrchestratorError};
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{
    DeserializeResponse, SerializeRequest, SharedRequestSerializer, SharedResponseDeserializer,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{ConfigBag, FrozenLayer, Layer};
use aws_smithy_types::endpoint::Endpoint;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use http_body_util::BodyExt;

use super::{ClockWatch, SigV4};

/// Set anew for each request by the operation's serializer.
const OF_SERIALIZER: [&str; 4] = ["content-length", "content-type", "x-amz-target", "x-amzn-query-mode"];

/// The same for each request of an operation.
const OF_CLIENT: [&str; 2] = ["user-agent", "x-amz-user-agent"];

/// For AWS's statistics of retries, which there are none of; left out.
const OF_RETRIES: [&str; 2] = ["amz-sdk-invocation-id", "amz-sdk-request"];

/// What was learned is of an operation of the SDK, and each has these.
const NO_OPERATION: &str = "the SDK does not say how this operation is written and read";

/// An operation of a client, such as `ReceiveMessage`, that may take the short way. Clones are the same.
#[derive(Clone, Debug)]
pub struct ShortWay(Arc<Slot>);

/// Watches an operation's first request as an interceptor of the client.
// What is learned holds the client's parts, and so this.
#[derive(Clone, Debug)]
pub struct Watch(Weak<Slot>);

#[derive(Debug)]
struct Slot {
    /// The operation's own configuration: its name, how it is written and read.
    operation: FrozenLayer,
    clock: ClockWatch,
    /// `None` within: there is something in the way.
    way: OnceLock<Option<Way>>,
}

/// What the SDK has settled for an operation's first request, and what holds for all.
#[derive(Debug)]
pub struct Way {
    uri: http::Uri,
    headers: Vec<(String, String)>,
    identities: SharedIdentityCache,
    identity: SharedIdentityResolver,
    auth: SharedAuthScheme,
    connector: SharedHttpConnector,
    components: RuntimeComponents,
    /// What writing, reading, signing and the loading of credentials ask for.
    config: ConfigBag,
    clock: ClockWatch,
}

impl ShortWay {
    /// Known once a client that has its [`watch`](Self::watch) has made the operation's first request. Such a client must have no
    /// interceptors of its user, which later requests would pass by.
    #[must_use]
    pub fn new(operation: &impl RuntimePlugin, signing: &SigV4) -> Self {
        let operation = operation.config().unwrap_or_else(|| Layer::new("no operation").freeze());
        Self(Arc::new(Slot { operation, clock: signing.clock_watch(), way: OnceLock::new() }))
    }

    /// What learns the way.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(Arc::downgrade(&self.0))
    }

    /// The way, if it is known and free.
    #[must_use]
    pub fn get(&self) -> Option<&Way> {
        self.0.way.get()?.as_ref().filter(|_| !self.0.clock.is_wrong())
    }
}

impl Slot {
    fn is_of(&self, metadata: &Metadata) -> bool {
        self.operation.load::<Metadata>().is_some_and(|ours| ours.name() == metadata.name())
    }

    fn learn(&self, request: &HttpRequest, components: &RuntimeComponents, config: &ConfigBag) -> Option<Way> {
        let endpoint = config.load::<Endpoint>()?;
        let endpoint_signs = !endpoint.properties().is_empty() || !endpoint.auth_schemes().is_empty();
        let retries = config.load::<RetryConfig>()?;
        let timeouts = config.load::<TimeoutConfig>()?;
        let limited = timeouts.operation_timeout().or(timeouts.operation_attempt_timeout()).is_some();
        let known =
            |name: &str| [&OF_SERIALIZER[..], &OF_CLIENT, &OF_RETRIES].iter().any(|names| names.contains(&name));
        let headers = request.headers();
        if endpoint_signs || limited || retries.max_attempts() > 1 || !headers.iter().all(|(name, _)| known(name)) {
            return None;
        }

        let mut settings = HttpConnectorSettings::builder();
        settings.set_connect_timeout(timeouts.connect_timeout()).set_read_timeout(timeouts.read_timeout());
        let mut layer = Layer::new("short way");
        layer.store_put(config.load::<SigV4OperationSigningConfig>()?.clone());
        layer.store_put(config.load::<SigningName>()?.clone());
        layer.store_put(config.load::<SigningRegion>()?.clone());
        layer.store_put(retries.clone());
        layer.store_put(timeouts.clone());
        let mut settled = ConfigBag::base();
        settled.push_shared_layer(self.operation.clone()).push_layer(layer);
        let auth = components.auth_scheme(SCHEME_ID)?;
        let of_client = headers.iter().filter(|(name, _)| OF_CLIENT.contains(name));
        Some(Way {
            uri: request.uri().parse().ok()?,
            headers: of_client.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            identities: components.identity_cache(),
            identity: auth.identity_resolver(components)?,
            auth,
            connector: components.http_client()?.http_connector(&settings.build(), components),
            components: components.clone(),
            config: settled,
            clock: self.clock.clone(),
        })
    }
}

#[dyn_dispatch_hint]
impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "ShortWay"
    }

    /// All that goes to SQS or SNS is there but for the signature.
    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(slot) = self.0.upgrade()
            && config.load::<Metadata>().is_some_and(|metadata| slot.is_of(metadata))
        {
            slot.way.get_or_init(|| slot.learn(context.request(), components, config));
        }
        Ok(())
    }
}

impl Way {
    /// Makes one call, with the operation's own input, output and error.
    pub async fn call<O, E>(&self, input: impl Debug + Send + Sync + 'static) -> Result<O, SdkError<E, HttpResponse>>
    where
        O: Debug + Send + Sync + 'static,
        E: StdError + Send + Sync + 'static,
    {
        // Boxed: request and answer make it a large future, and whatever awaits it is moved with it.
        Box::pin(self.make(Input::erase(input))).await
    }

    async fn make<O, E>(&self, input: Input) -> Result<O, SdkError<E, HttpResponse>>
    where
        O: Debug + Send + Sync + 'static,
        E: StdError + Send + Sync + 'static,
    {
        let mut request = self.write(input).map_err(SdkError::construction_failure)?;
        let connection = CaptureSmithyConnection::new();
        request.add_extension(connection.clone());
        self.complete(&mut request)
            .await
            .map_err(|error| SdkError::dispatch_failure(ConnectorError::other(error, None)))?;

        let mut response = self.connector.call(request).await.map_err(SdkError::dispatch_failure)?;
        let status = response.status();
        if !status.is_success() {
            self.clock.look_at(&response, &self.components);
        }
        if matches!(status.as_u16(), 500 | 502 | 503 | 504)
            && let Some(connection) = connection.get()
        {
            // As the SDK does: another connection may lead to a server that is well.
            connection.poison();
        }
        match std::mem::replace(response.body_mut(), SdkBody::taken()).collect().await {
            Ok(body) => *response.body_mut() = SdkBody::from(body.to_bytes()),
            Err(error) => return Err(SdkError::response_error(error, response)),
        }
        let Some(deserializer) = self.config.load::<SharedResponseDeserializer>() else {
            return Err(SdkError::response_error(NO_OPERATION, response));
        };
        match deserializer.deserialize_nonstreaming_with_config(&response, &self.config) {
            Ok(output) => match output.downcast() {
                Ok(output) => Ok(output),
                Err(_) => Err(SdkError::response_error("an output of another type", response)),
            },
            Err(error) => Err(failure(error, response)),
        }
    }

    fn write(&self, input: Input) -> Result<HttpRequest, BoxError> {
        let serializer = self.config.load::<SharedRequestSerializer>().ok_or(NO_OPERATION)?;
        serializer.serialize_input(input, &mut ConfigBag::base())
    }

    /// Address, headers and signature.
    async fn complete(&self, request: &mut HttpRequest) -> Result<(), BoxError> {
        request.set_uri(self.uri.clone())?;
        for (name, value) in &self.headers {
            request.headers_mut().try_insert(name.clone(), value.clone())?;
        }
        let identity = self.identity.clone();
        let identity = self.identities.resolve_cached_identity(identity, &self.components, &self.config).await?;
        let of_endpoint = AuthSchemeEndpointConfig::empty();
        self.auth.signer().sign_http_request(request, &identity, of_endpoint, &self.components, &self.config)
    }
}

/// What the service answered, or what could not be read of it.
fn failure<E: StdError + Send + Sync + 'static>(
    error: OrchestratorError<Error>,
    response: HttpResponse,
) -> SdkError<E, HttpResponse> {
    let mut of_service = None;
    let error = error.map_operation_error(|error| {
        of_service = error.downcast::<E>().ok();
        std::fmt::Error
    });
    match of_service {
        Some(of_service) => SdkError::service_error(of_service, response),
        None => SdkError::response_error(error, response),
    }
}
