//! A server of 1,000 nodes and 100,000 containers: how long a look at all of it takes, a start, a loss of fifty nodes in
//! virtual time; and how much memory it has.
//!
//! Beside each stands what can't be avoided, in the same run: a plain comparison of two sets of as many names, and
//! reading as many rows. The figures' goals are for a machine with two cores; what is compared is the ratio.
//!
//! `cargo bench --package upbeat-orchestrator --bench scale`; `UPBEAT_BENCH_SEED` sets which nodes are lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use upbeat_orchestrator::cluster::model::{Admission, Node, Partition, Reach, Service, Template};
use upbeat_orchestrator::cluster::orders::{cures, orders};
use upbeat_orchestrator::cluster::records::Records;
use upbeat_orchestrator::cluster::records::memory::MemoryRecords;
use upbeat_orchestrator::cluster::schedule::decide;
use upbeat_orchestrator::cluster::server::Server;
use upbeat_orchestrator::cluster::sight::Sight;
use upbeat_orchestrator::cluster::state::{Change, Cluster, Entry, Name, Placed, container_name};
use upbeat_orchestrator::cluster::wire::{Report, Seen};
use upbeat_orchestrator::container::State;
use upbeat_orchestrator::moment::Moment;
use upbeat_orchestrator::store::sqlite::SqliteStore;
use upbeat_service::Health;

const NODES: u32 = 1000;
const SERVICES: u32 = 1000;
const REPLICAS: u32 = 100;

/// How many nodes are lost at once: not so many that it is a storm.
const LOST: usize = 50;

/// How often each measurement is made; the middle one is told.
const ROUNDS: usize = 9;

fn main() {
    println!("{NODES} nodes, {SERVICES} services of {REPLICAS} replicas each\n");
    // First, since memory that others have had and given back would not be told from its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(start());
    plan();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(loss());
}

/// A look at everything, when nothing is to be done.
fn plan() {
    let (cluster, mut sight) = (cluster(), Sight::default());
    let now = Moment(Duration::from_secs(100));
    for (node, report) in reports(&cluster) {
        sight.tell(&node, report, now);
    }
    let names = |suffix: &str| -> BTreeSet<String> {
        cluster.slots.values().flatten().map(|placed| format!("{}{suffix}", placed.name)).collect()
    };
    let (wanted, there) = (names(""), names(""));
    let bare = middle(|| {
        let missing: Vec<_> = wanted.difference(&there).collect();
        let more: Vec<_> = there.difference(&wanted).collect();
        assert!(black_box(missing).is_empty() && black_box(more).is_empty());
    });
    let full = middle(|| {
        let decision = decide(&cluster, &sight, now);
        assert!(decision.changes.is_empty() && decision.waiting.is_empty());
        black_box(cures(&cluster, &sight));
        let orders = orders(&cluster, &sight);
        assert_eq!(orders.values().map(|orders| orders.replicas.len()).sum::<usize>(), (SERVICES * REPLICAS) as usize);
    });
    let decided = middle(|| drop(black_box(decide(&cluster, &sight, now))));
    let ordered = middle(|| drop(black_box(orders(&cluster, &sight))));
    println!("  of it the schedule       {decided:>8.1?}   and the orders {ordered:.1?}");
    println!(
        "full plan                  {full:>8.1?}   goal 100 ms; a bare diff {bare:.1?}, {:.1} times",
        ratio(full, bare)
    );
}

/// A server's start, with everything on the disk.
async fn start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orchestrator.sqlite");
    {
        let store = SqliteStore::new(&path).unwrap();
        let empty = Records::load(&store).await.unwrap();
        let full = Cluster { id: empty.id, ..cluster() };
        let nodes = full.nodes.iter().map(|(name, node)| Change::Node(name.clone(), node.clone()));
        let services = full.services.iter().map(|(name, entry)| Change::Service(name.clone(), entry.clone()));
        let placed = full.slots.iter().flat_map(|((service, slot), placed)| {
            placed.iter().map(|placed| Change::Place(service.clone(), *slot, placed.clone()))
        });
        store.keep(nodes.chain(services).chain(placed).collect()).await.unwrap();
    }
    let bare = Instant::now();
    {
        let connection = rusqlite::Connection::open(&path).unwrap();
        let mut rows = connection.prepare("SELECT service, slot, epoch, node FROM replicas").unwrap();
        let rows = rows.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, i64>(2)?, row.get::<_, String>(3)?))
        });
        assert_eq!(black_box(rows.unwrap().collect::<Vec<_>>()).len(), (SERVICES * REPLICAS) as usize);
    }
    let bare = bare.elapsed();
    let before = resident();
    let began = Instant::now();
    let store: Arc<dyn Records> = Arc::new(SqliteStore::new(&path).unwrap());
    let (server, brain) = Server::new(store, None);
    let stop = CancellationToken::new();
    let task = tokio::spawn(brain.run(Health::default(), stop.clone()));
    let count = server.read(|view| view.cluster.slots.len()).await.unwrap();
    let took = began.elapsed();
    assert_eq!(count, (SERVICES * REPLICAS) as usize);
    println!(
        "cold start                 {took:>8.1?}   goal 2 s; reading the rows alone {bare:.1?}, {:.1} times",
        ratio(took, bare)
    );
    // Every node tells once.
    let told = server.read(|view| reports(view.cluster)).await.unwrap();
    for (node, report) in told {
        server.exchange(&node, report, false).await.ok();
    }
    let began = Instant::now();
    server.read(|_| ()).await.unwrap();
    let grown = resident().saturating_sub(before);
    println!(
        "memory, with all reports   {grown:>5} MiB   goal 250 MiB; answered meanwhile within {:.1?}",
        began.elapsed()
    );
    stop.cancel();
    task.await.unwrap();
}

