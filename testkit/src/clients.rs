//! SDK clients for a server on this machine: plain HTTP, fixed credentials, no retries, a limit on every call.
//!
//! A client's connections belong to the runtime that made them, so every test makes its own.

use std::time::Duration;

use aws_sdk_sns::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{Credentials, Region};

/// The region of all tests.
pub const REGION: &str = "us-east-1";

/// Both the access key and the secret of all tests; LocalStack takes any.
pub const KEY: &str = "test";

/// Longer than a long poll of 20 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A client of SNS at this URL.
#[must_use]
pub fn sns(endpoint: &str) -> aws_sdk_sns::Client {
    let config = aws_sdk_sns::Config::builder()
        .behavior_version_latest()
        .endpoint_url(endpoint)
        .region(Region::new(REGION))
        .credentials_provider(credentials())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts());
    aws_sdk_sns::Client::from_conf(config.build())
}

/// A client of SQS at this URL.
#[must_use]
pub fn sqs(endpoint: &str) -> aws_sdk_sqs::Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version_latest()
        .endpoint_url(endpoint)
        .region(Region::new(REGION))
        .credentials_provider(credentials())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts());
    aws_sdk_sqs::Client::from_conf(config.build())
}

fn credentials() -> Credentials {
    Credentials::new(KEY, KEY, None, None, "upbeat-testkit")
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().read_timeout(ANSWER_WITHIN).build()
}
