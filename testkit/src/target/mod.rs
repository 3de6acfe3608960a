//! A load target: as much of SQS and SNS as a benchmark needs, in memory, on a thread of its own, answers rendered beforehand,
//! so that what is measured is the client.
//!
//! It has a given number of messages to hand out, counts requests, and knows which receipt handles it gave out and which
//! of them were deleted. There is no redelivery and no check of signatures.

mod server;
mod sns;
mod sqs;
mod state;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::bench::pin::pin;

pub use state::Counts;
use state::State;

/// What a target has, and how long it takes.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many messages its queue hands out, and how many make it [done](Target::wait_done): deleted, or published.
    pub messages: usize,
    /// The body of each message.
    pub body: String,
    /// How long each answer takes, besides the wait of a long poll.
    pub latency: Duration,
    /// The CPU that its thread is to keep to.
    pub cpu: Option<usize>,
}

/// A running target; it ends when it is dropped.
#[derive(Debug)]
pub struct Target {
    address: SocketAddr,
    state: Arc<State>,
    _stop: DropGuard,
}

impl Target {
    /// Starts a target on a free port of 127.0.0.1.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("the port");
        let cpu = options.cpu;
        let state = Arc::new(State::new(address, options));
        let stop = CancellationToken::new();
        let (served, stopped) = (Arc::clone(&state), stop.clone());
        thread::spawn(move || {
            if let Some(cpu) = cpu {
                pin(cpu);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(stopped.run_until_cancelled(server::serve(listener, served)));
        });
        Self { address, state, _stop: stop.drop_guard() }
    }

    /// What to set `AWS_ENDPOINT_URL` to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until all messages were deleted or published. `None` if that takes longer.
    #[must_use]
    pub fn wait_done(&self, within: Duration) -> Option<Counts> {
        self.state.wait(within, |counts| counts.done.is_some())
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.counts()
    }
}

impl Counts {
    /// From the first request for a message to the last delete, or from the first publish to the last.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.done.zip(self.first_request).map_or(Duration::ZERO, |(done, first)| done - first)
    }

    /// From this instant to the first message that was deleted or published.
    #[must_use]
    pub fn first_message_after(&self, start: Instant) -> Duration {
        self.first_message.map_or(Duration::ZERO, |first| first - start)
    }
}
