//! Several hosts on one machine: an engine each in a network namespace of its own, joined by a bridge in one more, the
//! middle. All of it is inside of namespaces that end with the test process, however that ends, and nothing of it has a
//! name outside of them.
//!
//! Host 1 is 10.77.0.11, host 2 is 10.77.0.12, and so on; the middle is 10.77.0.1, and a server's place. What listens
//! there can't be reached from the test itself, but by [`Hosts::request`] and [`Hosts::connect`].

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use nix::sched::{CloneFlags, setns};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::time::{Instant, sleep, timeout};
use upbeat_testkit::http::{self, Response};
use upbeat_testkit::{ServiceCommand, process};

use super::machine::{IMAGE, MAKE_IMAGE, SOON, Verdict, lacks};

/// Two tests at a time: each has several engines, and waits most of the time.
static TURN: Semaphore = Semaphore::const_new(2);

static VERDICT: Verdict = Verdict::unknown();

/// What has to be there.
const PROGRAMS: [&str; 5] = ["dockerd", "docker", "unshare", "nsenter", "ip"];

/// The first process of the namespaces.
const KEEPER: &str = include_str!("keeper.sh");

/// Where something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the server runs.
    Middle,
    /// On this host, from 1 on.
    Host(usize),
}

/// Hosts with an engine each.
pub(crate) struct Hosts {
    folder: TempDir,
    count: usize,
    keeper: Child,
    words: Option<ChildStdin>,
    _turn: SemaphorePermit<'static>,
}

impl Hosts {
    /// So many, whose engines run and have [`IMAGE`]; `None`, which is said, where there can't be any.
    pub(crate) async fn start(count: usize) -> Option<Self> {
        Self::start_with(count, &[]).await
    }

    /// The same, with more arguments for the engines.
    pub(crate) async fn start_with(count: usize, arguments: &[&str]) -> Option<Self> {
        let turn = TURN.acquire().await.unwrap();
        VERDICT.on(Self::try_start(count, arguments, turn)).await
    }

