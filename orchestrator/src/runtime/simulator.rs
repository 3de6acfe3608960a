//! An engine in memory that keeps time by tokio's clock and can be told to fail: for tests of the loop, in paused time.

mod calls;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::{Instant, sleep};

use super::{LogLine, NoAnswer, RuntimeError};
use crate::container::{Container, Health, State, Ways};

/// How many events a reader may be behind.
const EVENTS: usize = 4096;

/// How many log lines a reader may be behind.
const LINES: usize = 1024;

/// An engine in memory. Clones share the same one.
#[derive(Clone, Debug)]
pub struct Simulator(Arc<Engine>);

#[derive(Debug)]
struct Engine {
    began: Instant,
    world: Mutex<World>,
    events: broadcast::Sender<String>,
    lines: broadcast::Sender<(String, LogLine)>,
}

#[derive(Debug, Default)]
struct World {
    containers: BTreeMap<String, Simulated>,
    last_id: u64,
    last_run: u64,
    faults: Faults,
    calls: Vec<Call>,
    answers: Answers,
}

/// What containers answer to their probes, by what they are and how long they have run.
struct Answers(Box<Answering>);

type Answering = dyn Fn(&Container, Duration) -> Result<(), NoAnswer> + Send;

impl Default for Answers {
    fn default() -> Self {
        Self(Box::new(|_, _| Ok(())))
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Answers")
    }
}

#[derive(Clone, Debug)]
struct Simulated {
    container: Container,
    started: Option<Instant>,
    run: u64,
    behaviour: Behaviour,
    printed: Vec<String>,
}

/// What a simulated container does by itself.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// Ends by itself so long after each start.
    pub runs_for: Option<Duration>,
    /// How long a start takes.
    pub starts_in: Duration,
    /// What its health check says so long after each start, in this order.
    pub health: Vec<(Duration, Health)>,
}

/// What is wrong with the engine.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Nothing is answered.
    pub hangs: bool,
    /// Events are lost, and the streams of them do not end.
    pub silent: bool,
    /// How long it takes to make a container.
    pub creates_in: Duration,
    /// How long containers take to stop.
    pub stops_in: Duration,
    /// So many of the next calls that change something fail.
    pub refusals: u32,
}

