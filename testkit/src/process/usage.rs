//! What a process costs.

use std::fs::read_to_string;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// What a process has taken so far, as Linux tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU time, user and system, in steps of a clock tick (10 ms as a rule).
    pub cpu: Duration,
    /// Resident memory now, in bytes.
    pub resident: u64,
    /// The most resident memory at any time, in bytes.
    pub resident_peak: u64,
}

impl Usage {
    /// Of a process that runs; `None` if it does not.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold spaces; after it, user time is the 12th field and system time the 13th.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;

        let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
        let kibibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        Some(Self {
            cpu: Duration::from_millis(ticks * 1000 / per_second),
            resident: kibibytes("VmRSS:")? * 1024,
            resident_peak: kibibytes("VmHWM:")? * 1024,
        })
    }
}
