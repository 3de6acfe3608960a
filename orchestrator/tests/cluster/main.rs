//! Several hosts with real Docker engines, which are started by the test where there is root and a dockerd. Elsewhere
//! these tests are skipped, and say so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod cluster;
mod containers;
mod faults;
mod hosts;
mod logs;
#[path = "../shared/machine.rs"]
mod machine;
mod measure;
mod network;
mod pair;
mod probes;

use hosts::{Hosts, Place};
use machine::{IMAGE, SOON, STEADY};
