//! Liveness, judged by progress: every long-lived task says by when it will be heard of again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The long-lived tasks of a process and when each of them is due. Clones share the same tasks.
///
/// A backend that is down, a full house or a drain does not make a task late, since each of them is
/// waited for with a limit; only a task that is stuck or has ended without saying so is late, and that
/// is what a restart cures.
#[derive(Clone, Debug)]
pub struct Health {
    started: Instant,
    tasks: Arc<Mutex<Tasks>>,
}

#[derive(Debug, Default)]
struct Tasks {
    last_key: u64,
    by_key: BTreeMap<u64, Task>,
}

#[derive(Debug)]
struct Task {
    name: &'static str,
    due: Arc<AtomicU64>,
}

/// One task's side of [`Health`]. Dropped, it takes the task off the list, unless the task panics:
/// then it stays, and becomes late.
#[derive(Debug)]
#[must_use = "a task that never beats becomes late"]
pub struct Beat {
    key: u64,
    due: Arc<AtomicU64>,
    health: Health,
}

impl Health {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now(), tasks: Arc::default() }
    }

    /// Adds a task that will be heard of `within` this time.
    pub fn task(&self, name: &'static str, within: Duration) -> Beat {
        let due = Arc::new(AtomicU64::new(self.millis_from_now(within)));
        let mut tasks = self.lock();
        tasks.last_key += 1;
        let key = tasks.last_key;
        tasks.by_key.insert(key, Task { name, due: Arc::clone(&due) });
        Beat { key, due, health: self.clone() }
    }

    /// `Err` says which task is late, and by how much.
    pub fn check(&self) -> Result<(), String> {
        let now = self.millis_from_now(Duration::ZERO);
        let tasks = self.lock();
        let lateness = |task: &Task| now.saturating_sub(task.due.load(Ordering::Relaxed));
        let latest = tasks.by_key.values().max_by_key(|task| lateness(task));
        match latest.map(|task| (task.name, lateness(task))) {
            Some((name, late @ 1..)) => {
                let late = Duration::from_millis(late);
                Err(format!("{name} has made no progress for {late:.1?} longer than it may take"))
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis_from_now(&self, within: Duration) -> u64 {
        u64::try_from((self.started.elapsed().saturating_add(within)).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Beat {
    /// The task has made progress and will be heard of again `within` this time.
    pub fn beat(&self, within: Duration) {
        self.due.store(self.health.millis_from_now(within), Ordering::Relaxed);
    }

    /// The task has come to its end as it should.
    pub fn finish(self) {}
}

impl Drop for Beat {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.health.lock().by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_task_that_beats_within_its_budget_is_healthy_for_ever() {
        let health = Health::new();
        let beat = health.task("poller", BUDGET);
        for _ in 0..100 {
            tokio::time::advance(BUDGET).await;
            assert_eq!(health.check(), Ok(()));
            beat.beat(BUDGET);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_overruns_its_budget_is_named_until_it_beats_again() {
        let health = Health::new();
        let beat = health.task("poller", BUDGET);
        let _other = health.task("settler", BUDGET * 100);
        tokio::time::advance(BUDGET + Duration::from_secs(2)).await;
        assert!(health.check().is_err_and(|why| why.starts_with("poller ")));
        beat.beat(BUDGET);
        assert_eq!(health.check(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panicked_becomes_late_and_one_that_ended_does_not() {
        let health = Health::new();
        drop(health.task("ended", BUDGET));
        let beat = health.task("died", BUDGET);
        let died = tokio::spawn(async move {
            let _beat = beat;
            panic!("as told");
        });
        assert!(died.await.is_err());
        tokio::time::advance(BUDGET * 2).await;
        assert!(health.check().is_err_and(|why| why.starts_with("died ")));
    }
}
