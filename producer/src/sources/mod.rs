//! Where the binary has its messages from.

pub mod body;
pub mod http;
pub mod interval;
pub mod lines;
mod progress;
pub mod publish_lines;

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};
use upbeat_service::Health;
use upbeat_service::health::Beat;

/// A source is heard of this often, whatever it waits for: the publish loop answers for what takes long there.
const TICK: Duration = Duration::from_secs(5);

/// Liveness is told this much more.
const MARGIN: Duration = Duration::from_secs(10);

/// What a source shows that it is alive by.
#[derive(Debug)]
pub(crate) struct Heart {
    beat: Beat,
    ticks: Interval,
}

impl Heart {
    pub(crate) fn new(health: &Health, name: &'static str) -> Self {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { beat: health.task(name, TICK + MARGIN), ticks }
    }

    /// Beats for as long as it is polled; never returns.
    pub(crate) async fn beat(&mut self) -> std::convert::Infallible {
        loop {
            self.ticks.tick().await;
            self.beat.beat(TICK + MARGIN);
        }
    }

    /// The source has come to its end.
    pub(crate) fn stop(self) {
        self.beat.finish();
    }
}
