//! Consumers against an in-memory queue with every fault at once, in paused time, over thousands of seeds.
//!
//! `UPBEAT_SEEDS` is how many seeds are tried, `UPBEAT_SEED` is the one to replay, with logs: a failing one is printed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod fleet;
mod handler;
mod history;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use upbeat_service::logs;
use upbeat_service::settings::LogFormat;

/// Enough to meet every fault with every other, and few enough for a minute of a slow machine.
const SEEDS: u64 = 1000;

/// Runs a world for each seed, each in a runtime of its own, in which all time and all chance are its own.
fn for_each_seed(world: impl AsyncFn(u64)) {
    let number = |variable| std::env::var(variable).ok().and_then(|number: String| number.parse::<u64>().ok());
    let seeds = match number("UPBEAT_SEED") {
        Some(seed) => {
            logs::start(LogFormat::Text);
            seed..seed + 1
        }
        None => 0..number("UPBEAT_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            fastrand::seed(seed);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(world(seed));
        }));
        assert!(ran.is_ok(), "UPBEAT_SEED={seed} replays this");
    }
}

#[test]
fn nothing_is_lost_nor_deleted_unhandled_whatever_goes_wrong() {
    for_each_seed(async |seed| world::World::new("messages", seed).run().await);
}

#[test]
fn order_within_a_group_holds_whatever_goes_wrong() {
    for_each_seed(async |seed| world::World::new("messages.fifo", seed).run().await);
}

#[test]
fn a_seed_replays_to_the_letter() {
    let runs: Vec<_> = (0..2)
        .map(|_| {
            fastrand::seed(7);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(async {
                let world = world::World::new("messages.fifo", 7);
                let history = world.history();
                world.run().await;
                history.tries()
            })
        })
        .collect();
    assert!(!runs[0].is_empty());
    assert_eq!(runs[0], runs[1]);
}
