//! The real binary and a real Docker engine, which is started by the test where there is root and a dockerd. Elsewhere
//! these tests are skipped, and say so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod engine;
mod faults;
mod health;
mod lifecycle;
#[path = "../shared/machine.rs"]
mod machine;
mod measure;
mod tls;

use engine::Engine;
use machine::{IMAGE, SOON, STEADY};
