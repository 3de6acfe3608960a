//! The engine against the in-memory queue, in paused time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod delivery;
mod failure;
mod fifo;
mod flow;
mod scene;
mod stop;
