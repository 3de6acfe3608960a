//! docs/FAULTS.md names only what there is, and every fault that there is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::Path;

use clap::ValueEnum;
use upbeat_chaos::fault::Fault;

/// What stands in backticks in the rows of the table, under "shown by".
fn shown_by() -> Vec<String> {
    let text = read_to_string(root().join("docs/FAULTS.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let cells: Vec<String> = rows.skip(1).map(|row| row.split(" | ").nth(2).unwrap().to_owned()).collect();
    assert!(cells.len() > 20, "{cells:?}");
    let names: Vec<Vec<String>> =
        cells.iter().map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()).collect();
    assert!(names.iter().all(|names| !names.is_empty()), "a row that nothing shows: {cells:?}");
    names.concat()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn every_fault_of_chaos_is_in_the_catalogue_and_no_other() {
    let named: BTreeSet<String> =
        shown_by().iter().filter_map(|name| name.strip_prefix("chaos ")).map(str::to_owned).collect();
    let faults: BTreeSet<String> = Fault::value_variants().iter().map(|fault| fault.name()).collect();
    assert_eq!(named, faults);
}

#[test]
fn every_test_that_the_catalogue_names_is_there() {
    let names = shown_by();
    let tests: Vec<_> = names.iter().filter(|name| !name.starts_with("chaos ")).collect();
    assert!(tests.len() > 20, "{tests:?}");
    for name in tests {
        let (path, test) = name.split_once("::").unwrap_or_else(|| panic!("{name} is not PATH::NAME"));
        let source = read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let lines: Vec<&str> = source.lines().collect();
        let is_it = |line: &str| {
            ["fn ", "async fn ", "def "].iter().any(|kind| line.trim_start().starts_with(&format!("{kind}{test}(")))
        };
        let place = lines.iter().position(|line| is_it(line)).unwrap_or_else(|| panic!("{path} has no {test}"));
        // In Python, the steps of a run are those that its list has.
        let is_run = if Path::new(path).extension().is_some_and(|extension| extension == "py") {
            source.matches(test).count() > 1
        } else {
            lines[place.saturating_sub(3)..place].iter().any(|line| line.contains("test"))
        };
        assert!(is_run, "{path}: {test} is not a test");
    }
}
