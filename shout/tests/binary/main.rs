//! The real binary, with upstreams that fail in all ways and a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cache;
mod docs;
mod faults;
mod metrics;
mod openapi;
mod posts;
mod redis;
mod server;
mod settings;
mod stop;
mod traces;
mod upstream;

use std::time::Duration;

use serde_json::json;
use upbeat_testkit::Service;
use upbeat_testkit::http::{Response, request_within};

/// Longer than anything here takes, the machine being busy.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// Posts a text.
pub(crate) async fn shout(service: &Service, text: &str) -> Response {
    let body = json!({"data": text}).to_string();
    let answer = request_within(SOON, "POST", &service.url("/").await, "application/json", body.into()).await;
    answer.unwrap_or_else(|error| panic!("{error}: {service:?}"))
}

/// The answer to a text, which there has to be.
pub(crate) async fn shouted(service: &Service, text: &str) -> String {
    let answer = shout(service, text).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["data"].as_str().unwrap().to_owned()
}

/// The sum of all series of this name that have all of these labels.
pub(crate) async fn metric(service: &Service, name: &str, labels: &[&str]) -> u64 {
    let scrape = service.get("/metrics").await.body;
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let lines = scrape.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.trim_end_matches(".0").parse::<u64>().unwrap()).sum()
}

/// Asserts that it is a problem as RFC 9457 has it.
pub(crate) fn assert_problem(answer: &Response, status: u16, detail: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{answer:?}");
    let problem = answer.json();
    assert_eq!((problem["status"].as_u64(), &problem["type"]), (Some(status.into()), &json!("about:blank")));
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|told| told.contains(detail)), "{problem} {detail}");
}

/// The seconds after which to come again.
pub(crate) fn retry_after(answer: &Response) -> u64 {
    answer.headers.get("retry-after").and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}
