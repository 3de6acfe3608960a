//! How far the lines have come, on a terminal.

use std::io::{IsTerminal, stderr, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::publish_lines::Report;

/// How often it is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// A line on standard error that says how many lines and bytes are done and how fast, and when a file will be.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of so many bytes, if that is known. It is shown if standard error is a terminal, unless the log goes to the same
    /// one: its lines are progress enough, and would tear the bar apart.
    pub(crate) fn new(total: Option<u64>) -> Self {
        if !stderr().is_terminal() || stdout().is_terminal() {
            return Self::hidden();
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_style(style(total));
        bar.enable_steady_tick(DRAWN_EVERY);
        Self(bar)
    }

    /// One that is not shown.
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// So many more bytes were read.
    pub(crate) fn read(&self, bytes: usize) {
        self.0.inc(bytes as u64);
    }

    /// This is what became of the lines so far.
    pub(crate) fn show(&self, report: &Report) {
        if !self.0.is_hidden() {
            self.0.set_message(message(report, self.0.elapsed()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn style(total: Option<u64>) -> ProgressStyle {
    // A template that does not parse fails the test below.
    ProgressStyle::with_template(template(total)).unwrap_or_else(|_| ProgressStyle::default_bar())
}

const fn template(total: Option<u64>) -> &'static str {
    match total {
        Some(_) => "{msg}  {bytes} of {total_bytes}, {bytes_per_sec}  {wide_bar} {eta}",
        None => "{spinner} {msg}  {bytes}, {bytes_per_sec}",
    }
}

fn message(Report { published, failed, .. }: &Report, elapsed: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = *published as f64 / elapsed.as_secs_f64().max(0.001);
    let failed = if *failed == 0 { String::new() } else { format!(", {failed} failed") };
    format!("{published} done, {rate:.0}/s{failed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_count_rate_and_failures() {
        let report = Report { lines: 1010, published: 1000, failed: 7, ..Report::default() };
        assert_eq!(message(&report, Duration::from_secs(4)), "1000 done, 250/s, 7 failed");
        assert_eq!(message(&Report::default(), Duration::ZERO), "0 done, 0/s");
    }

    #[test]
    fn the_templates_are_ones_that_indicatif_knows() {
        for total in [None, Some(10)] {
            assert!(ProgressStyle::with_template(template(total)).is_ok());
        }
    }
}
