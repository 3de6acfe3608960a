//! Waiting with a limit.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks `probe` again and again until it gives `Ok`; panics after `limit`, with `what` was waited for and what the
/// last `Err` had seen.
///
/// ```no_run
/// # use std::time::Duration;
/// # use upbeat_testkit::{eventually, Queue};
/// # async fn example(queue: Queue) {
/// eventually("an empty queue", Duration::from_secs(10), async || match queue.counts().await {
///     counts if counts.total() == 0 => Ok(()),
///     counts => Err(format!("{counts:?}")),
/// })
/// .await;
/// # }
/// ```
pub async fn eventually<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + limit;
    let mut seen = "nothing".to_owned();
    while let Ok(outcome) = timeout_at(deadline, probe()).await {
        match outcome {
            Ok(value) => return value,
            Err(instead) => seen = instead,
        }
        if Instant::now() >= deadline {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    panic!("no {what} within {limit:?}; last seen: {seen}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_is_waited_for() {
        let mut looks = 0;
        let found = eventually("third look", Duration::from_secs(1), async || {
            looks += 1;
            if looks == 3 { Ok("it") } else { Err(String::new()) }
        });
        assert_eq!(found.await, "it");
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "no luck within 1s; last seen: bad luck")]
    async fn what_never_comes_fails_with_what_was_seen() {
        eventually::<()>("luck", Duration::from_secs(1), async || Err("bad luck".to_owned())).await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "no end within 1s; last seen: nothing")]
    async fn a_look_that_never_ends_fails_too() {
        eventually::<()>("end", Duration::from_secs(1), async || std::future::pending().await).await;
    }
}
