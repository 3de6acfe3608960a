//! A bench's executable as a client: a process that consumes or publishes until its input ends, then tells what it cost.

use std::io::{Read, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::pin::pin;
use crate::process::Usage;

/// The variable that makes the executable a client; its value is what the client is told.
pub(super) const VARIABLE: &str = "UPBEAT_BENCH_CLIENT";

/// The CPU of the client.
pub(super) const CPU: &str = "UPBEAT_BENCH_CPU";

/// How long the last answers may take to reach the client.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// What a client is told, and where it counts.
#[derive(Clone, Debug)]
pub struct Client {
    name: String,
    /// How many messages there are, then the numbers that the [`Case`](super::Case) has.
    numbers: Vec<usize>,
    handled: Arc<AtomicUsize>,
}

impl Client {
    /// `None` if this process is the one that measures. Called first in `main`, before there are threads.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        let told = env::var(VARIABLE).ok()?;
        if let Ok(cpu) = env::var(CPU) {
            pin(cpu.parse().expect("the number of a CPU"));
        }
        let (name, numbers) = told.split_once(':').expect("a name and numbers");
        let numbers = numbers.split(' ').map(|number| number.parse().expect("a number")).collect();
        let client = Self { name: name.to_owned(), numbers, handled: Arc::default() };
        let watched = client.clone();
        thread::spawn(move || watched.report_at_end());
        Some(client)
    }

    /// Which client it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many messages there are in all.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.numbers[0]
    }

    /// One of the case's numbers.
    #[must_use]
    pub fn number(&self, position: usize) -> usize {
        self.numbers[position + 1]
    }

    /// A message was handled.
    pub fn handled(&self) {
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    /// The end of our input is when the target has seen all messages.
    fn report_at_end(&self) {
        let _ = stdin().read(&mut [0]);
        let handled = || self.handled.load(Ordering::Relaxed);
        let limit = Instant::now() + LAST_ANSWERS;
        while handled() < self.messages() && Instant::now() < limit {
            thread::sleep(Duration::from_millis(1));
        }
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("our own usage");
        let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        // Not the most that `getrusage` tells of, which counts the process that started us.
        let memory = Usage::of(process::id()).expect("we run").resident_peak;
        println!("{} {cpu} {memory}", handled());
        process::exit(0);
    }
}
