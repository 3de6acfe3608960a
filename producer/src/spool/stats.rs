//! What is in a spool, in numbers.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;

/// What a spool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that are to be published.
    pub messages: u64,
    /// Messages that were accepted and that SNS refused, put aside.
    pub dead_letters: u64,
    /// What both count against the limit: their bytes, and 1 KiB each.
    pub bytes: u64,
    /// For how long the oldest message has waited.
    pub oldest: Option<Duration>,
}

impl fmt::Display for Stats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, dead_letters, bytes, oldest } = self;
        writeln!(formatter, "messages      {messages}")?;
        writeln!(formatter, "bytes         {bytes} ({})", ByteSize(*bytes).display().iec())?;
        match oldest {
            Some(age) => {
                let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
                writeln!(formatter, "oldest        {age}")?;
            }
            None => writeln!(formatter, "oldest        none")?,
        }
        write!(formatter, "dead letters  {dead_letters}")
    }
}
