//! A terminal that a service writes to and a test reads.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::pty::{OpenptyResult, Winsize, openpty};

/// The reading end of a terminal.
#[derive(Debug)]
pub(super) struct Terminal(File);

impl Terminal {
    /// A terminal of so many columns, and its other end, for the service.
    pub(super) fn open(columns: u16) -> (Self, OwnedFd) {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).expect("a terminal can be had");
        (Self(master.into()), slave)
    }
}

impl Read for Terminal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            // That is how a terminal ends, once nobody has its other end.
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => Ok(0),
            read => read,
        }
    }
}
