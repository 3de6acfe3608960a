//! `chaos` as a person runs it, with the binaries that tests run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;
use tokio::process::Command;
use tokio::sync::Mutex;
use upbeat_chaos::fault::Fault;
use upbeat_testkit::process::binary;

/// Far more than any of these takes, on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_mins(15);

/// The exit code and what was printed. One run at a time, which has enough to do.
async fn chaos(arguments: &[&str]) -> (i32, String) {
    static RUNNING: Mutex<()> = Mutex::const_new(());
    let _running = RUNNING.lock().await;
    // Built now, so that the run has its time for itself.
    for service in ["producer", "consumer"] {
        binary(service).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command.args(arguments).arg("--folder").arg(folder.path());
    for variable in ["SEED", "DURATION", "STEPS", "MESSAGES", "RATE", "CONSUMERS", "ONLY", "OUTAGE"] {
        command.env_remove(variable);
    }
    let running = command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(LIMIT, running).await.expect("chaos comes to its end").unwrap();
    let printed = String::from_utf8(ended.stdout).unwrap();
    println!("{printed}");
    (ended.status.code().unwrap(), printed)
}

/// The figures of the line that counts: accepted, handled, lost, repeated.
fn figures(printed: &str) -> [usize; 4] {
    let line = printed.lines().find(|line| line.starts_with("accepted ")).expect("a verdict");
    let figures: Vec<_> =
        line.split(", ").map(|figure| figure.split(' ').next_back().unwrap().parse().unwrap()).collect();
    figures.try_into().unwrap()
}

#[tokio::test]
async fn every_fault_once_and_nothing_is_lost() {
    let faults = Fault::value_variants();
    let steps = faults.len().to_string();
    let (code, printed) = chaos(&["--seed", "1", "--steps", &steps, "--duration", "10m", "--rate", "60"]).await;
    let [accepted, handled, lost, _repeated] = figures(&printed);
    assert_eq!((code, accepted, lost), (0, handled, 0));
    assert!(accepted > 100, "{accepted}");
    for fault in faults {
        let name = fault.name();
        // Time, unit, number, fault.
        let steps = printed.lines().filter(|line| line.split_whitespace().nth(3) == Some(&name));
        assert_eq!(steps.count(), 1, "{name}");
    }
}

#[tokio::test]
async fn what_was_deleted_without_having_been_handled_is_lost_and_named() {
    let (code, printed) = chaos(&["--seed", "1", "--only", "cut", "--steps", "2", "--sabotage", "20"]).await;
    let [accepted, handled, lost, _repeated] = figures(&printed);
    assert_eq!((code, accepted), (1, handled + lost));
    assert!(lost > 0);
    let named = printed.lines().filter(|line| line.starts_with("LOST number ") && line.ends_with(", never handled"));
    assert_eq!(named.count(), lost.min(20));
}
