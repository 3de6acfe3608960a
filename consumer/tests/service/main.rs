//! The real binaries against LocalStack.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod crash;
mod handlers;
mod health;
mod metrics;
mod outage;
mod pair;
mod settings;
mod stop;
mod traces;

use std::time::Duration;

use upbeat_testkit::{Resources, Service, ServiceCommand};

/// Far more than anything here takes, on a machine that is busy with other things.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// A consumer of these resources' queue.
pub(crate) fn consumer(endpoint: impl AsRef<str>, resources: &Resources) -> ServiceCommand {
    Service::consumer(endpoint).args(["--queue", &resources.queue.name])
}

/// The bodies of all messages that a consumer has handled.
pub(crate) fn handled(consumer: &Service) -> Vec<String> {
    consumer.events("received").iter().map(|event| event.text("body").to_owned()).collect()
}

/// Bodies that are told apart.
pub(crate) fn bodies(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{{\"message\": {n}}}")).collect()
}
