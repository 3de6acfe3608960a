//! A handler in which everything happens that does happen to handlers.

use std::time::Duration;

use tokio::time::sleep;
use upbeat_consumer::{Handler, Message, Outcome};

use crate::history::History;

/// How often what happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Temper {
    pub(crate) fails: f64,
    pub(crate) panics: f64,
    pub(crate) rejects: f64,
    pub(crate) retries: f64,
    pub(crate) ignores_cancellation: f64,
    /// Handlers take up to this long, and now and then ten times as long.
    pub(crate) time: Duration,
}

/// Handles as its temper has it, and writes down what it did at the moment it did it.
pub(crate) fn moody(history: History, temper: Temper) -> impl Handler {
    move |message: Message| {
        let history = history.clone();
        async move {
            let body = message.body();
            history.tried(body);
            let mut time = temper.time.mul_f64(fastrand::f64());
            if fastrand::f64() < 0.05 {
                time *= 10;
            }
            if fastrand::f64() < temper.ignores_cancellation {
                sleep(time).await;
            } else {
                let cancelled = tokio::select! {
                    biased;
                    () = sleep(time) => false,
                    _ = message.cancellation().cancelled() => true,
                };
                if cancelled {
                    return Outcome::Failed { error: "cancelled".to_owned() };
                }
            }
            let dice =
                [temper.fails, temper.panics, temper.rejects, temper.retries].map(|chance| fastrand::f64() < chance);
            match dice {
                [true, ..] => Outcome::Failed { error: "as told".to_owned() },
                [_, true, ..] => std::panic::resume_unwind(Box::new("as told")),
                [_, _, true, _] => {
                    history.rejected(body);
                    Outcome::Reject { reason: "as told".to_owned() }
                }
                [.., true] => Outcome::Retry { after: Duration::from_secs(fastrand::u64(0..30)) },
                _ => {
                    history.handled(body);
                    Outcome::Done
                }
            }
        }
    }
}
