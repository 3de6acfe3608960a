//! What a person sees: a bar on a terminal, and a line a step anywhere.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::journal::Journal;

const TEMPLATE: &str = "{elapsed_precise} {wide_bar} {msg}";

/// How often the bar is brought up to date.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// Lines on standard output, and below them, if standard error is a terminal, a bar.
#[derive(Debug)]
pub struct Screen {
    bar: ProgressBar,
    journal: Arc<Journal>,
    _drawing: DropGuard,
}

impl Screen {
    /// With a bar that is full after so long, and has the figures of the journal beside it.
    #[must_use]
    pub fn new(journal: Arc<Journal>, duration: Duration) -> Self {
        let bar = ProgressBar::hidden();
        if stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_length(duration.as_secs());
        // A template that does not parse fails the test below.
        bar.set_style(ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()));
        let end = CancellationToken::new();
        tokio::spawn(draw(bar.clone(), journal.clone(), end.clone()));
        Self { bar, journal, _drawing: end.drop_guard() }
    }

    /// Prints a line, with the time before it.
    pub fn line(&self, line: &str) {
        let at = self.journal.now();
        self.bar.suspend(|| println!("{at:6.1} s  {line}"));
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

async fn draw(bar: ProgressBar, journal: Arc<Journal>, end: CancellationToken) {
    while !bar.is_finished() {
        let figures = journal.figures();
        bar.set_position(bar.elapsed().as_secs());
        bar.set_message(format!(
            "{} accepted, {} waiting, {} repeated",
            figures.accepted,
            figures.waiting(),
            figures.repeated
        ));
        if end.run_until_cancelled(tokio::time::sleep(DRAWN_EVERY)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one_that_indicatif_knows() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
