//! A Redis of one's own: Debian's, on a port that stays the same while it is killed, frozen and started again.

use std::env::{split_paths, var_os};
use std::path::PathBuf;
use std::time::Duration;

use crate::port::ReservedPort;
use crate::process::{Service, ServiceCommand};

/// How long a start may take.
const LIMIT: Duration = Duration::from_mins(1);

/// A server that was started; it ends when dropped.
#[derive(Debug)]
pub struct Redis {
    port: ReservedPort,
    command: ServiceCommand,
    running: Option<Service>,
}

impl Redis {
    /// Starts one that holds nothing; `None` on a machine that has no `redis-server` (Debian's package of that name), which
    /// is said.
    pub async fn start() -> Option<Self> {
        let mut redis = Self::stopped()?;
        redis.start_again().await;
        Some(redis)
    }

    /// One that does not run yet; `None` as above.
    #[must_use]
    pub fn stopped() -> Option<Self> {
        let Some(program) = program() else {
            println!("SKIPPED: no Redis to keep answers in; apt-get install redis-server");
            return None;
        };
        let port = ReservedPort::take();
        let command = ServiceCommand::new(&program.to_string_lossy(), "");
        let command = command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.number().to_string()]);
        Some(Self { port, command, running: None })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.port.address())
    }

    /// The process; panics if it was killed.
    #[must_use]
    pub const fn process(&self) -> &Service {
        self.running.as_ref().expect("Redis runs")
    }

    /// Starts it, or another one in its place, which holds nothing.
    pub async fn start_again(&mut self) {
        let server = self.command.spawn().await;
        let ready = |line: &str| line.contains("Ready to accept connections").then_some(());
        assert!(server.output().find(LIMIT, ready).await.is_some(), "{server:?}");
        self.running = Some(server);
    }

    /// Kills it; from then on connections are refused.
    pub async fn kill(&mut self) {
        if let Some(server) = self.running.take() {
            server.kill().await;
        }
    }
}

fn program() -> Option<PathBuf> {
    let path = var_os("PATH")?;
    split_paths(&path).map(|folder| folder.join("redis-server")).find(|program| program.is_file())
}
