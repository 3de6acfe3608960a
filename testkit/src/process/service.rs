//! A service that runs.

use std::fmt::{self, Debug};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Event, Output, ServiceCommand, Terminal, Usage, reaper};
use crate::eventually;
use crate::http::{self, Response};

/// How long a start may take, the machine being busy with other tests.
const STARTED_WITHIN: Duration = Duration::from_secs(20);

/// How long the output may go on after the exit, where a child of the service holds it.
const OUTPUT_ENDS_WITHIN: Duration = Duration::from_secs(1);

/// How often the exit is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How many lines of output a failure shows.
const SHOWN: usize = 40;

/// A service that was started; killed when dropped.
pub struct Service {
    name: String,
    child: Mutex<Child>,
    pid: u32,
    started: Instant,
    input: Mutex<Option<ChildStdin>>,
    output: Output,
    errors: Output,
    _home: TempDir,
}

impl Service {
    /// A producer for the server at `endpoint`, to be set and started.
    #[must_use]
    pub fn producer(endpoint: impl AsRef<str>) -> ServiceCommand {
        ServiceCommand::new("producer", endpoint)
    }

    /// A consumer for the server at `endpoint`, to be set and started.
    #[must_use]
    pub fn consumer(endpoint: impl AsRef<str>) -> ServiceCommand {
        ServiceCommand::new("consumer", endpoint)
    }

    /// A shout, which knows nothing of AWS, to be set and started.
    #[must_use]
    pub fn shout() -> ServiceCommand {
        let aws = ["AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        aws.iter().fold(ServiceCommand::new("shout", ""), |command, variable| command.env_remove(variable))
    }

    pub(super) fn new(name: &str, mut child: Child, terminal: Option<Terminal>, home: TempDir) -> Self {
        let pid = child.id();
        reaper::started(pid);
        Self {
            name: name.to_owned(),
            pid,
            started: Instant::now(),
            input: Mutex::new(child.stdin.take()),
            output: Output::read(child.stdout.take().expect("standard output is a pipe")),
            errors: match terminal {
                Some(terminal) => Output::read(terminal),
                None => Output::read(child.stderr.take().expect("standard error is a pipe")),
            },
            child: Mutex::new(child),
            _home: home,
        }
    }

    /// The process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// How long ago it was started.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The CPU time and memory that it has taken so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(self.pid).unwrap_or_else(|| panic!("{self:?} is not running"))
    }

    // What it prints.

    /// Standard output.
    #[must_use]
    pub const fn output(&self) -> &Output {
        &self.output
    }

    /// Standard error.
    #[must_use]
    pub const fn errors(&self) -> &Output {
        &self.errors
    }

