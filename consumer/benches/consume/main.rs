//! Our consumer against a raw loop over the SDK, as a program without a framework has it: `make bench`, or
//! `cargo bench --package upbeat-consumer --bench consume`. docs/BENCHMARKS.md tells what is compared.
//!
//! Under `cargo test` only a few messages go through, to see that both handle and delete all of them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench fails by panicking")]

mod cases;
mod raw_loop;
mod scrape;
mod upbeat;
mod work;

use tokio::runtime::Runtime;
use upbeat_testkit::bench::{Client, Effort};

fn main() {
    match Client::of_this_process() {
        None => {
            let effort = Effort::asked_for();
            cases::measure_all(&effort);
            runtime().block_on(scrape::measure(effort.part(1)));
        }
        Some(client) => runtime().block_on(run(client)),
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

async fn run(client: Client) {
    match client.name() {
        upbeat::NAME | upbeat::METRICS | upbeat::TRACES => upbeat::consume(client).await,
        raw_loop::NAME => raw_loop::consume(client).await,
        name => panic!("no client is named {name}"),
    }
}