/// Fifty nodes are lost: what they ran is placed elsewhere, in virtual time; how long that takes to work out.
async fn loss() {
    let seed = std::env::var("UPBEAT_BENCH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = fastrand::Rng::with_seed(seed);
    let (server, brain) = Server::new(Arc::new(MemoryRecords::of(cluster())), None);
    let stop = CancellationToken::new();
    tokio::spawn(brain.run(Health::default(), stop.clone()));
    let nodes: Vec<Name> = server.read(|view| view.cluster.nodes.keys().cloned().collect()).await.unwrap();
    let mut lost: Vec<usize> = (0..nodes.len()).collect();
    random.shuffle(&mut lost);
    lost.truncate(LOST);
    let mut told_last: BTreeMap<Name, Report> = BTreeMap::new();
    let (began, mut replaced) = (tokio::time::Instant::now(), None);
    let real = Instant::now();
    // Every node does at once what it is told, and tells every two seconds.
    for round in 0..20 {
        for (index, node) in nodes.iter().enumerate() {
            if round >= 3 && lost.contains(&index) {
                continue;
            }
            let report = told_last.remove(node).unwrap_or_default();
            let told = server.exchange(node, report, false).await.ok();
            let running = |name: &Arc<str>| (name.to_string(), Seen { state: Some(State::Running), ..Seen::default() });
            let report = told.map(|orders| Report {
                stamp: Some(orders.stamp),
                engine: None,
                replicas: orders.replicas.iter().map(|order| running(&order.name)).collect(),
            });
            told_last.insert(node.clone(), report.unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let gone: BTreeSet<Name> = lost.iter().map(|index| nodes[*index].clone()).collect();
        let there = server.read(move |view| {
            let newest = view.cluster.slots.values().filter_map(|placed| placed.last());
            newest.filter(|placed| !gone.contains(&placed.node)).count()
        });
        if there.await.unwrap() == (SERVICES * REPLICAS) as usize && replaced.is_none() && round > 3 {
            replaced = Some(began.elapsed().saturating_sub(Duration::from_secs(6)));
        }
    }
    let replaced = replaced.expect("everything is placed elsewhere");
    let (count, real) = (LOST * 100, real.elapsed());
    println!(
        "{LOST} of the nodes lost      {replaced:>8.1?}   of virtual time to {count} replicas placed elsewhere (seed {seed}; {real:.1?} of work)"
    );
    stop.cancel();
}

fn cluster() -> Cluster {
    let mut cluster = Cluster { id: "bench".to_owned(), ..Cluster::default() };
    for number in 0..NODES {
        let name: Name = format!("node-{number:04}").into();
        let node = Node {
            name: name.to_string(),
            reach: Reach::Agent,
            capacity: 200,
            labels: BTreeMap::new(),
            admission: Admission::Open,
        };
        cluster.nodes.insert(name, node);
    }
    let nodes: Vec<Name> = cluster.nodes.keys().cloned().collect();
    for number in 0..SERVICES {
        let name: Name = format!("service-{number:04}").into();
        let container = Arc::new(Template {
            image: "app:1".to_owned(),
            body: serde_json::json!({"Image": "app:1", "Env": ["A=1", "B=2"]}),
            networks: BTreeMap::new(),
            hash: format!("{number:032x}").into(),
        });
        let service = Service {
            name: name.to_string(),
            replicas: REPLICAS,
            partition: Partition::Keep,
            placement: BTreeMap::new(),
            host_ports: Vec::new(),
            stop_grace: Duration::from_secs(10),
            logs: None,
            probe: None,
            container: Arc::clone(&container),
        };
        let entry = Entry { service: Arc::new(service), revision: 1, rollout: 1, held: None, removing: false };
        cluster.services.insert(name.clone(), entry);
        for slot in 0..REPLICAS {
            cluster.epoch += 1;
            let node = nodes[((number * REPLICAS + slot) % NODES) as usize].clone();
            let placed = Placed {
                epoch: cluster.epoch,
                name: container_name(&name, slot, cluster.epoch),
                node,
                revision: 1,
                template: Arc::clone(&container),
                retired: false,
            };
            cluster.slots.insert((name.clone(), slot), vec![placed]);
        }
    }
    cluster
}

/// What every node tells when all that it was given runs.
fn reports(cluster: &Cluster) -> BTreeMap<Name, Report> {
    let mut reports: BTreeMap<Name, Report> = BTreeMap::new();
    for placed in cluster.slots.values().flatten() {
        let seen = Seen { id: format!("{:064x}", placed.epoch), state: Some(State::Running), ..Seen::default() };
        reports.entry(placed.node.clone()).or_default().replicas.insert(placed.name.to_string(), seen);
    }
    reports
}

fn middle(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// In MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}
