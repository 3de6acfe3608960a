//! How long a node may go on without the server.
//!
//! A lease is counted from when the heartbeat was sent that the server answered, by a clock that runs while the machine
//! sleeps and that nobody sets (`CLOCK_BOOTTIME`). It outlives the agent, so that one that was killed and started again
//! knows at once whether it may still run what may run in one place only. A file without a sync is enough: after a crash
//! of the machine, which takes the file's last write with it, nothing of what it was for runs any more either.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::sight::LOST;

/// How long it lasts: the server counts its own from when it heard, which is later.
pub const LEASE: Duration = LOST;

/// A clock that begins with the machine.
pub type Clock = fn() -> Duration;

/// A lease.
#[derive(Debug)]
pub struct Lease {
    clock: Clock,
    until: Option<Duration>,
    /// Where it is kept, and which run of the machine this is.
    file: Option<(PathBuf, String)>,
}

impl Lease {
    /// One in memory, which is over.
    #[must_use]
    pub const fn new(clock: Clock) -> Self {
        Self { clock, until: None, file: None }
    }

    /// The one in this file, if it is of this run of the machine; else one that is over.
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        let kept = fs::read_to_string(path).unwrap_or_default();
        let until = kept.split_once(' ').filter(|(of, _)| !boot.is_empty() && *of == boot);
        let until = until.and_then(|(_, millis)| millis.trim().parse().ok()).map(Duration::from_millis);
        Self { clock: since_boot, until, file: Some((path.to_owned(), boot)) }
    }

    /// The clock that it goes by, to know later when something was sent.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The server has answered what was sent then.
    pub fn renew(&mut self, sent: Duration) {
        let until = sent + LEASE;
        self.until = Some(until);
        if let Some((path, boot)) = &self.file {
            // What can't be written is over for the next agent, which is on the safe side. Not written in place: half a
            // number would be another one.
            let new = path.with_extension("new");
            let written = fs::write(&new, format!("{boot} {}\n", until.as_millis()));
            drop(written.and_then(|()| fs::rename(&new, path)));
        }
    }

    /// Whether it holds, and how much longer.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let left = self.until?.checked_sub((self.clock)())?;
        // One that was written by another clock is none.
        (!left.is_zero() && left <= LEASE).then_some(left)
    }
}

/// How long the machine has been up, asleep or not.
#[must_use]
pub fn since_boot() -> Duration {
    // It is there since Linux 2.6.39; without it a lease is never had.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_outlives_the_agent_and_not_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let mut lease = Lease::of_file(&path);
        assert_eq!(lease.left(), None);
        lease.renew(since_boot());
        assert!(lease.left().is_some_and(|left| left <= LEASE));
        assert!(Lease::of_file(&path).left().is_some());
        let kept = fs::read_to_string(&path).unwrap();
        fs::write(&path, kept.replacen(|_: char| true, "", 8)).unwrap();
        assert_eq!(Lease::of_file(&path).left(), None, "of another run of the machine");
        for nonsense in ["", " ", "x 1", &kept.replace(' ', ""), &format!("{} 9", kept.trim())] {
            fs::write(&path, nonsense).unwrap();
            assert_eq!(Lease::of_file(&path).left(), None, "{nonsense}");
        }
    }

    #[test]
    fn it_counts_from_when_the_heartbeat_was_sent() {
        let mut lease = Lease::new(|| Duration::from_secs(100));
        lease.renew(Duration::from_secs(93));
        assert_eq!(lease.left(), Some(Duration::from_secs(3)));
        lease.renew(Duration::from_secs(90));
        assert_eq!(lease.left(), None);
        lease.renew(Duration::from_secs(200));
        assert_eq!(lease.left(), None, "that would be of another clock");
    }
}
