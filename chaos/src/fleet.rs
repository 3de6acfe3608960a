//! The services: each behind a network of its own, with a log of its own, started again as an orchestrator would.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinHandle;
use upbeat_testkit::process::Output;
use upbeat_testkit::{Event, Proxy, Service, ServiceCommand, Signal};

use crate::journal::{Entry, Journal};

/// Longer than a drain may take.
pub const EXIT_WITHIN: Duration = Duration::from_mins(1);

/// Longer than any service runs.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// A producer or a consumer, whichever process it is now.
#[derive(Debug)]
pub struct Member {
    /// Such as `consumer-1`.
    pub name: String,
    /// The way to LocalStack.
    pub proxy: Proxy,
    command: ServiceCommand,
    service: Service,
    following: JoinHandle<()>,
    journal: Arc<Journal>,
    log: File,
    starts: usize,
}

impl Member {
    /// Starts it, on the way to `endpoint` by a proxy. Its log, `NAME.log` in the folder, is that of all its processes.
    pub async fn start(
        name: &str,
        endpoint: &str,
        command: impl FnOnce(&Proxy) -> ServiceCommand,
        journal: Arc<Journal>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let proxy = Proxy::to(endpoint);
        let path = folder.join(format!("{name}.log"));
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot write {}", path.display()))?;
        let command = command(&proxy);
        let service = command.start().await;
        let following = follow(name, service.output().clone(), journal.clone(), log.try_clone()?);
        Ok(Self { name: name.to_owned(), proxy, command, service, following, journal, log, starts: 1 })
    }

    /// The process that it is now.
    #[must_use]
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// How often it was started.
    #[must_use]
    pub const fn starts(&self) -> usize {
        self.starts
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.service.signal(signal);
    }

    /// kill -9. What it has written before that is in the journal and in its log.
    pub async fn kill(&mut self) {
        self.service.kill().await;
        self.end().await;
    }

    /// Waits for its end after a signal, and gives the exit code.
    pub async fn exit(&mut self) -> i32 {
        let code = self.service.wait_exit(EXIT_WITHIN).await;
        self.end().await;
        code
    }

    /// Starts it after its end.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.service = self.command.start().await;
        self.following = follow(&self.name, self.service.output().clone(), self.journal.clone(), self.log.try_clone()?);
        self.starts += 1;
        Ok(())
    }

    async fn end(&mut self) {
        // It has ended with the output, unless writing the journal has failed, which has told so.
        let _ = (&mut self.following).await;
        for line in self.service.errors().lines() {
            // The journal is what counts; a log that can't be written will be missed by whoever looks for it.
            let _ = writeln!(self.log, "{line}");
        }
    }
}

/// Copies each line into the log, and deletes into the journal.
fn follow(name: &str, output: Output, journal: Arc<Journal>, mut log: File) -> JoinHandle<()> {
    let by = name.to_owned();
    tokio::spawn(async move {
        let line = |line: &str| {
            // As above.
            let _ = writeln!(log, "{line}");
            if let Some(event) = Event::parse(line).filter(|event| event.name() == "deleted") {
                journal.write([Entry::Deleted { id: event.text("id").to_owned(), by: by.clone() }]);
            }
            None::<()>
        };
        output.find(FOREVER, line).await;
    })
}
