//! What is measured.

use std::time::Duration;

use upbeat_testkit::bench::{Case, Effort, Measured, Table, json_body};

use crate::work::Work;
use crate::{raw_loop, upbeat};

const SMALL: usize = 200;

/// Four fit into a batch, attributes included.
const LARGE: usize = 64 * 1024 - 100;

/// More than a request for each batch and those of the start need.
const SPARE_REQUESTS: usize = 10;

pub(crate) fn measure_all(effort: &Effort) {
    let table = Table::new([upbeat::NAME, raw_loop::NAME], effort);
    let case = |messages, size, latency, loops| Case {
        messages,
        body: String::new(),
        latency: Duration::from_millis(latency),
        numbers: Work::numbers(loops, size),
        idle: Duration::ZERO,
    };
    let rows = [
        ("200 B, 8 in flight", case(effort.part(1), SMALL, 0, 8)),
        ("200 B, 32 in flight, latency 10 ms", case(effort.part(1), SMALL, 10, 32)),
        ("64 KiB, 8 in flight", case(effort.part(5), LARGE, 0, 8)),
        ("200 B, one after the other", case(effort.part(20), SMALL, 0, 0)),
        ("200 B, one after the other, latency 10 ms", case(effort.part(100), SMALL, 10, 0)),
    ];
    for (title, case) in rows {
        let [loops, size] = case.numbers[..] else { unreachable!("as made above") };
        let batch = if loops == 0 { 1 } else { (256 * 1024 / json_body(size).len()).min(10) };
        let most_requests = case.messages.div_ceil(batch) + case.messages / 100 + SPARE_REQUESTS;
        table.measure(title, &case, |client, run| check(client, run, most_requests));
    }
    let watched = case(effort.part(1), SMALL, 0, 8);
    let most_requests = watched.messages.div_ceil(10) + watched.messages / 100 + SPARE_REQUESTS;
    for client in [upbeat::METRICS, upbeat::TRACES] {
        let table = Table::new([client, upbeat::NAME], effort);
        table.measure("200 B, 8 in flight", &watched, |client, run| check(client, run, most_requests));
    }
}

fn check(client: &str, run: &Measured, most_requests: usize) {
    assert_eq!((run.handled, run.counts.published), (run.messages, run.messages), "{client}: each published once");
    assert!(run.counts.requests <= most_requests, "{client}: {:?}", run.counts);
}
