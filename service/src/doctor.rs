//! What a service needs, looked at once and reported line by line to who runs it.
//!
//! [`Report`] prints and counts; [`aws`] looks at what every service needs of AWS; [`Clock`] compares this machine's time
//! with that of the answers. Each service adds the checks of its own resources.

mod aws;
mod clock;

use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

pub use aws::aws;
pub use clock::Clock;

/// How good or bad a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and will surprise somebody.
    Warn,
    /// It can't work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// How it is.
    pub level: Level,
    /// What was looked at, in a word or two.
    pub what: &'static str,
    /// What was seen. Never a secret.
    pub detail: String,
    /// What to do about it; nothing where all is well.
    pub advice: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(what: &'static str, detail: impl Into<String>) -> Self {
        Self { level: Level::Ok, what, detail: detail.into(), advice: None }
    }

    /// It works, and will surprise somebody unless they do as advised.
    pub fn warn(what: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warn, what, detail: detail.into(), advice: Some(advice.into()) }
    }

    /// It can't work until somebody does as advised.
    pub fn fail(what: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Fail, what, detail: detail.into(), advice: Some(advice.into()) }
    }
}

/// Prints checks as they come in, so that a slow one does not hide what is known already, and keeps count.
#[derive(Debug)]
pub struct Report<W> {
    out: W,
    warnings: usize,
    faults: usize,
}

/// As wide as the longest name of a check.
const WIDTH: usize = 17;

impl Report<anstream::Stdout> {
    /// A report on standard output, in colours on a terminal unless `NO_COLOR` is set.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(anstream::stdout())
    }
}

impl<W: Write> Report<W> {
    /// A report that is written there, with ANSI colours.
    pub const fn new(out: W) -> Self {
        Self { out, warnings: 0, faults: 0 }
    }

    /// Prints a check as one line and counts it.
    pub fn add(&mut self, check: &Check) -> io::Result<()> {
        let (word, colour) = match check.level {
            Level::Ok => ("ok", AnsiColor::Green),
            Level::Warn => ("warn", AnsiColor::Yellow),
            Level::Fail => ("FAIL", AnsiColor::Red),
        };
        self.warnings += usize::from(check.level == Level::Warn);
        self.faults += usize::from(check.level == Level::Fail);
        let style = Style::new().fg_color(Some(colour.into())).bold();
        let detail = one_line(&check.detail);
        write!(self.out, "{style}{word:<4}{style:#}  {what:<WIDTH$}  {detail}", what = check.what)?;
        if let Some(advice) = &check.advice {
            write!(self.out, " → {}", one_line(advice))?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    /// Prints the counts. Exit code 1 if there was a fault, 0 otherwise.
    pub fn finish(mut self) -> io::Result<ExitCode> {
        let count = |count, thing| if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") };
        writeln!(self.out, "{}, {}", count(self.faults, "fault"), count(self.warnings, "warning"))?;
        Ok(if self.faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What came from outside must not forge a line or drive the terminal.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(checks: &[Check]) -> (String, ExitCode) {
        let mut bytes = Vec::new();
        let mut report = Report::new(anstream::StripStream::new(&mut bytes));
        for check in checks {
            report.add(check).unwrap();
        }
        let code = report.finish().unwrap();
        (String::from_utf8(bytes).unwrap(), code)
    }

    #[test]
    fn a_check_is_one_aligned_line_with_what_to_do_behind_an_arrow() {
        let (text, _) = printed(&[Check::ok("region", "here"), Check::warn("retention", "short", "make it long")]);
        assert_eq!(
            text,
            "ok    region             here\nwarn  retention          short → make it long\n0 faults, 1 warning\n"
        );
    }

    #[test]
    fn the_exit_code_is_1_after_a_fault_only() {
        let code = |check| format!("{:?}", printed(&[check, Check::ok("a", "b")]).1);
        assert_eq!(code(Check::fail("a", "b", "c")), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(code(Check::warn("a", "b", "c")), format!("{:?}", ExitCode::SUCCESS));
    }

    #[test]
    fn what_came_from_outside_cannot_forge_a_line() {
        let (text, _) = printed(&[Check::ok("queue", "a\nok    \u{1b}[31mb")]);
        assert!(text.starts_with("ok    queue              a\\nok    \\u{1b}[31mb\n"), "{text}");
    }
}
