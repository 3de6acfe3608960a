//! The page of the real binaries, by HTTP and as a browser shows it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod browser;
mod http;

use std::time::Duration;

use upbeat_testkit::{LocalStack, Options, Resources, Service, ServiceCommand};

/// Far more than anything here takes, on a machine that is busy with other things.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// A topic with a queue, and a consumer of it.
pub(crate) async fn consumer() -> (Resources, ServiceCommand) {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let command = Service::consumer(localstack).args(["--queue", &resources.queue.name]);
    (resources, command)
}
