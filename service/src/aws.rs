//! The AWS SDK set up once for all services, and its errors in words.

mod short;
mod sigv4;

use std::error::Error;
use std::time::Duration;

use anyhow::ensure;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

pub use short::{ShortWay, Watch, Way};
pub use sigv4::{ClockWatch, SigV4};

/// How long a connection to AWS may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Region, credentials and endpoint from AWS's own variables and files, as they are now.
///
/// The SDK does not retry: who calls knows better what a second try may cost. Nor does it limit how long a
/// call may take, for the same reason; every call needs a timeout around it. An error where there is no region.
pub async fn config() -> anyhow::Result<SdkConfig> {
    let config = load().await;
    ensure!(config.region().is_some(), "no region; set AWS_REGION, such as us-east-1");
    Ok(config)
}

/// As [`config`], with whatever is missing left out.
pub async fn load() -> SdkConfig {
    // Read anew each time, so that a file that appears later is found.
    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::from_env()
        .http_client(https)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Ok(name) = AppName::new("upbeat") {
        loader = loader.app_name(name);
    }
    let config = loader.load().await;
    if config.endpoint_url().is_some_and(|url| url.starts_with("http://")) {
        // The first connection of a client with TLS reads all of the machine's certificates.
        let http = aws_smithy_http_client::Builder::new().build_http();
        return config.into_builder().http_client(http).build();
    }
    config
}

/// What went wrong in one call to AWS, stable from try to try: no request ids, no ports.
pub fn describe<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug,
{
    match error {
        SdkError::ServiceError(context) => {
            let error = context.err();
            let message = error.message().unwrap_or("no message");
            format!("{}: {message}", error.code().unwrap_or("unknown error"))
        }
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failure) => {
            failure.as_connector_error().map_or_else(|| "cannot send the request".to_owned(), |error| root_cause(error))
        }
        SdkError::ConstructionFailure(_) => root_cause(error),
        SdkError::ResponseError(_) => format!("an answer that can't be read: {}", root_cause(error)),
        other => root_cause(other),
    }
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
