//! Signs requests as the SDK does, at a fraction of its cost: the key of a day is derived once and not for each
//! request, and what is signed is written once.
//!
//! Only plain requests are signed here: `POST /` with a body in memory, which is what SQS and SNS get. All others are left to the
//! SDK's own signer, and so is every request once the clock turns out to be wrong, for which the SDK has a cure.

mod clock;
mod key;
mod text;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4Signer};
use aws_runtime::auth::{HttpSignatureType, PayloadSigningOverride, SigV4OperationSigningConfig};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeEndpointConfig, AuthSchemeId, Sign};
use aws_smithy_runtime_api::client::identity::{Identity, SharedIdentityResolver};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver, RuntimeComponents};
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use ring::digest::{SHA256, digest};
use ring::hmac;

pub use clock::ClockWatch;
use key::{Key, Scope};
use text::{hex, signable};

/// Takes the place of the SDK's own scheme when given to a client's `push_auth_scheme`. The client needs its
/// [`clock_watch`](Self::clock_watch) as an interceptor as well.
#[derive(Debug, Default)]
pub struct SigV4 {
    signer: Signer,
}

#[derive(Debug, Default)]
struct Signer {
    sdk: SigV4Signer,
    key: Mutex<Option<Arc<Key>>>,
    clock: ClockWatch,
}

/// What is added to a request.
#[derive(Debug)]
struct Signed {
    date: String,
    token: Option<String>,
    authorization: String,
}

impl SigV4 {
    /// Learns from answers that the clock is wrong.
    #[must_use]
    pub fn clock_watch(&self) -> ClockWatch {
        self.signer.clock.clone()
    }
}

impl AuthScheme for SigV4 {
    fn scheme_id(&self) -> AuthSchemeId {
        SCHEME_ID
    }

    fn identity_resolver(&self, resolvers: &dyn GetIdentityResolver) -> Option<SharedIdentityResolver> {
        resolvers.identity_resolver(SCHEME_ID)
    }

    fn signer(&self) -> &dyn Sign {
        &self.signer
    }
}

impl Sign for Signer {
    fn sign_http_request(
        &self,
        request: &mut HttpRequest,
        identity: &Identity,
        endpoint: AuthSchemeEndpointConfig<'_>,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        let now = components.time_source().unwrap_or_default().now();
        let Some(Signed { date, token, authorization }) = self.sign(request, identity, &endpoint, config, now) else {
            return self.sdk.sign_http_request(request, identity, endpoint, components, config);
        };
        let headers = request.headers_mut();
        headers.try_insert("x-amz-date", date)?;
        if let Some(token) = token {
            headers.try_insert("x-amz-security-token", token)?;
        }
        headers.try_insert("authorization", authorization)?;
        Ok(())
    }
}

impl Signer {
    /// `None`: not as plain as it has to be.
    fn sign(
        &self,
        request: &HttpRequest,
        identity: &Identity,
        endpoint: &AuthSchemeEndpointConfig<'_>,
        config: &ConfigBag,
        now: SystemTime,
    ) -> Option<Signed> {
        let of_endpoint = ["signingName", "signingRegion", "disableDoubleEncoding"];
        let operation = config.load::<SigV4OperationSigningConfig>()?;
        let options = &operation.signing_options;
        let plain = !self.clock.is_wrong()
            && of_endpoint.iter().all(|key| endpoint.get(key).is_none())
            && options.signature_type == HttpSignatureType::HttpRequestHeaders
            && !options.content_sha256_header
            && !options.omit_session_token
            && options.payload_override.is_none()
            && config.load::<PayloadSigningOverride>().is_none();
        if !plain {
            return None;
        }
        let credentials = identity.data::<Credentials>()?;
        let region = config.load::<SigningRegion>().or(operation.region.as_ref())?;
        let service = config.load::<SigningName>().or(operation.name.as_ref())?;
        let date = text::date_time(now);
        let scope = Scope { day: &date[..8], region: region.as_ref(), service: service.as_ref() };

        let token = credentials.session_token();
        let (canonical, signed_headers) = signable(request, &date, token)?;
        let key = self.key(scope, credentials);
        let Scope { day, region, service } = scope;
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(digest(&SHA256, canonical.as_bytes())));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={}",
            credentials.access_key_id(),
            hex(hmac::sign(key.hmac(), to_sign.as_bytes())),
        );
        Some(Signed { date, token: token.map(str::to_owned), authorization })
    }

    /// The last key, if it is still the right one.
    fn key(&self, scope: Scope<'_>, credentials: &Credentials) -> Arc<Key> {
        let mut last = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = credentials.secret_access_key();
        match &*last {
            Some(key) if key.is_of(scope, secret) => Arc::clone(key),
            _ => Arc::clone(last.insert(Arc::new(Key::derive(scope, secret)))),
        }
    }
}

#[cfg(test)]
mod tests;