/// A call that changed something, and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `start`, `stop`, `restart` or `create`.
    pub what: &'static str,
    /// Of which container.
    pub name: String,
    /// How long after the simulator was made.
    pub at: Duration,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// Without containers.
    #[must_use]
    pub fn new() -> Self {
        let engine = Engine {
            began: Instant::now(),
            world: Mutex::default(),
            events: broadcast::Sender::new(EVENTS),
            lines: broadcast::Sender::new(LINES),
        };
        Self(Arc::new(engine))
    }

    /// Runs one more container, as somebody other than the orchestrator would.
    pub fn run(&self, name: &str, behaviour: Behaviour) {
        self.add(name, behaviour, BTreeMap::new());
        self.begin(name);
    }

    /// Ends a container as a crash would.
    pub fn kill(&self, name: &str) {
        self.end(name, 137, None);
    }

    /// Takes a container away.
    pub fn remove(&self, name: &str) {
        self.end(name, 137, None);
        let gone = self.world().containers.remove(name);
        if let Some(gone) = gone {
            self.tell(&gone.container.id);
        }
    }

    /// Crashes and comes back: everything has ended, and nobody was told.
    pub fn crash(&self) {
        let names: Vec<_> = self.world().containers.keys().cloned().collect();
        let silent = std::mem::replace(&mut self.world().faults.silent, true);
        for name in names {
            self.end(&name, 0, None);
        }
        self.world().faults.silent = silent;
    }

    /// Has its health check say this.
    pub fn set_health(&self, name: &str, health: Health) {
        if let Some(found) = self.world().containers.get_mut(name) {
            found.container.health = health;
        }
        self.tell_of(name);
    }

    /// Has it print a line.
    pub fn print(&self, name: &str, text: &str) {
        let id = self.world().containers.get_mut(name).map(|found| {
            found.printed.push(text.to_owned());
            found.container.id.clone()
        });
        if let Some(id) = id {
            let nanos = i64::try_from(self.0.began.elapsed().as_nanos()).unwrap_or(i64::MAX);
            let _ = self.0.lines.send((id, LogLine { nanos, text: text.to_owned() }));
        }
    }

    /// Has its containers answer this to their probes, by what they are and how long they have run.
    pub fn set_answers(&self, answers: impl Fn(&Container, Duration) -> Result<(), NoAnswer> + Send + 'static) {
        self.world().answers = Answers(Box::new(answers));
    }

    /// Changes what is wrong with it.
    pub fn set_faults(&self, faults: Faults) {
        self.world().faults = faults;
    }

    /// All calls that changed something, refused ones too.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// The names of the containers that run.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        let world = self.world();
        let running = world.containers.values().filter(|found| found.container.state == State::Running);
        running.map(|found| found.container.name.clone()).collect()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stamp(&self) -> String {
        format!("{:?}", self.0.began.elapsed())
    }

    fn tell(&self, id: &str) {
        if !self.world().faults.silent {
            let _ = self.0.events.send(id.to_owned());
        }
    }

    fn tell_of(&self, name: &str) {
        let id = self.world().containers.get(name).map(|found| found.container.id.clone());
        if let Some(id) = id {
            self.tell(&id);
        }
    }

    fn add(&self, name: &str, behaviour: Behaviour, labels: BTreeMap<String, String>) {
        let created = self.stamp();
        let mut world = self.world();
        world.last_id += 1;
        let container = Container {
            id: format!("{:064x}", world.last_id),
            name: name.to_owned(),
            image: format!("{name}:1"),
            command: Vec::new(),
            created,
            state: State::Created,
            health: Health::None,
            exit_code: None,
            error: String::new(),
            started: String::new(),
            finished: String::new(),
            ran_for: None,
            engine_restarts: false,
            labels,
            ports: Vec::new(),
            ways: Ways::default(),
        };
        let simulated = Simulated { container, started: None, run: 0, behaviour, printed: Vec::new() };
        world.containers.insert(name.to_owned(), simulated);
    }

    fn begin(&self, name: &str) {
        let stamp = self.stamp();
        let mut world = self.world();
        world.last_run += 1;
        let run = world.last_run;
        let Some(found) = world.containers.get_mut(name) else { return };
        if found.container.state == State::Running {
            return;
        }
        found.container.state = State::Running;
        found.container.started = stamp;
        found.container.health = if found.behaviour.health.is_empty() { Health::None } else { Health::Starting };
        (found.started, found.run) = (Some(Instant::now()), run);
        let Behaviour { runs_for, health, .. } = found.behaviour.clone();
        drop(world);
        self.tell_of(name);
        if let Some(runs_for) = runs_for {
            let (engine, name) = (self.clone(), name.to_owned());
            tokio::spawn(async move {
                sleep(runs_for).await;
                engine.end(&name, 1, Some(run));
            });
        }
        for (after, health) in health {
            let (engine, name) = (self.clone(), name.to_owned());
            tokio::spawn(async move {
                sleep(after).await;
                let current = engine.world().containers.get(&name).is_some_and(|found| found.run == run);
                if current {
                    engine.set_health(&name, health);
                }
            });
        }
    }

    fn end(&self, name: &str, code: i64, run: Option<u64>) {
        let stamp = self.stamp();
        let mut world = self.world();
        let Some(found) = world.containers.get_mut(name) else { return };
        if found.container.state != State::Running || run.is_some_and(|run| run != found.run) {
            return;
        }
        found.container.state = State::Exited;
        found.container.exit_code = Some(code);
        found.container.finished = stamp;
        found.container.ran_for = found.started.map(|started| started.elapsed());
        drop(world);
        self.tell_of(name);
    }

    async fn answer(&self) -> Result<(), RuntimeError> {
        if self.world().faults.hangs {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// The name of a container by its id or its name.
    fn name_of(&self, id: &str) -> String {
        let world = self.world();
        let found = world.containers.values().find(|found| found.container.id == id);
        found.map_or_else(|| id.to_owned(), |found| found.container.name.clone())
    }

    /// A call that changes something.
    async fn call(&self, what: &'static str, name: &str) -> Result<(), RuntimeError> {
        self.answer().await?;
        let at = self.0.began.elapsed();
        let mut world = self.world();
        world.calls.push(Call { what, name: name.to_owned(), at });
        if world.faults.refusals > 0 {
            world.faults.refusals -= 1;
            return Err(RuntimeError::Refused("as told".to_owned()));
        }
        if what != "create" && !world.containers.contains_key(name) {
            return Err(RuntimeError::Missing(format!("no container {name}")));
        }
        Ok(())
    }

    fn behaviour(&self, name: &str) -> Behaviour {
        self.world().containers.get(name).map(|found| found.behaviour.clone()).unwrap_or_default()
    }
}
