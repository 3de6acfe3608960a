//! Every example runs to its end by itself and prints what it says it does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use std::collections::BTreeSet;
use std::env::{current_exe, var_os, vars_os};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

const EXAMPLES: [&str; 6] = ["batch_into_sqlite", "fifo", "hello", "testing_a_handler", "tower_layers", "typed_json"];

/// Each takes a few seconds at most.
const LIMIT: Duration = Duration::from_mins(1);

/// What an example prints.
fn output(example: &str) -> Vec<String> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let program = FOLDER.get_or_init(build).join(example);
    let mut child = Command::new(&program).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{example} does not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {}\n{text}\n{errors}", output.status);
    text.lines().map(str::to_owned).collect()
}

/// Cargo builds examples before it runs all tests, but not before it runs one test alone. Returns where they are.
fn build() -> PathBuf {
    let profile = current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let name = match profile.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    let mut cargo = Command::new(var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo tells a test of its package would have dependencies that read it built anew.
    for (variable, _) in vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_BIN_EXE_")
    }) {
        cargo.env_remove(variable);
    }
    cargo.args([
        "build",
        "--quiet",
        "--examples",
        "--package",
        env!("CARGO_PKG_NAME"),
        "--profile",
        name,
        "--target-dir",
    ]);
    let built = cargo.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.unwrap().success());
    profile.join("examples")
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn there_is_a_test_of_every_example() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap();
    let names = files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), EXAMPLES.map(str::to_owned).into());
}

#[test]
fn hello() {
    let lines = sorted(output("hello"));
    let greetings = ["Ada", "Barbara", "Grace"].map(|name| format!("hello {name}, attempt 1"));
    assert_eq!(lines[1..], greetings);
    assert_eq!(lines[0], "handled 3, released 0, abandoned 0");
}

#[test]
fn typed_json() {
    let lines = output("typed_json");
    assert!(lines.contains(&"2 × pen for Ada, attempt 1".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"1 × unicorn for somebody, attempt 2".to_owned()), "{lines:#?}");
    let rejected = lines.last().unwrap();
    assert!(rejected.starts_with(r#"rejected {"item": "pen", "count": "two"}: "#), "{rejected}");
    assert!(rejected.contains("invalid type: string \"two\""), "{rejected}");
}

#[test]
fn batch_into_sqlite() {
    assert_eq!(output("batch_into_sqlite"), ["1000 bookings, 500500 in all, 1 rejected"]);
}

#[test]
fn fifo() {
    let lines = output("fifo");
    let of = |group: &str| lines.iter().filter_map(|line| line.strip_prefix(group)).collect::<Vec<_>>();
    assert_eq!(of("kettle: "), ["fill", "boil fails", "boil", "pour"]);
    assert_eq!(of("toast: "), ["slice", "toast", "butter"]);
    let place = |line: &str| lines.iter().position(|known| known == line);
    assert!(place("toast: toast") < place("kettle: boil"), "the groups do not wait for each other: {lines:#?}");
}

#[test]
fn tower_layers() {
    let lines = sorted(output("tower_layers"));
    let expected = [
        "fox, attempt 1: handled after 100 ms",
        "handled 3, released 1, abandoned 0",
        "hare, attempt 1: handled after 100 ms",
        "tortoise, attempt 1: request timed out after 300 ms",
        "tortoise, attempt 2: handled after 100 ms",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn testing_a_handler() {
    let lines = output("testing_a_handler");
    assert!(lines.last().unwrap().starts_with("3 paid, 1 rejected, in "), "{lines:#?}");
}
