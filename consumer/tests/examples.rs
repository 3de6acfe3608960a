//! Every example runs to its end by itself and prints what it says it does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use upbeat_testkit::Examples;

static EXAMPLES: Examples = Examples::of(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"));

const NAMES: [&str; 6] = ["batch_into_sqlite", "fifo", "hello", "testing_a_handler", "tower_layers", "typed_json"];

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn there_is_a_test_of_every_example() {
    assert_eq!(EXAMPLES.names(), NAMES.map(str::to_owned).into());
}

#[test]
fn hello() {
    let lines = sorted(EXAMPLES.output("hello"));
    let greetings = ["Ada", "Barbara", "Grace"].map(|name| format!("hello {name}, attempt 1"));
    assert_eq!(lines[1..], greetings);
    assert_eq!(lines[0], "handled 3, released 0, abandoned 0");
}

#[test]
fn typed_json() {
    let lines = EXAMPLES.output("typed_json");
    assert!(lines.contains(&"2 × pen for Ada, attempt 1".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"1 × unicorn for somebody, attempt 2".to_owned()), "{lines:#?}");
    let rejected = lines.last().unwrap();
    assert!(rejected.starts_with(r#"rejected {"item": "pen", "count": "two"}: "#), "{rejected}");
    assert!(rejected.contains("invalid type: string \"two\""), "{rejected}");
}

#[test]
fn batch_into_sqlite() {
    assert_eq!(EXAMPLES.output("batch_into_sqlite"), ["1000 bookings, 500500 in all, 1 rejected"]);
}

#[test]
fn fifo() {
    let lines = EXAMPLES.output("fifo");
    let of = |group: &str| lines.iter().filter_map(|line| line.strip_prefix(group)).collect::<Vec<_>>();
    assert_eq!(of("kettle: "), ["fill", "boil fails", "boil", "pour"]);
    assert_eq!(of("toast: "), ["slice", "toast", "butter"]);
    let place = |line: &str| lines.iter().position(|known| known == line);
    assert!(place("toast: toast") < place("kettle: boil"), "the groups do not wait for each other: {lines:#?}");
}

#[test]
fn tower_layers() {
    let lines = sorted(EXAMPLES.output("tower_layers"));
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
    let lines = EXAMPLES.output("testing_a_handler");
    assert!(lines.last().unwrap().starts_with("3 paid, 1 rejected, in "), "{lines:#?}");
}
