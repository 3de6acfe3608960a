//! The loop on a simulated engine, in paused time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod health;
mod restarts;
mod scope;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use upbeat_orchestrator::allow::AllowList;
use upbeat_orchestrator::control::{Control, Options, Shared};
use upbeat_orchestrator::desired::Protected;
use upbeat_orchestrator::readers::{LogPolicy, Readers};
use upbeat_orchestrator::runtime::simulator::{Behaviour, Call, Simulator};
use upbeat_orchestrator::store::memory::MemoryStore;
use upbeat_orchestrator::watch::watch;
use upbeat_service::Health;

/// Long enough for everything that is due at once.
const SOON: Duration = Duration::from_millis(100);

/// An orchestrator that runs.
struct Scene {
    engine: Simulator,
    shared: Shared,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

fn options() -> Options {
    Options {
        enforce: true,
        allow: None,
        assigned: None,
        protected: Protected::default(),
        resync: Duration::from_secs(30),
    }
}

impl Scene {
    /// With these containers running on the engine, each as it behaves.
    async fn of(containers: impl IntoIterator<Item = (&str, Behaviour)>) -> Self {
        let engine = Simulator::new();
        for (name, behaviour) in containers {
            engine.run(name, behaviour);
        }
        Self::on(engine, MemoryStore::default(), options(), None).await
    }

    async fn allowing(list: &[&str], containers: &[&str]) -> Self {
        let engine = Simulator::new();
        for name in containers {
            engine.run(name, Behaviour::default());
        }
        let allow = Some(AllowList::parse(list.iter().copied()).unwrap());
        Self::on(engine, MemoryStore::default(), Options { allow, ..options() }, None).await
    }

    async fn on(engine: Simulator, store: MemoryStore, options: Options, logs: Option<LogPolicy>) -> Self {
        let runtime = Arc::new(engine.clone());
        let control = Control::new(options, runtime.clone(), Arc::new(store), Readers::new(logs));
        let (shared, stop, health) = (control.shared(), CancellationToken::new(), Health::default());
        let watching = watch(runtime, Arc::clone(&shared.marks), health.clone());
        let watching = stop.clone().run_until_cancelled_owned(watching);
        let tasks = vec![
            tokio::spawn(control.run(health, stop.clone())),
            tokio::spawn(async move {
                watching.await;
            }),
        ];
        sleep(SOON).await;
        Self { engine, shared, stop, tasks }
    }

    /// What was done since.
    fn calls(&self) -> Vec<(&'static str, String)> {
        self.engine.calls().into_iter().map(|Call { what, name, .. }| (what, name)).collect()
    }

    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

fn steady() -> Behaviour {
    Behaviour::default()
}
