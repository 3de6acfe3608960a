//! Which CPU runs what, so that client and target do not take each other's time.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Keeps the calling thread, and threads that it starts, to one CPU.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("the number of a CPU");
    sched_setaffinity(this_thread(), &set).expect("a CPU of ours");
}

/// One CPU for the client and another for the target. `None` where there is but one.
#[must_use]
pub fn two_cpus() -> Option<(usize, usize)> {
    let ours = sched_getaffinity(this_thread()).expect("our CPUs");
    let mut ours = (0..CpuSet::count()).filter(|cpu| ours.is_set(*cpu).unwrap_or(false));
    ours.next().zip(ours.next_back())
}

const fn this_thread() -> Pid {
    Pid::from_raw(0)
}
