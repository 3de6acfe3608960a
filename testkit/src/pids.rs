//! Which processes are there, to show that none is left behind.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// Whether a process of this id is running; a zombie is not.
#[must_use]
pub fn is_running(pid: u32) -> bool {
    running().contains_key(&pid)
}

/// The processes that `ancestor` has started, and those that these have started, and so on.
#[must_use]
pub fn descendants(ancestor: u32) -> Vec<u32> {
    let running = running();
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(running.iter().filter(|&(_, &its_parent)| its_parent == parent).map(|(&pid, _)| pid));
        next += 1;
    }
    found.split_off(1)
}

/// Every running process with its parent, without the one that lists them.
fn running() -> BTreeMap<u32, u32> {
    let mut ps = Command::new("ps");
    ps.args(["-A", "-o", "pid=,ppid=,stat="]).stdout(Stdio::piped());
    let ps = ps.spawn().unwrap_or_else(|error| panic!("cannot run ps: {error}"));
    let its_own = ps.id();
    let listed = ps.wait_with_output().expect("our own child can be waited for");
    String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let (pid, parent, state) = (columns.next()?, columns.next()?, columns.next()?);
            (!state.starts_with('Z')).then_some((pid.parse().ok()?, parent.parse().ok()?))
        })
        .filter(|&(pid, _)| pid != its_own)
        .collect()
}
