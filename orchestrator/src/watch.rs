//! The connection to the engine: its events, and whether it still answers.
//!
//! A cut link gives neither events nor an end of the stream, so the engine is also pinged. Two pings that fail drop the
//! stream, and a new one is begun once it answers again; then everything is looked at anew.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use upbeat_service::health::Beat;
use upbeat_service::{Backoff, Health};

use crate::marks::Marks;
use crate::runtime::Runtime;

/// How often the engine is pinged, and how long it may take to answer.
pub const PING_EVERY: Duration = Duration::from_secs(5);
const PING_LIMIT: Duration = Duration::from_secs(4);

/// So many failures in a row, and the engine is down.
const FAILURES: u32 = 2;

/// Everything is looked at once more so long after the stream of events was begun: it is not told when it began.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The wait between tries to reach an engine that is down.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Watches the engine for as long as it is polled.
pub async fn watch(runtime: Arc<dyn Runtime>, marks: Arc<Marks>, health: Health) {
    let beat = health.task("watch", PING_EVERY * 4);
    let mut backoff = Backoff::new(Duration::from_millis(250), LONGEST_WAIT);
    loop {
        beat.beat(PING_EVERY * 4);
        match ping(&*runtime).await {
            Ok(()) => {
                backoff.reset();
                let why = follow(&*runtime, &marks, &beat).await;
                marks.leave(|left| left.engine = Some(Err(why)));
            }
            Err(why) => marks.leave(|left| left.engine = Some(Err(why))),
        }
        // A little at least: an engine that accepts and hangs up must not make this a hot loop.
        sleep(backoff.next_wait() + Duration::from_millis(50)).await;
    }
}

async fn ping(runtime: &dyn Runtime) -> Result<(), String> {
    match timeout(PING_LIMIT, runtime.ping()).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the engine has not answered for {PING_LIMIT:?}")),
    }
}

/// Follows the events until the stream ends or the engine does not answer; gives the reason.
async fn follow(runtime: &dyn Runtime, marks: &Marks, beat: &Beat) -> String {
    let mut events = runtime.events();
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    let mut failures = 0;
    marks.leave(|left| (left.engine, left.all) = (Some(Ok(())), true));
    let mut look_again = Box::pin(async {
        sleep(LOOK_AGAIN).await;
        marks.leave(|left| left.all = true);
    });
    let mut has_looked = false;
    loop {
        tokio::select! {
            () = &mut look_again, if !has_looked => has_looked = true,
            event = events.next() => match event {
                Some(Ok(id)) => marks.leave(|left| {
                    left.dirty.insert(id);
                }),
                Some(Err(error)) => return error.to_string(),
                None => return "the stream of events has ended".to_owned(),
            },
            _ = pings.tick() => {
                beat.beat(PING_EVERY * 4);
                match ping(runtime).await {
                    Ok(()) => failures = 0,
                    Err(why) => {
                        failures += 1;
                        if failures >= FAILURES {
                            return why;
                        }
                    }
                }
            }
        }
    }
}
