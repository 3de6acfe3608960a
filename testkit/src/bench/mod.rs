//! What the benches of producer and consumer share: a client in a process of its own, on a CPU of its own, against a
//! [`Target`](crate::target::Target) on another, and what that cost.
//!
//! A bench's executable is both: started by `cargo bench` it runs each case some times, the clients in turn; and for each
//! run it starts itself again as the [`client`].

pub mod client;
pub mod pin;
pub mod run;
pub mod table;

use std::env;
use std::fmt::Write;

pub use client::Client;
pub use run::{Case, Measured, measure};
pub use table::Table;

/// How much is to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effort {
    /// How many messages in a run, for small ones and no latency; others have fewer.
    pub messages: usize,
    /// How many runs of each.
    pub rounds: usize,
    /// Only the cases whose title holds this.
    pub only: String,
}

impl Effort {
    /// All of it if `cargo bench` asks, with `UPBEAT_BENCH_MESSAGES` messages if that is set and the cases that an argument
    /// names; else just enough to see that it works, as in `cargo test`.
    #[must_use]
    pub fn asked_for() -> Self {
        if !env::args().any(|argument| argument == "--bench") {
            return Self { messages: 200, rounds: 1, only: String::new() };
        }
        let number =
            |name: &str| env::var(name).ok().map(|number| number.parse().expect("a number, as the variable says"));
        Self {
            messages: number("UPBEAT_BENCH_MESSAGES").unwrap_or(100_000),
            rounds: number("UPBEAT_BENCH_ROUNDS").unwrap_or(3),
            only: env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default(),
        }
    }

    /// This part of the messages, in whole batches of ten.
    #[must_use]
    pub const fn part(&self, part: usize) -> usize {
        let batches = self.messages / 10 / part;
        10 * if batches == 0 { 1 } else { batches }
    }
}

/// A JSON object of about this many bytes, made of many small fields as real ones are.
#[must_use]
pub fn json_body(bytes: usize) -> String {
    let mut body = String::from(r#"{"kind":"order","lines":["#);
    let mut line = 0;
    while body.len() + 60 < bytes || line == 0 {
        if line > 0 {
            body.push(',');
        }
        let count = line % 7 + 1;
        write!(body, r#"{{"item":"item {line:05}","count":{count},"price":19.95}}"#).expect("a string takes all");
        line += 1;
    }
    body.push_str("]}");
    body
}
