//! A Docker engine of a test's own: in namespaces of its own, which end with the test process, however that ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};
use upbeat_testkit::{ServiceCommand, eventually};

use super::machine::{IMAGE, MAKE_IMAGE, SOON, Verdict, lacks};

/// So many engines at a time: two cores are few.
static ENGINES: Semaphore = Semaphore::const_new(2);

static VERDICT: Verdict = Verdict::unknown();

/// The first process of the namespaces: when its input ends, it ends, and with it everything in them. An engine that ends
/// by itself is started again, as its host would: right after a crash it may find what is left of the one before.
const KEEPER: &str = r#"
folder=$1 group=$2
shift 2
while read -r word; do
  case $word in
    start)
      : >"$folder/wanted"
      while [ -e "$folder/wanted" ]; do
        rm -f "$folder/pid"
        dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" --iptables=false \
          --ip6tables=false --cgroup-parent "$group" -H "unix://$folder/docker.sock" "$@" >>"$folder/log" 2>&1
        sleep 0.2
      done &
      ;;
    kill)
      rm "$folder/wanted"
      kill -9 "$(cat "$folder/pid")"
      wait
      ;;
  esac
done
"#;

/// An engine that runs.
pub(crate) struct Engine {
    folder: TempDir,
    group: String,
    keeper: Child,
    words: Option<ChildStdin>,
    _permit: SemaphorePermit<'static>,
}

impl Engine {
    /// One without containers; `None`, which is said, where none can be run.
    pub(crate) async fn start(arguments: &[&str]) -> Option<Self> {
        let permit = ENGINES.acquire().await.unwrap();
        VERDICT.on(Self::try_start(arguments, permit)).await
    }

    async fn try_start(arguments: &[&str], permit: SemaphorePermit<'static>) -> Result<Self, String> {
        lacks(&["dockerd", "docker", "unshare"])?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let group = format!("/upbeat-test-{}", folder.path().file_name().unwrap().to_string_lossy());
        let mut keeper = Command::new("unshare");
        keeper.args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child=SIGKILL",
            "--mount-proc",
            "sh",
            "-c",
            KEEPER,
        ]);
        keeper.arg("sh").arg(folder.path()).arg(&group).args(arguments);
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
        let mut keeper = keeper.spawn().map_err(|error| format!("unshare: {error}"))?;
        let words = keeper.stdin.take();
        let mut engine = Self { folder, group, keeper, words, _permit: permit };
        engine.tell("start").await;
        // What is missing here is missing on this machine: privileges, as a rule.
        engine.answers(Duration::from_secs(30)).await?;
        let root = engine.path("root");
        let made = engine.command("sh").args(["-c", MAKE_IMAGE, "sh"]).arg(&root).output().await;
        let made = made.map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(format!("no image can be made: {}", String::from_utf8_lossy(&made.stderr)));
        }
        engine.try_docker(&["run", "--rm", IMAGE, "sh", "-c", "exit 0"]).await?;
        Ok(engine)
    }

    /// Waits until it answers.
    async fn answers(&mut self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        while self.try_docker(&["version"]).await.is_err() {
            if let Ok(Some(ended)) = self.keeper.try_wait() {
                return Err(format!("no namespaces can be made: {ended}"));
            }
            if Instant::now() >= deadline {
                let log = fs::read_to_string(self.path("log")).unwrap_or_default();
                let last: Vec<_> = log.lines().rev().take(3).collect();
                return Err(format!("dockerd does not answer: {last:?}"));
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn tell(&mut self, word: &str) {
        let words = self.words.as_mut().unwrap();
        words.write_all(format!("{word}\n").as_bytes()).await.unwrap();
    }

    /// Kills it as a crash would, and starts it again.
    pub(crate) async fn crash(&mut self) {
        self.tell("kill").await;
        self.tell("start").await;
        self.answers(SOON).await.unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// An orchestrator for it that enforces, to be set and started.
    pub(crate) fn orchestrator(&self) -> ServiceCommand {
        self.watcher().arg("--enforce")
    }

    /// The same, that only says what it would do.
    pub(crate) fn watcher(&self) -> ServiceCommand {
        let state = self.path("state").display().to_string();
        ServiceCommand::new("orchestrator", "").env("DOCKER_HOST", self.address()).env("STATE", state)
    }

    /// A command in its network: what it listens on can't be reached from elsewhere.
    pub(crate) fn in_its_network(&self, program: &str) -> Command {
        let mut command = self.command("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.keeper.id().unwrap())).arg("--").arg(program);
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("DOCKER_HOST", self.address())
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// What docker prints, or why it failed.
    pub(crate) async fn try_docker(&self, arguments: &[&str]) -> Result<String, String> {
        let run = timeout(SOON, self.command("docker").args(arguments).output()).await;
        let run = run.map_err(|_| "docker does not end".to_owned())?.map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if run.status.success() { Ok(text(&run.stdout)) } else { Err(format!("{arguments:?}: {}", text(&run.stderr))) }
    }

    /// What docker prints, which must succeed.
    pub(crate) async fn docker(&self, arguments: &[&str]) -> String {
        self.try_docker(arguments).await.unwrap()
    }

    /// Has the events that matter written to the file `events`, for as long as what is given lives.
    pub(crate) fn record_events(&self) -> Child {
        let events = ["kill", "die", "start", "health_status"].map(|event| format!("--filter=event={event}"));
        let mut recorder = self.command("docker");
        recorder.args(["events", "--format", "{{json .}}"]).args(events);
        recorder.stdout(fs::File::create(self.path("events")).unwrap()).spawn().unwrap()
    }

    /// Runs a container.
    pub(crate) async fn run(&self, name: &str, options: &[&str], script: &str) {
        let mut arguments = vec!["run", "--detach", "--network", "none", "--name", name];
        arguments.extend(options);
        arguments.extend([IMAGE, "sh", "-c", script]);
        self.docker(&arguments).await;
    }

    /// What Docker says of a container.
    pub(crate) async fn inspect(&self, name: &str) -> Value {
        let told = self.docker(&["inspect", "--type", "container", name]).await;
        serde_json::from_str::<Value>(&told).unwrap()[0].take()
    }

    /// The names of what runs, sorted.
    pub(crate) async fn running(&self) -> Vec<String> {
        let names = self.docker(&["ps", "--format", "{{.Names}}"]).await;
        let mut names: Vec<_> = names.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Waits until exactly these run.
    pub(crate) async fn wait_running(&self, names: &[&str]) {
        eventually(&format!("{names:?} running"), SOON, async || match self.running().await {
            running if running == names => Ok(()),
            running => Err(format!("{running:?}")),
        })
        .await;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // All processes of the namespaces end before their first one does.
        drop(self.words.take());
        for _ in 0..500 {
            if !matches!(self.keeper.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.keeper.start_kill());
        for controller in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            remove_groups(&controller.path().join(&self.group[1..]));
        }
        remove_groups(&Path::new("/sys/fs/cgroup").join(&self.group[1..]));
    }
}

/// Control groups, which are empty by now.
fn remove_groups(group: &Path) {
    for inner in fs::read_dir(group).into_iter().flatten().flatten().filter(|inner| inner.path().is_dir()) {
        remove_groups(&inner.path());
    }
    drop(fs::remove_dir(group));
}
