//! A server and its nodes on simulated engines, in paused time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod chaos;
mod partitions;
mod probes;
mod servers;
mod troubles;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use upbeat_orchestrator::cluster::lease::Lease;
use upbeat_orchestrator::cluster::model::{Admission, Node as NodeModel, Partition, Reach, Service, Template};
use upbeat_orchestrator::cluster::node::{Link, LinkError, Node};
use upbeat_orchestrator::cluster::records::memory::MemoryRecords;
use upbeat_orchestrator::cluster::server::{Refusal, Server};
use upbeat_orchestrator::cluster::wire::{Orders, Report};
use upbeat_orchestrator::control::{Control, Options};
use upbeat_orchestrator::desired::Protected;
use upbeat_orchestrator::readers::Readers;
use upbeat_orchestrator::runtime::simulator::Simulator;
use upbeat_orchestrator::store::memory::MemoryStore;
use upbeat_orchestrator::watch::watch as watch_engine;
use upbeat_service::Health;

/// Long enough for whatever is due at once, a heartbeat included.
const SOON: Duration = Duration::from_secs(5);

/// The server and whether it is there, for links that outlive it.
type Shared = Arc<Mutex<Option<Server>>>;

/// A cluster that runs.
struct Fleet {
    server: Shared,
    records: MemoryRecords,
    stop_server: CancellationToken,
    hosts: Vec<Host>,
}

/// A machine: what runs on it outlives its agent.
struct Host {
    name: String,
    engine: Simulator,
    network: watch::Sender<bool>,
    /// Whether what it sends arrives; what it is sent does in any case.
    requests: watch::Sender<bool>,
    agent: Option<CancellationToken>,
}

struct Way {
    node: String,
    server: Shared,
    network: watch::Receiver<bool>,
    requests: watch::Receiver<bool>,
}

#[async_trait]
impl Link for Way {
    async fn exchange(&self, report: Report, waits: bool) -> Result<Arc<Orders>, LinkError> {
        let mut network = self.network.clone();
        let mut back = self.network.clone();
        self.requests.clone().wait_for(|up| *up).await.map_err(anyhow::Error::from)?;
        network.wait_for(|up| *up).await.map_err(anyhow::Error::from)?;
        let server = self.server.lock().unwrap().clone();
        let server = server.ok_or_else(|| anyhow::anyhow!("connection refused"))?;
        let answered = server.exchange(&self.node, report, waits);
        // What is on its way when the link is cut is lost.
        let orders = tokio::select! {
            orders = answered => orders,
            () = async { drop(back.wait_for(|up| !*up).await) } => std::future::pending().await,
        };
        orders.map_err(|refusal| match refusal {
            Refusal::NotFound(_) => LinkError::TakenOut,
            other => LinkError::Away(other.into()),
        })
    }
}

impl Fleet {
    /// So many nodes of ten places each.
    async fn of(count: usize) -> Self {
        let mut fleet = Self {
            server: Arc::default(),
            records: MemoryRecords::default(),
            stop_server: CancellationToken::new(),
            hosts: Vec::new(),
        };
        fleet.start_server();
        for number in 1..=count {
            fleet.add(&format!("n{number}"), &[]).await;
        }
        sleep(Duration::from_secs(1)).await;
        fleet
    }

    async fn add(&mut self, name: &str, labels: &[(&str, &str)]) {
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let node =
            NodeModel { name: name.to_owned(), reach: Reach::Agent, capacity: 10, labels, admission: Admission::Open };
        assert!(self.server().put_node(node).await.unwrap());
        let (network, requests) = (watch::Sender::new(true), watch::Sender::new(true));
        self.hosts.push(Host { name: name.to_owned(), engine: Simulator::new(), network, requests, agent: None });
        self.start_agent(self.hosts.len() - 1);
    }

    fn server(&self) -> Server {
        self.server.lock().unwrap().clone().unwrap()
    }

    fn start_server(&mut self) {
        let (server, brain) = Server::new(Arc::new(self.records.clone()), None);
        self.stop_server = CancellationToken::new();
        tokio::spawn(brain.run(Health::default(), self.stop_server.clone()));
        *self.server.lock().unwrap() = Some(server);
    }

    fn kill_server(&self) {
        self.stop_server.cancel();
        *self.server.lock().unwrap() = None;
    }

