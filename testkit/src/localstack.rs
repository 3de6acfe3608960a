//! SNS and SQS on this machine: LocalStack, by the project's own start script.

use std::fs::File;
use std::iter;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::OnceCell;

use crate::pids::{descendants, is_running};
use crate::port::ReservedPort;

/// An SNS and SQS server that runs already, such as `http://127.0.0.1:4566`, for [`LocalStack::shared`] to use.
pub const ENDPOINT_VARIABLE: &str = "UPBEAT_TEST_ENDPOINT";

/// The first start on a machine makes a Python environment, and other tests may do that at the same time.
const READY_WITHIN: Duration = Duration::from_mins(5);

/// How long an orderly stop may take before everything is killed.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// How long the system may take to end what was killed.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// How often the start script is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What our command in the start script says once LocalStack is ready. It then waits for the end of its standard
/// input, which is ours: when this process dies, of whatever, the command ends, and LocalStack with it.
const READY: &str = "ready";
const SAY_READY_AND_WAIT: &str = "echo ready; exec cat";

/// Removes the data folder when the start script has ended, since we may be dead by then.
const START_AND_CLEAN_UP: &str = r#"data=$1; shift; "$@"; status=$?; rm -rf "$data"; exit $status"#;

/// A running LocalStack with the resources of the project's hook in it.
#[derive(Debug)]
pub struct LocalStack {
    url: String,
    port: Option<ReservedPort>,
    running: Option<Running>,
}

impl LocalStack {
    /// Starts one for the caller alone, on a free port. It ends when it is dropped or the process dies.
    pub async fn start() -> Self {
        let port = ReservedPort::take();
        let running = Running::start(port.number()).await;
        Self { url: format!("http://{}", port.address()), port: Some(port), running: Some(running) }
    }

    /// The one of this test process, started by the first to ask. It ends with the process.
    ///
    /// Where [`ENDPOINT_VARIABLE`] is set, that server is used instead.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<LocalStack> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                match std::env::var(ENDPOINT_VARIABLE) {
                    Ok(url) if !url.is_empty() => Self { url, port: None, running: None },
                    _ => Self::start().await,
                }
            })
            .await
    }

    /// The endpoint of both services, such as `http://127.0.0.1:41234`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every process that runs for it; none when it is stopped, or not ours.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let start = self.running.as_ref().map(|running| running.child.id());
        start.into_iter().flat_map(|pid| iter::once(pid).chain(descendants(pid))).collect()
    }

    /// Stops it in order. Queues and topics are forgotten; connections are refused.
    pub async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.ask_to_stop();
            let deadline = Instant::now() + STOPPED_WITHIN;
            while running.exit().is_none() && Instant::now() < deadline {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Kills it, as a crash would. Queues and topics are forgotten; connections are refused.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Starts it on the same port again, with the hook's resources anew.
    pub async fn start_again(&mut self) {
        self.stop().await;
        let port = self.port.as_ref().expect("a LocalStack that was not started here can't be started again");
        self.running = Some(Running::start(port.number()).await);
    }

    /// What it has written to standard output and standard error since it was started.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.as_ref().map(Running::log).unwrap_or_default()
    }
}

impl AsRef<str> for LocalStack {
    fn as_ref(&self) -> &str {
        self.url()
    }
}

/// The start script and all that it has started, in other process groups than ours, so that Ctrl-C does not reach them
/// before our own end does.
#[derive(Debug)]
struct Running {
    child: Child,
    /// Its end is LocalStack's.
    input: Option<ChildStdin>,
    /// Has no name, so nobody has to remove it. A pipe would have to be read, and would break when we die.
    log: File,
    data: PathBuf,
}

impl Running {
    async fn start(port: u16) -> Self {
        let mut running = Self::spawn(port);
        let deadline = Instant::now() + READY_WITHIN;
        while !running.log().lines().any(|line| line == READY) {
            if let Some(status) = running.exit() {
                panic!("LocalStack did not start ({status}):\n{}", running.log());
            }
            assert!(Instant::now() < deadline, "LocalStack not ready within {READY_WITHIN:?}:\n{}", running.log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        running
    }

    fn spawn(port: u16) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member is in the workspace's folder");
        let script = script.join("localstack/start");
        let data = tempfile::Builder::new().prefix("upbeat-localstack-").tempdir().expect("no temporary folder").keep();
        let log = tempfile::tempfile().expect("no temporary file");
        let share_log = || log.try_clone().expect("a file can be shared with a child");

        let mut command = Command::new("sh");
        command.args(["-c", START_AND_CLEAN_UP, "sh"]).arg(&data).arg(&script);
        command.args(["--port", &port.to_string(), "--data"]).arg(&data);
        command.args(["--", "sh", "-c", SAY_READY_AND_WAIT]);
        command.stdin(Stdio::piped()).stdout(share_log()).stderr(share_log()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", script.display()));
        let input = child.stdin.take();
        Self { child, input, log, data }
    }

    fn ask_to_stop(&mut self) {
        drop(self.input.take());
    }

    fn exit(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("our own child can be waited for")
    }

    fn kill(&mut self) {
        // Our child is not reaped yet, so its id can't have passed to another.
        if self.exit().is_none() {
            let pid = self.child.id();
            let processes: Vec<u32> = iter::once(pid).chain(descendants(pid)).collect();
            for pid in &processes {
                // Fails where one has ended because of another's end.
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            self.child.wait().expect("our own child can be waited for");
            // The others are not ours to wait for, and listen until they are gone.
            let deadline = Instant::now() + KILLED_WITHIN;
            while processes.iter().any(|&pid| is_running(pid)) && Instant::now() < deadline {
                thread::sleep(LOOK_EVERY);
            }
        }
        // Fails where the start script's end has removed it already.
        let _ = std::fs::remove_dir_all(&self.data);
    }

    fn log(&self) -> String {
        let written = self.log.metadata().expect("a temporary file has a length").len();
        let mut log = vec![0; usize::try_from(written).expect("a log fits into memory")];
        // Seeking would move the position at which the child writes.
        self.log.read_exact_at(&mut log, 0).expect("a temporary file can be read");
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ask_to_stop();
        let deadline = Instant::now() + STOPPED_WITHIN;
        while self.exit().is_none() && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        self.kill();
    }
}
