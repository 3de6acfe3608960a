//! One run of a client against a fresh target.

use std::env;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::client::{CPU, VARIABLE};
use super::pin::two_cpus;
use crate::target::{Counts, Options, Target};

/// Longer than any run takes, on a slow machine too.
const LIMIT: Duration = Duration::from_mins(5);

/// Runs each client under a tool, such as `valgrind --tool=callgrind` or `perf record`, to see where its time goes.
const UNDER: &str = "UPBEAT_BENCH_UNDER";

/// What a client is to do, and against what.
#[derive(Clone, Debug)]
pub struct Case {
    /// How many messages.
    pub messages: usize,
    /// Their body.
    pub body: String,
    /// How long each answer of the target takes.
    pub latency: Duration,
    /// What the client is told beside its name.
    pub numbers: Vec<usize>,
    /// How long the client has nothing to do after that, before its cost is taken.
    pub idle: Duration,
}

/// What a run has shown.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Messages in all.
    pub messages: usize,
    /// Messages that the client says it has handled.
    pub handled: usize,
    /// What the target saw until all messages were done.
    pub counts: Counts,
    /// What it has seen in the idle time that followed.
    pub idle: Counts,
    /// The time from the first request to the last.
    pub busy: Duration,
    /// User and system time of the client, from its start on.
    pub cpu: Duration,
    /// The most memory that the client held, in bytes.
    pub memory: u64,
    /// From the client's start to the first message that was deleted or published.
    pub first_message: Duration,
}

/// Runs a client to the end of a case.
///
/// # Panics
/// If that does not come within minutes.
#[must_use]
pub fn measure(client: &str, case: &Case) -> Measured {
    let cpus = two_cpus();
    let target = Target::start(Options {
        messages: case.messages,
        body: case.body.clone(),
        latency: case.latency,
        cpu: cpus.map(|(_, target)| target),
    });
    let started = Instant::now();
    let mut child = start(client, case, &target.url(), cpus.map(|(client, _)| client));
    let Some(counts) = target.wait_done(LIMIT) else {
        let _ = child.kill();
        panic!("{client} did not end: {:?}", target.counts());
    };
    std::thread::sleep(case.idle);
    let idle = target.counts();
    drop(child.stdin.take());
    let mut told = String::new();
    child.stdout.take().expect("it was given a pipe").read_to_string(&mut told).expect("text");
    assert!(child.wait().expect("our child").success(), "{client} failed");
    let told: Vec<u64> = told.split_whitespace().map(|number| number.parse().expect("a number")).collect();
    let [handled, cpu, memory] = told[..] else { panic!("{client} told {told:?}") };
    Measured {
        messages: case.messages,
        handled: usize::try_from(handled).expect("a count"),
        busy: counts.busy(),
        cpu: Duration::from_micros(cpu),
        memory,
        first_message: counts.first_message_after(started),
        counts,
        idle,
    }
}

fn start(client: &str, case: &Case, url: &str, cpu: Option<usize>) -> Child {
    let numbers = case.numbers.iter().map(|number| format!(" {number}"));
    let ours = env::current_exe().expect("our own executable");
    let mut command = match env::var(UNDER) {
        Err(_) => Command::new(ours),
        Ok(tool) => {
            let mut words = tool.split_whitespace();
            let mut command = Command::new(words.next().expect("the name of a tool"));
            command.args(words).arg(ours);
            command
        }
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // Nothing but what is set here, so that every machine measures the same.
    command.env_clear().env(VARIABLE, format!("{client}:{}{}", case.messages, numbers.collect::<String>()));
    // For those clients that trace.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    // How many traces are taken may be asked for; all are, otherwise.
    for variable in ["OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"] {
        command.envs(std::env::var(variable).map(|value| (variable, value)));
    }
    command.env("AWS_ENDPOINT_URL", url).env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command.envs(cpu.map(|cpu| (CPU, cpu.to_string())));
    command.spawn().expect("our own executable can be started")
}

impl Measured {
    /// Messages a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        count(self.messages) / self.busy.as_secs_f64()
    }

    /// CPU time of the client for each message, in microseconds.
    #[must_use]
    pub fn cpu_per_message(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count(self.messages)
    }

    /// Requests for each message, but for receives that found nothing, as the last ones do.
    #[must_use]
    pub fn requests_per_message(&self) -> f64 {
        count(self.counts.requests - self.counts.empty_receives) / count(self.messages)
    }

    /// The most memory, in MB.
    #[must_use]
    pub fn megabytes(&self) -> f64 {
        count(usize::try_from(self.memory).expect("it fits into memory")) / 1e6
    }
}

#[expect(clippy::cast_precision_loss, reason = "no count here is anywhere near 2^52")]
const fn count(count: usize) -> f64 {
    count as f64
}
