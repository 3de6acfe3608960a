//! One world: a queue with faults, a sender, and consumers that come, go and die.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::ErrorKind;
use upbeat_consumer::queue::memory::{Faults, MemoryQueue, NewMessage};
use upbeat_consumer::{Consumer, Options, Summary};
use upbeat_service::{Health, Readiness};

use crate::handler::{Temper, moody};
use crate::history::History;

/// A world as its seed has it.
pub(crate) struct World {
    queue: MemoryQueue,
    fifo: bool,
    history: History,
    faults: Faults,
    temper: Temper,
    random: fastrand::Rng,
}

/// A consumer that runs.
struct Running {
    health: Health,
    stop: CancellationToken,
    task: JoinHandle<Summary>,
}

impl World {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let fifo = name.contains(".fifo");
        let dead_letters = MemoryQueue::new(if fifo { "dead.fifo" } else { "dead" });
        let queue = MemoryQueue::builder(name)
            .dead_letter_queue(&dead_letters, random.u32(2..8))
            .visibility_timeout(Duration::from_secs(random.u64(5..60)))
            .seed(seed);
        // Some worlds have few faults and some have many.
        let most = [0.0, 0.02, 0.1, 0.3][random.usize(..4)];
        let mut chance = |share: f64| if random.bool() { most * share * random.f64() } else { 0.0 };
        let faults = Faults {
            throttled: chance(1.0),
            failed: chance(1.0),
            lost_requests: chance(0.5),
            lost_answers: chance(0.5),
            failed_entries: chance(1.0),
            forgotten_deletes: chance(0.3),
            duplicates: chance(1.0),
            reordering: chance(1.0),
            few: chance(1.0),
            abandoned_polls: chance(1.0),
            latency: Duration::ZERO..=Duration::from_millis(if most > 0.0 { 500 } else { 5 }),
            down: None,
        };
        let temper = Temper {
            fails: chance(1.0),
            panics: chance(0.5),
            rejects: chance(0.3),
            retries: chance(0.5),
            ignores_cancellation: chance(1.0),
            time: Duration::from_millis(random.u64(1..5000)),
        };
        Self { queue: queue.faults(faults.clone()).build(), fifo, history: History::default(), faults, temper, random }
    }

    pub(crate) fn history(&self) -> History {
        self.history.clone()
    }

    pub(crate) async fn run(mut self) {
        let mut running = Vec::new();
        let mut sent = 0;
        for _ in 0..self.random.usize(3..12) {
            for _ in 0..self.random.usize(0..30) {
                self.send(sent);
                sent += 1;
            }
            match self.random.usize(..8) {
                0..3 => running.push(self.start()),
                3 => self.stop_one(&mut running).await,
                4 => self.kill_one(&mut running),
                5 => self.outage().await,
                _ => {}
            }
            sleep(Duration::from_millis(self.random.u64(1..20_000))).await;
            for consumer in &running {
                assert_eq!(consumer.health.check(), Ok(()), "no fault here is cured by a restart");
            }
        }
        self.settle_down(running).await;
    }

    fn send(&mut self, number: usize) {
        let body = format!("{number:06}");
        let group = self.fifo.then(|| format!("group {}", self.random.usize(..4)));
        self.history.sent(&body, group.as_deref());
        let message = NewMessage::new(body);
        self.queue.send(group.into_iter().fold(message, NewMessage::group)).unwrap();
    }

    fn start(&mut self) -> Running {
        let options = Options {
            concurrency: self.random.usize(1..40),
            wait: Duration::from_secs(self.random.u64(0..21)),
            lease: Duration::from_secs(self.random.u64(2..31)),
            poll_grace: Duration::from_millis(self.random.u64(0..3000)),
            drain_timeout: Duration::from_secs(self.random.u64(4..40)),
            handler_timeout: Duration::from_secs(self.random.u64(10..600)),
            retry_longest: Duration::from_secs(self.random.u64(1..60)),
            ..Options::default()
        };
        let (health, stop) = (Health::new(), CancellationToken::new());
        let consumer = Consumer::builder(self.queue.clone())
            .handler(moody(self.history.clone(), self.temper))
            .options(options)
            .health(health.clone())
            .readiness(Readiness::default())
            .build();
        Running { health, task: tokio::spawn(consumer.unwrap().run(stop.clone())), stop }
    }

    async fn stop_one(&mut self, running: &mut Vec<Running>) {
        if !running.is_empty() {
            let stopping = running.swap_remove(self.random.usize(..running.len()));
            stopping.stop.cancel();
            stopping.task.await.unwrap();
        }
    }

    fn kill_one(&mut self, running: &mut Vec<Running>) {
        if !running.is_empty() {
            running.swap_remove(self.random.usize(..running.len())).task.abort();
        }
    }

    async fn outage(&mut self) {
        let kinds = [ErrorKind::NotFound, ErrorKind::AccessDenied, ErrorKind::Unavailable, ErrorKind::Throttled];
        self.queue.set_faults(Faults { down: Some(kinds[self.random.usize(..4)]), ..self.faults.clone() });
        sleep(Duration::from_secs(self.random.u64(1..200))).await;
        self.queue.set_faults(self.faults.clone());
    }

    /// The faults end, everything is stopped, and a last consumer does what is left. Then the books are checked.
    async fn settle_down(mut self, running: Vec<Running>) {
        self.queue.set_faults(Faults::default());
        for Running { stop, task, health } in running {
            stop.cancel();
            let stopping = Instant::now();
            let summary = task.await.unwrap();
            assert!(stopping.elapsed() <= Duration::from_secs(41), "a stop takes no longer than its drain time");
            // An answer that a fault had swallowed may still be waited for.
            assert!(summary.is_clean() || self.faults.lost_requests + self.faults.lost_answers > 0.0, "{summary}");
            assert_eq!(health.check(), Ok(()));
        }
        self.temper = Temper { fails: 0.0, panics: 0.0, rejects: 0.0, retries: 0.0, ..self.temper };
        let last = self.start();
        let started = Instant::now();
        while !self.queue.is_empty() {
            assert!(started.elapsed() < Duration::from_hours(24), "never done: {:?}", self.queue.messages());
            sleep(Duration::from_millis(200)).await;
        }
        last.stop.cancel();
        assert!(last.task.await.unwrap().is_clean());
        assert_eq!(last.health.check(), Ok(()));
        self.history.assert_nothing_lost(&self.queue);
        if self.fifo {
            self.history.assert_order(&self.queue);
        }
    }
}
