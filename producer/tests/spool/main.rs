//! A producer with a spool on a disk that loses, tears and refuses what is written to it, under a paused clock.
//!
//! `UPBEAT_SEEDS` is how many seeds are tried, `UPBEAT_SEED` is the one to replay: a failing one is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod accept;
mod disk;
mod folder;
mod full;
mod simulation;
mod stop;

use std::time::Duration;

use disk::Disk;
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Fault, Producer, Publisher};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The least that a spool may be limited to.
const LIMIT: u64 = 4 * 1024 * 1024;

/// A producer with its spool on this disk.
fn producer(topic: impl Publisher, disk: &Disk) -> Producer {
    Producer::builder(topic).default_group("all").spool(disk.spool(LIMIT).unwrap()).build()
}

/// A topic that can't be reached.
fn down() -> Memory {
    Memory::standard("messages").faults(|_| Faults::call(Fault::unavailable("down")))
}
