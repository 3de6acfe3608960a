//! The handlers, behind a consumer of an in-memory queue.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod batch;
mod exec;
mod extract;
mod http;
mod scene;
mod service;
