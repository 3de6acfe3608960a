//! `make doctor`, on machines that lack things.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// What the script is made of, and nothing that a target needs.
const BASICS: [&str; 21] = [
    "awk", "bash", "basename", "cat", "cut", "df", "dirname", "env", "find", "grep", "head", "id", "nproc", "paste",
    "sed", "sort", "tail", "timeout", "tr", "uname", "sh",
];

/// A machine that has the basics, and programs that say and do what they are told to.
struct Machine {
    path: TempDir,
    ports: [u16; 3],
}

impl Machine {
    fn bare() -> Self {
        let path = tempfile::tempdir().unwrap();
        let folders = std::env::var_os("PATH").unwrap();
        for name in BASICS {
            let mut found = std::env::split_paths(&folders).map(|folder| folder.join(name));
            // Where a system has one of them not, the script does without it too.
            if let Some(found) = found.find(|path| path.exists()) {
                symlink(found, path.path().join(name)).unwrap();
            }
        }
        // Free, and different from each other.
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        Self { path, ports: listeners.map(|listener| listener.local_addr().unwrap().port()) }
    }

    fn with(self, name: &str, script: &str) -> Self {
        let program = self.path.path().join(name);
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// The exit code, and what was printed.
    fn doctor(&self) -> (i32, String) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut doctor = Command::new(root.join("scripts/doctor"));
        doctor.env_clear().env("PATH", self.path.path()).env("HOME", self.path.path());
        for (name, port) in ["PRODUCER_PORT", "CONSUMER_PORT", "LOCALSTACK_PORT"].iter().zip(self.ports) {
            doctor.env(name, port.to_string());
        }
        let ran = doctor.output().unwrap();
        assert!(ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
        (ran.status.code().unwrap(), String::from_utf8(ran.stdout).unwrap())
    }
}

/// The lines about a target.
fn about<'a>(told: &'a str, target: &str) -> Vec<&'a str> {
    let lines = told.lines().skip_while(|line| !line.starts_with(target));
    let mut first = true;
    lines.take_while(|line| std::mem::take(&mut first) || line.starts_with(' ')).collect()
}

fn all_there() -> Machine {
    ["make", "cc", "git", "ps", "go", "minikube", "docker", "kubectl", "python3.13", "chromedriver"]
        .iter()
        .fold(Machine::bare(), |machine, name| machine.with(name, "exit 0"))
        .with("cargo", "echo cargo 1.99.0")
        .with("cargo-clippy", "exit 0")
        .with("rustfmt", "exit 0")
}

#[test]
fn a_machine_that_lacks_everything_is_told_what_and_the_line_that_gets_it_for_each_target() {
    let (code, told) = Machine::bare().doctor();
    assert_eq!(code, 1, "{told}");
    for (target, lacking, fix) in [
        ("make run ", "make is missing", "apt-get install make"),
        ("make run ", "Rust is missing", "https://sh.rustup.rs | sh"),
        ("make run ", "a C compiler is missing", "apt-get install build-essential"),
        ("make test, chaos ", "ps is missing", "apt-get install procps"),
        ("make lint ", "git is missing", "apt-get install git"),
        ("make lint ", "note   without Go, actionlint, kube-score", "golang-go"),
        ("make manifests ", "Go is missing", "golang-go"),
        ("make screenshots ", "Chromium's driver is missing", "apt-get install chromium-driver"),
        ("make images ", "Docker is missing", "apt-get install docker.io"),
        ("make minikube ", "minikube or kubectl is missing", "scripts/provision"),
        ("make deploy, logs, e2e ", "kubectl is missing", "scripts/provision"),
    ] {
        let lines = about(&told, target);
        let place = lines.iter().position(|line| line.contains(lacking));
        let place = place.unwrap_or_else(|| panic!("{target} should lack: {lacking}\n{told}"));
        assert!(lines[place + 1].contains("-> ") && lines[place + 1].contains(fix), "{lacking}: {fix}\n{told}");
    }
    assert!(told.ends_with("make run or make test can't work as it is\n"), "{told}");
}

#[test]
fn a_machine_that_has_everything_is_told_so() {
    let (code, told) = all_there().doctor();
    assert_eq!(code, 0, "{told}");
    assert!(!told.contains("FAULT"), "{told}");
    assert!(told.ends_with("make run and make test can work\n"), "{told}");
}

#[test]
fn what_only_other_targets_lack_is_told_and_is_no_failure() {
    let without = all_there().with("docker", "exit 1").with("kubectl", "exit 1");
    let (code, told) = without.doctor();
    assert_eq!(code, 0, "{told}");
    assert!(about(&told, "make images ")[0].ends_with("FAULT  Docker does not answer"), "{told}");
    assert!(about(&told, "make deploy")[0].ends_with("FAULT  kubectl reaches no cluster"), "{told}");
    assert!(
        about(&told, "make localstack ").len() <= 1 + usize::from(told.contains("installed by the first run")),
        "{told}"
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_who_has_it_and_the_line_that_takes_another() {
    let mut machine = all_there();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    machine.ports[1] = port;
    let (code, told) = machine.doctor();
    assert_eq!(code, 1, "{told}");
    let lines = about(&told, "make run ");
    let place = lines.iter().position(|line| line.contains(&format!("port {port} is taken by "))).unwrap();
    if cfg!(target_os = "linux") {
        assert!(lines[place].contains(&format!("(pid {})", std::process::id())), "{told}");
    }
    let other: u16 = lines[place + 1].rsplit_once("make run CONSUMER_PORT=").unwrap().1.parse().unwrap();
    assert_ne!(other, port);
    // Other targets take free ports.
    assert!(!about(&told, "make test").iter().any(|line| line.contains("FAULT")), "{told}");
}

#[test]
fn a_rust_that_is_too_old_is_told_with_what_is_needed_and_one_beside_the_path_with_how_to_reach_it() {
    let (code, told) = all_there().with("cargo", "echo cargo 1.70.0").doctor();
    assert_eq!(code, 1, "{told}");
    assert!(about(&told, "make run ")[0].contains("cargo is 1.70.0, and 1.95 is needed"), "{told}");

    let machine = all_there();
    fs::remove_file(machine.path.path().join("cargo")).unwrap();
    fs::create_dir_all(machine.path.path().join(".cargo/bin")).unwrap();
    symlink("/bin/true", machine.path.path().join(".cargo/bin/cargo")).unwrap();
    let (code, told) = machine.doctor();
    assert_eq!(code, 1, "{told}");
    assert!(about(&told, "make run ")[0].ends_with("cargo is installed and not on the PATH"), "{told}");
}
