//! What is watched with: dashboard and alert rules ask for metrics that there are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const METRICS: &str = include_str!("../../docs/METRICS.md");
const DASHBOARD: &str = include_str!("../../monitoring/dashboard.json");
const ALERTS: &str = include_str!("../../monitoring/alerts.yaml");

/// What is in the table, by name: its type.
fn documented() -> BTreeMap<&'static str, &'static str> {
    let rows = METRICS.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split_once("` | ").map(|(name, rest)| (name, rest.split(' ').next().unwrap())).unwrap())
        .collect()
}

/// Everything in a text that is spelled like one of our metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let prefixes = [
        "aws_requests",
        "consumer_",
        "messaging_client",
        "messaging_process",
        "process_",
        "producer_",
        "sqs_",
        "upbeat_",
    ];
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).collect()
}

/// Whether there are series of this name; a histogram has three kinds.
fn is_known(name: &str, documented: &BTreeMap<&str, &str>) -> bool {
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    documented.get(name).is_some_and(|kind| *kind != "histogram")
        || histogram.is_some_and(|name| documented.get(name) == Some(&"histogram"))
}

#[test]
fn every_query_of_the_dashboard_asks_for_metrics_that_there_are() {
    let documented = documented();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    let mut asked_for = BTreeSet::new();
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            let names = names(target["expr"].as_str().unwrap());
            assert!(!names.is_empty(), "{target}");
            for name in names {
                assert!(is_known(name, &documented), "{name} of the panel {}", panel["title"]);
                asked_for.insert(name);
            }
        }
    }
    assert!(asked_for.len() > 20, "{asked_for:?}");
}

#[test]
fn every_alert_asks_for_metrics_that_there_are() {
    let documented = documented();
    let names = names(ALERTS);
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        assert!(is_known(name, &documented), "{name}");
    }
}
