//! What shout costs: the real binary on a core of its own, and a load on another, beside a bare axum handler in the same run.
//!
//! `cargo bench --package upbeat-shout --bench shout`, or `make bench-shout`. `cargo test` runs a few requests through each
//! case and looks at every answer, so that the bench cannot rot, and asserts nothing about time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench fails by panicking")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod load;
mod server;

use std::time::Duration;

use upbeat_testkit::Redis;
use upbeat_testkit::bench::Effort;

use load::{Load, Measured, Texts};
use server::Server;

/// What an upstream takes to answer.
const LATENCY: Duration = Duration::from_millis(20);

/// Requests under way, each on a connection of its own.
const CONNECTIONS: usize = 64;

/// One server under one load.
struct Case {
    title: &'static str,
    name: &'static str,
    texts: Texts,
    arguments: Vec<String>,
    /// Part of the effort.
    part: usize,
    upstream: bool,
}

impl Case {
    fn new(title: &'static str, name: &'static str, texts: Texts, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { title, name, texts, arguments, part: 1, upstream: false }
    }

    const fn upstream(mut self, part: usize) -> Self {
        (self.upstream, self.part) = (true, part);
        self
    }
}

fn main() {
    if server::is_asked_for() {
        return server::serve();
    }
    let effort = Effort::asked_for();
    let redis = tokio::runtime::Runtime::new().unwrap().block_on(Redis::start());
    let redis_url = redis.as_ref().map(Redis::url).unwrap_or_default();
    let cases = [
        [
            Case::new("hits", "bare axum handler", Texts::One, &["bare"]),
            Case::new("hits", "shout", Texts::One, &["shout"]).upstream(1),
            Case::new("hits", "shout, no access log", Texts::One, &["shout", "RUST_LOG=info,access=off"]).upstream(1),
            Case::new("hits", "shout, Redis", Texts::One, &["shout", "CACHE=redis"]).upstream(4),
        ],
        [
            Case::new("upstream of 20 ms", "bare axum handler that waits 20 ms", Texts::New, &["bare", "20"])
                .upstream(20),
            Case::new("upstream of 20 ms", "shout", Texts::New, &["shout"]).upstream(20),
            Case::new("upstream of 20 ms", "shout, no access log", Texts::New, &["shout", "RUST_LOG=info,access=off"])
                .upstream(20),
            Case::new("upstream of 20 ms", "shout, Redis", Texts::New, &["shout", "CACHE=redis"]).upstream(20),
        ],
    ];
    println!("| case | server | requests/s | of bare | p50 ms | p99 ms | CPU µs/request | peak MB |");
    println!("| --- | --- | --: | --: | --: | --: | --: | --: |");
    for group in cases {
        let asked_for = |case: &&Case| {
            case.title.contains(&effort.only)
                && (redis.is_some() || !case.arguments.iter().any(|argument| argument == "CACHE=redis"))
        };
        let group: Vec<_> = group.iter().filter(asked_for).collect();
        let mut runs: Vec<Vec<Measured>> = group.iter().map(|_| Vec::new()).collect();
        for _ in 0..effort.rounds {
            for (case, runs) in group.iter().zip(&mut runs) {
                runs.push(measure(case, effort.part(case.part), &redis_url));
            }
        }
        let medians: Vec<_> = runs.iter().map(|runs| Measured::median(runs)).collect();
        for (case, measured) in group.iter().zip(&medians) {
            let Measured { rate, p50, p99, cpu, memory } = measured;
            let ratio = rate / medians[0].rate;
            println!(
                "| {} | {} | {rate:.0} | {ratio:.2} | {p50:.2} | {p99:.2} | {cpu:.1} | {memory:.1} |",
                case.title, case.name
            );
        }
    }
    drop(redis);
}

fn measure(case: &Case, requests: usize, redis: &str) -> Measured {
    // Once warm, that many on so many connections, or the beginning is all that is seen.
    let load = Load { connections: CONNECTIONS, requests: requests.max(CONNECTIONS), texts: case.texts };
    let upstream = case.upstream.then(|| server::Upstream::start(LATENCY));
    let server = Server::start(&case.arguments, upstream.as_ref().map(server::Upstream::url), redis);
    load.run(&server)
}
