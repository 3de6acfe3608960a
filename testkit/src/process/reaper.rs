//! Cleans up after a test process, which may have been killed itself and so could not: its services and their folders.
//!
//! A shell reads from us which services run, all of them on a line, at each change. When its input ends, because we are
//! gone, it kills those of the last line.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

const CLEAN_UP: &str = r#"
running=
while read -r line; do running=$line; done
[ -z "$running" ] || kill -9 $running
rm -rf "$1"
"#;

/// A new folder, removed when our process ends, or before.
pub(super) fn folder(prefix: &str) -> TempDir {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(&reaper().folder);
    folder.unwrap_or_else(|error| panic!("cannot make a temporary folder: {error}"))
}

/// Has this process killed when ours ends.
pub(super) fn started(pid: u32) {
    let mut reaper = reaper();
    reaper.running.insert(pid);
    reaper.tell();
}

/// The process has ended, and its id may be another's soon. Said again, it changes nothing.
pub(super) fn ended(pid: u32) {
    let mut reaper = reaper();
    if reaper.running.remove(&pid) {
        reaper.tell();
    }
}

struct Reaper {
    shell: Child,
    running: BTreeSet<u32>,
    folder: PathBuf,
}

fn reaper() -> MutexGuard<'static, Reaper> {
    static REAPER: LazyLock<Mutex<Reaper>> = LazyLock::new(|| Mutex::new(Reaper::start()));
    REAPER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reaper {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("upbeat-test-").tempdir().expect("no temporary folder").keep();
        let mut shell = Command::new("sh");
        shell.args(["-c", CLEAN_UP, "sh"]).arg(&folder);
        // Ctrl-C is for us; then it is the reaper's turn.
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Self { shell: shell.spawn().expect("a shell can be started"), running: BTreeSet::new(), folder }
    }

    fn tell(&mut self) {
        let line: Vec<String> = self.running.iter().map(ToString::to_string).collect();
        let input = self.shell.stdin.as_mut().expect("it was given a pipe");
        writeln!(input, "{}", line.join(" ")).expect("the reaper lives as long as we do");
    }
}
