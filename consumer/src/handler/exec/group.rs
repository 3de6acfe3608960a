//! The process group of a command: the command and what it has started.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;

/// Kills the group when dropped, unless its command has ended.
///
/// The group has the id of its command, which the system gives to no other process until the command has been waited for.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    /// `child` was started as the first of a group of its own.
    pub(super) fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.map(Pid::from_raw))
    }

    /// Asks all of the group to end.
    pub(super) fn terminate(&self) {
        self.send(Signal::SIGTERM);
    }

    /// The command has been waited for: its id may be that of another from now on.
    pub(super) fn ended(&mut self) {
        self.0 = None;
    }

    fn send(&self, signal: Signal) {
        if let Some(id) = self.0 {
            // A group that has just ended needs no signal.
            let _ = killpg(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.send(Signal::SIGKILL);
    }
}