    /// All lines of standard output so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.output.lines()
    }

    /// All events of this name so far.
    #[must_use]
    pub fn events(&self, name: &str) -> Vec<Event> {
        self.output.events(name)
    }

    /// The first event, from the start on, for which `wanted` holds; `what` is for the failure.
    pub async fn wait_for(&self, what: &str, limit: Duration, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        let found = self.output.find(limit, |line| Event::parse(line).filter(&mut wanted)).await;
        found.unwrap_or_else(|| panic!("no {what} within {limit:?}: {self:?}"))
    }

    /// Waits until there are at least `count` events of this name; gives all there are.
    pub async fn wait_events(&self, name: &str, count: usize, limit: Duration) -> Vec<Event> {
        if count == 0 {
            return self.events(name);
        }
        let mut found = 0;
        let enough = |line: &str| {
            found += usize::from(Event::parse(line).is_some_and(|event| event.name() == name));
            (found >= count).then_some(())
        };
        let enough = self.output.find(limit, enough).await;
        assert!(enough.is_some(), "{found} events {name:?} instead of {count} within {limit:?}: {self:?}");
        self.events(name)
    }

    // Its HTTP.

    /// Waits until it listens, and gives the address.
    pub async fn wait_listening(&self) -> SocketAddr {
        let address = |line: &str| {
            let event = Event::parse(line);
            let address = match &event {
                Some(event) => event.text("listening"),
                // The text form.
                None => line.split("listening=").nth(1)?.split_whitespace().next()?,
            };
            address.parse().ok()
        };
        let found = self.output.find(STARTED_WITHIN, address).await;
        found.unwrap_or_else(|| panic!("not listening within {STARTED_WITHIN:?}: {self:?}"))
    }

    /// Waits until `/ready` says 200.
    pub async fn wait_ready(&self) {
        self.wait_ready_within(STARTED_WITHIN).await;
    }

    /// Waits until `/ready` says 200, for so long.
    pub async fn wait_ready_within(&self, limit: Duration) {
        eventually(&format!("readiness of {}", self.name), limit, async || match self.try_get("/ready").await {
            Ok(response) if response.status == 200 => Ok(()),
            other => Err(format!("{other:?}: {self:?}")),
        })
        .await;
    }

    /// What `/health` answers.
    pub async fn health(&self) -> Response {
        self.get("/health").await
    }

    /// What `/ready` answers.
    pub async fn ready(&self) -> Response {
        self.get("/ready").await
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Response {
        self.try_get(path).await.unwrap_or_else(|error| panic!("GET {path}: {error}: {self:?}"))
    }

    /// Sends a GET; an error says why there is no answer.
    pub async fn try_get(&self, path: &str) -> Result<Response, String> {
        http::request("GET", &self.url(path).await, "", Bytes::new()).await
    }

    /// Sends a POST of JSON.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Response {
        let posted = self.try_post(path, "application/json", body).await;
        posted.unwrap_or_else(|error| panic!("POST {path}: {error}: {self:?}"))
    }

    /// Sends a POST of any content type; an error says why there is no answer.
    pub async fn try_post(&self, path: &str, content_type: &str, body: impl Into<Bytes>) -> Result<Response, String> {
        http::request("POST", &self.url(path).await, content_type, body.into()).await
    }

    /// The URL of a path.
    pub async fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.wait_listening().await)
    }

    // Its input.

    /// Writes a line to standard input, which must be [`Input::Pipe`](super::Input::Pipe). Blocks while the pipe is full.
    pub fn write_line(&self, line: &str) {
        let mut input = lock(&self.input);
        let input = input.as_mut().expect("standard input is not a pipe, or closed");
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("cannot write to standard input ({error}): {self:?}"));
    }

    /// Ends standard input.
    pub fn close_input(&self) {
        drop(lock(&self.input).take());
    }

    // Its end.

    /// Sends a signal; panics if it has ended.
    pub fn signal(&self, signal: Signal) {
        let mut child = lock(&self.child);
        let exit = child.try_wait().expect("our own child can be waited for");
        assert!(exit.is_none(), "{signal} comes too late: {self:?}");
        // It is not reaped, so its id is still its own.
        kill(Pid::from_raw(self.pid.cast_signed()), signal).expect("our own child can be signalled");
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.try_exit().is_none()
    }

    /// Waits for its end and gives the exit code; 128 plus the signal's number if it died of one. After that, the
    /// output is complete.
    pub async fn wait_exit(&self, limit: Duration) -> i32 {
        let deadline = Instant::now() + limit;
        let code = loop {
            if let Some(code) = self.try_exit() {
                break code;
            }
            assert!(Instant::now() < deadline, "no exit within {limit:?}: {self:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        };
        self.output.wait_end(OUTPUT_ENDS_WITHIN).await;
        self.errors.wait_end(OUTPUT_ENDS_WITHIN).await;
        code
    }

    /// Kills it with SIGKILL and waits for its end.
    pub async fn kill(&self) {
        if self.is_running() {
            self.signal(Signal::SIGKILL);
        }
        self.wait_exit(STARTED_WITHIN).await;
    }

    fn try_exit(&self) -> Option<i32> {
        let exit = lock(&self.child).try_wait().expect("our own child can be waited for")?;
        reaper::ended(self.pid);
        Some(exit.code().unwrap_or_else(|| 128 + exit.signal().unwrap_or_default()))
    }
}

/// Name, state and last lines: what every failure shows.
impl Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} (pid {}, started {:?} ago) printed last:", self.name, self.pid, self.age())?;
        writeln!(formatter, "{}", self.output.tail(SHOWN))?;
        write!(formatter, "and to standard error:\n{}", self.errors.tail(SHOWN))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{self:?}");
        }
        let mut child = lock(&self.child);
        // Fails if it has ended, which is as well.
        let _ = child.kill();
        let _ = child.wait();
        reaper::ended(self.pid);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
