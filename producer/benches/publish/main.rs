//! Our producer against a raw loop over the SDK: `make bench`, or `cargo bench --package upbeat-producer --bench publish`.
//! docs/BENCHMARKS.md tells what is compared.
//!
//! Under `cargo test` only a few messages go through, to see that both publish all of them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench fails by panicking")]

mod cases;
mod raw_loop;
mod upbeat;
mod work;

use upbeat_testkit::bench::{Client, Effort};

use work::Work;

fn main() {
    match Client::of_this_process() {
        None => cases::measure_all(&Effort::asked_for()),
        Some(client) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(run(client));
        }
    }
}

async fn run(client: Client) {
    let work = Work::of(&client);
    match client.name() {
        upbeat::NAME | upbeat::METRICS | upbeat::TRACES => upbeat::publish(client, work).await,
        raw_loop::NAME => raw_loop::publish(client, work).await,
        name => panic!("no client is named {name}"),
    }
    // Until the bench has seen enough.
    std::future::pending::<()>().await;
}
