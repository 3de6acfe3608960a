//! Every example runs to its end by itself and prints what it says it does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use std::collections::BTreeSet;
use std::env::{current_exe, var_os, vars_os};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

const EXAMPLES: [&str; 5] = ["axum_handler", "fifo", "hello", "outbox", "stream_from_a_file"];

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

#[test]
fn there_is_a_test_of_every_example() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap();
    let names = files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), EXAMPLES.map(str::to_owned).into());
}

#[test]
fn hello() {
    let lines = output("hello");
    assert!(lines[0].starts_with("greeting-1 is published as memory-"), "{lines:#?}");
    assert!(lines[1].contains("empty") && lines[1].ends_with("trying again can't help"), "{lines:#?}");
    assert_eq!(lines[2], "published 1, refused 1");
}

#[test]
fn stream_from_a_file() {
    let lines = output("stream_from_a_file");
    assert!(lines[0].starts_with("line 17: the body has the character"), "{lines:#?}");
    assert!(lines[1].starts_with("4999 lines published in "), "{lines:#?}");
}

#[test]
fn axum_handler() {
    let expected = ["HTTP/1.1 202 Accepted", r#"published {"item":"pen","count":2}"#];
    assert_eq!(output("axum_handler"), expected);
}

#[test]
fn fifo() {
    let lines = output("fifo");
    let of = |group: &str| lines.iter().filter_map(|line| line.strip_prefix(group)).collect::<Vec<_>>();
    assert_eq!(of("kettle: "), ["fill", "boil", "pour"]);
    assert_eq!(of("toast: "), ["slice", "toast", "butter"]);
    assert_eq!(lines[0], "toast: slice", "the groups do not wait for each other: {lines:#?}");
}

#[test]
fn outbox() {
    let expected = [
        "published 3, marked 2, then died",
        "the next one marked 1",
        "published in all: ordered pen, ordered ink, ordered paper",
    ];
    assert_eq!(output("outbox"), expected);
}
