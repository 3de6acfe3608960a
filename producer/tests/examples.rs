//! Every example runs to its end by itself and prints what it says it does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use upbeat_testkit::Examples;

static EXAMPLES: Examples = Examples::of(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"));

const NAMES: [&str; 5] = ["axum_handler", "fifo", "hello", "outbox", "stream_from_a_file"];

#[test]
fn there_is_a_test_of_every_example() {
    assert_eq!(EXAMPLES.names(), NAMES.map(str::to_owned).into());
}

#[test]
fn hello() {
    let lines = EXAMPLES.output("hello");
    assert!(lines[0].starts_with("greeting-1 is published as memory-"), "{lines:#?}");
    assert!(lines[1].contains("empty") && lines[1].ends_with("trying again can't help"), "{lines:#?}");
    assert_eq!(lines[2], "published 1, refused 1");
}

#[test]
fn stream_from_a_file() {
    let lines = EXAMPLES.output("stream_from_a_file");
    assert!(lines[0].starts_with("line 17: the body has the character"), "{lines:#?}");
    assert!(lines[1].starts_with("4999 lines published in "), "{lines:#?}");
}

#[test]
fn axum_handler() {
    let expected = ["HTTP/1.1 202 Accepted", r#"published {"item":"pen","count":2}"#];
    assert_eq!(EXAMPLES.output("axum_handler"), expected);
}

#[test]
fn fifo() {
    let lines = EXAMPLES.output("fifo");
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
    assert_eq!(EXAMPLES.output("outbox"), expected);
}