    async fn try_start(count: usize, arguments: &[&str], turn: SemaphorePermit<'static>) -> Result<Self, String> {
        lacks(&PROGRAMS)?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let group = format!("/upbeat-test-{}", folder.path().file_name().unwrap().to_string_lossy());
        let mut keeper = Command::new("unshare");
        keeper.args(["--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]);
        keeper.args(["sh", "-c", KEEPER, "sh"]).arg(folder.path()).arg(&group).arg(count.to_string()).args(arguments);
        let log = File::create(folder.path().join("log")).map_err(|error| error.to_string())?;
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).process_group(0).kill_on_drop(true);
        let mut keeper = keeper.spawn().map_err(|error| format!("unshare: {error}"))?;
        let words = keeper.stdin.take();
        let output = keeper.stdout.take().unwrap();
        let mut hosts = Self { folder, count, keeper, words, _turn: turn };
        let mut ready = String::new();
        let told = timeout(SOON, BufReader::new(output).read_line(&mut ready)).await;
        if ready != "ready\n" {
            let log = fs::read_to_string(hosts.folder.path().join("log")).unwrap_or_default();
            return Err(format!("no namespaces can be made: {told:?} {log}"));
        }
        for host in hosts.all() {
            hosts.tell("start", host).await;
        }
        for host in hosts.all() {
            // What is missing here is missing on this machine: privileges, as a rule.
            hosts.answers(host, Duration::from_mins(1)).await?;
            let root = hosts.path(host, "root");
            let made = hosts.command(host, "sh").args(["-c", MAKE_IMAGE, "sh"]).arg(&root).output().await;
            let made = made.map_err(|error| error.to_string())?;
            if !made.status.success() {
                return Err(format!("no image can be made: {}", String::from_utf8_lossy(&made.stderr)));
            }
            hosts.try_docker(host, &["run", "--rm", IMAGE, "sh", "-c", "exit 0"]).await?;
        }
        Ok(hosts)
    }

    /// The hosts' numbers.
    pub(crate) fn all(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.count
    }

    // What goes wrong.

    /// Takes a host's network away: what it is sent is lost, and nobody is told.
    pub(crate) async fn cut(&self, host: usize) {
        self.ip(&["link", "set", &format!("host{host}"), "down"]).await;
    }

    /// Gives it back.
    pub(crate) async fn mend(&self, host: usize) {
        self.ip(&["link", "set", &format!("host{host}"), "up"]).await;
    }

    /// Kills a host's engine as a crash would. Its containers run on, until it is started again.
    pub(crate) async fn kill_engine(&mut self, host: usize) {
        self.tell("kill", host).await;
        let deadline = Instant::now() + SOON;
        while self.try_docker(host, &["version"]).await.is_ok() {
            assert!(Instant::now() < deadline, "engine {host} does not die");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts it again, and waits until it answers.
    pub(crate) async fn start_engine(&mut self, host: usize) {
        self.tell("start", host).await;
        self.answers(host, SOON).await.unwrap();
    }

    // What runs there.

    /// What docker prints on this host, which must succeed.
    pub(crate) async fn docker(&self, host: usize, arguments: &[&str]) -> String {
        self.try_docker(host, arguments).await.unwrap()
    }

    /// What docker prints, or why it failed.
    pub(crate) async fn try_docker(&self, host: usize, arguments: &[&str]) -> Result<String, String> {
        let run = timeout(SOON, self.command(host, "docker").args(arguments).output()).await;
        let run = run.map_err(|_| "docker does not end".to_owned())?.map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if run.status.success() { Ok(text(&run.stdout)) } else { Err(format!("{arguments:?}: {}", text(&run.stderr))) }
    }

    /// The names of the containers that run on this host, sorted.
    pub(crate) async fn running(&self, host: usize) -> Vec<String> {
        let names = self.docker(host, &["ps", "--format", "{{.Names}}"]).await;
        let mut names: Vec<_> = names.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// An orchestrator at this place, to be given arguments and started. Its HTTP is for [`Hosts::request`]: the methods
    /// of a service that ask it would look for it outside.
    pub(crate) async fn orchestrator(&self, place: Place) -> ServiceCommand {
        let state = match place {
            Place::Middle => self.shared("state"),
            Place::Host(host) => self.path(host, "state"),
        };
        let (nsenter, binary) = (self.enter(place), process::binary("orchestrator").await);
        let command = ServiceCommand::new(&nsenter[0], "").args(&nsenter[1..]).arg(binary.display().to_string());
        let command = command.env("STATE", state.display().to_string());
        match place {
            Place::Middle => command,
            Place::Host(host) => command.env("DOCKER_HOST", self.socket(host)),
        }
    }

    /// What a command line begins with to be run at this place.
    pub(crate) fn enter(&self, place: Place) -> [String; 2] {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut programs = std::env::split_paths(&path).map(|folder| folder.join("nsenter"));
        let nsenter = programs.find(|path| path.is_file()).unwrap();
        [nsenter.display().to_string(), format!("--net={}", self.network(place).display())]
    }

    // What is sent there.

    /// Sends a request from this place; an error says why there is no answer.
    pub(crate) async fn request(
        &self,
        place: Place,
        method: &str,
        url: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response, String> {
        let (method, url, body) = (method.to_owned(), url.to_owned(), body.into());
        self.inside(place, async move || http::request(&method, &url, "application/json", body).await).await
    }

    /// Whether somebody listens there, as seen from this place.
    pub(crate) async fn connect(&self, place: Place, address: SocketAddr, limit: Duration) -> Result<(), String> {
        let connect = async move || match timeout(limit, tokio::net::TcpStream::connect(address)).await {
            Ok(connected) => connected.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {limit:?}")),
        };
        self.inside(place, connect).await
    }

    /// What this gives when it is done at that place: by a thread of its own, since a thread is where a namespace is.
    pub(crate) async fn inside<T: Send + 'static>(
        &self,
        place: Place,
        work: impl AsyncFnOnce() -> T + Send + 'static,
    ) -> T {
        let network = File::open(self.network(place)).unwrap();
        let (done, ended) = oneshot::channel();
        std::thread::spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            drop(done.send(runtime.block_on(work())));
        });
        ended.await.unwrap()
    }

    // Where it is.

    /// A host's own address; port 2375 is its engine's.
    pub(crate) fn address(host: usize, port: u16) -> SocketAddr {
        format!("10.77.0.{}:{port}", 10 + host).parse().unwrap()
    }

    /// Where a host's engine listens.
    pub(crate) fn socket(&self, host: usize) -> String {
        format!("unix://{}", self.path(host, "docker.sock").display())
    }

    /// A file of a host's.
    pub(crate) fn path(&self, host: usize, name: &str) -> PathBuf {
        self.folder.path().join(host.to_string()).join(name)
    }

    /// A file of the middle's.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The namespaces' files are mounted where only the keeper sees them.
    fn network(&self, place: Place) -> PathBuf {
        let keeper = PathBuf::from(format!("/proc/{}", self.keeper.id().unwrap()));
        match place {
            Place::Middle => keeper.join("ns/net"),
            Place::Host(host) => {
                let path = self.path(host, "network");
                keeper.join("root").join(path.strip_prefix("/").unwrap())
            }
        }
    }

    fn command(&self, host: usize, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DOCKER_HOST", self.socket(host)).env("HOME", self.folder.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn ip(&self, arguments: &[&str]) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.network(Place::Middle).display())).arg("ip").args(arguments);
        let done = command.stdin(Stdio::null()).output().await.unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    async fn tell(&mut self, word: &str, host: usize) {
        let words = self.words.as_mut().unwrap();
        words.write_all(format!("{word} {host}\n").as_bytes()).await.unwrap();
    }

    async fn answers(&self, host: usize, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        while let Err(error) = self.try_docker(host, &["version"]).await {
            if Instant::now() >= deadline {
                let log = fs::read_to_string(self.path(host, "log")).unwrap_or_default();
                let last: Vec<_> = log.lines().rev().take(3).collect();
                return Err(format!("dockerd does not answer: {error}; {last:?}"));
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // It ends all that is in the namespaces, and takes away what was left. It would without us, too.
        drop(self.words.take());
        for _ in 0..1000 {
            if !matches!(self.keeper.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.keeper.start_kill());
    }
}
