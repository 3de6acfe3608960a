//! The real binary against LocalStack.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod edges;
mod lines;
mod openapi;
mod outage;
mod posts;
mod service;
mod spool;
mod tools;

use std::time::Duration;

use upbeat_testkit::{LocalStack, Options, Resources, Service, ServiceCommand};

/// Longer than anything here takes, the machine being busy.
const SOON: Duration = Duration::from_secs(30);

/// A topic and its queue, and a producer to be started for it.
async fn producer(options: Options) -> (Resources, ServiceCommand) {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, options).await;
    let command = Service::producer(localstack).env("TOPIC", &resources.topic);
    (resources, command)
}

/// As [`producer`], of what is posted to it alone.
async fn quiet_producer() -> (Resources, ServiceCommand) {
    let (resources, command) = producer(Options::default()).await;
    (resources, command.env("INTERVAL", "0"))
}