    fn start_agent(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let stop = CancellationToken::new();
        let (assigned, orders) = watch::channel(None);
        let options = Options {
            enforce: true,
            allow: None,
            assigned: Some(orders),
            protected: Protected::default(),
            resync: Duration::from_secs(30),
        };
        let runtime = Arc::new(host.engine.clone());
        let control = Control::new(options, runtime.clone(), Arc::new(MemoryStore::default()), Readers::default());
        let shared = control.shared();
        let way = Way {
            node: host.name.clone(),
            server: Arc::clone(&self.server),
            network: host.network.subscribe(),
            requests: host.requests.subscribe(),
        };
        let node = Node::new(Arc::new(way), runtime.clone(), shared.clone(), assigned, Lease::new(virtual_time), None);
        let watching = watch_engine(runtime, Arc::clone(&shared.marks), Health::default());
        tokio::spawn(stop.clone().run_until_cancelled_owned(watching));
        tokio::spawn(stop.clone().run_until_cancelled_owned(node.run(Health::default())));
        tokio::spawn(stop.clone().run_until_cancelled_owned(control.run(Health::default(), CancellationToken::new())));
        host.agent = Some(stop);
    }

    fn kill_agent(&mut self, index: usize) {
        self.hosts[index].agent.take().unwrap().cancel();
    }

    fn cut(&self, index: usize) {
        self.hosts[index].network.send_replace(false);
    }

    fn mend(&self, index: usize) {
        self.hosts[index].network.send_replace(true);
    }

    async fn put(&self, service: Service) -> u64 {
        self.server().put_service(service, None).await.unwrap().1
    }

    /// What runs on each host.
    fn running(&self) -> Vec<Vec<String>> {
        self.hosts.iter().map(|host| host.engine.running()).collect()
    }

    /// How many of a service run.
    fn count(&self, service: &str) -> usize {
        self.slots(service).values().map(Vec::len).sum()
    }

    /// The epochs that run of each slot of a service.
    fn slots(&self, service: &str) -> BTreeMap<u32, Vec<u64>> {
        let mut slots: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for name in self.running().into_iter().flatten() {
            let mut parts = name.split('.');
            if parts.next() == Some(service) {
                let slot = parts.next().unwrap().parse().unwrap();
                slots.entry(slot).or_default().push(parts.next().unwrap().parse().unwrap());
            }
        }
        for epochs in slots.values_mut() {
            epochs.sort_unstable();
        }
        slots
    }

    /// Waits until exactly so many of a service run, one in each slot; gives how long that took.
    async fn settle(&self, service: &str, count: usize, limit: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let slots = self.slots(service);
            if slots.len() == count && slots.values().all(|epochs| epochs.len() == 1) {
                return began.elapsed();
            }
            assert!(began.elapsed() < limit, "after {limit:?}: {:?}", self.running());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Looks again and again for so long that between these many of a service run.
    async fn stays(&self, service: &str, least: usize, most: usize, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            let slots = self.slots(service);
            let count: usize = slots.values().map(Vec::len).sum();
            assert!(slots.len() >= least && count <= most, "after {:?}: {:?}", began.elapsed(), self.running());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The nodes on which a service's replicas run.
    fn nodes_of(&self, service: &str) -> BTreeSet<String> {
        let prefix = format!("{service}.");
        let has = |host: &&Host| host.engine.running().iter().any(|name| name.starts_with(&prefix));
        self.hosts.iter().filter(has).map(|host| host.name.clone()).collect()
    }
}

/// The lease's clock, by tokio's. It begins with whoever asks first.
fn virtual_time() -> Duration {
    thread_local! {
        static BEGAN: Instant = Instant::now();
    }
    BEGAN.with(Instant::elapsed) + Duration::from_secs(1000)
}

fn service(name: &str, replicas: u32) -> Service {
    let container = Template {
        image: "app:1".to_owned(),
        body: serde_json::json!({"Image": "app:1"}),
        networks: BTreeMap::new(),
        hash: "first".into(),
    };
    Service {
        name: name.to_owned(),
        replicas,
        partition: Partition::Keep,
        placement: BTreeMap::new(),
        host_ports: Vec::new(),
        stop_grace: Duration::from_secs(10),
        logs: None,
        probe: None,
        container: Arc::new(container),
    }
}

/// The same service made of something else.
fn other(service: &Service, hash: &str) -> Service {
    let container = Template { hash: hash.into(), ..Template::clone(&service.container) };
    Service { container: Arc::new(container), ..service.clone() }
}
