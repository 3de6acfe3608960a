//! Nodes without an agent: their engines are asked from here, each by a loop of its own, as an agent's would be there.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::info;
use upbeat_service::Health;

use super::lease::{Lease, since_boot};
use super::model::Reach;
use super::node::{Link, LinkError, Node};
use super::server::Server;
use super::wire::{Orders, Report};
use crate::control::{Control, Options};
use crate::desired::Protected;
use crate::readers::Readers;
use crate::runtime::Runtime;
use crate::store::memory::MemoryStore;
use crate::watch::watch as watch_engine;

/// How a node's engine is asked, by its address.
pub type Engines = Arc<dyn Fn(&str) -> Arc<dyn Runtime> + Send + Sync>;

/// How often everything is looked at, whatever events tell.
const RESYNC: Duration = Duration::from_secs(30);

/// The way to the server, which is here.
struct Here {
    server: Server,
    node: String,
}

#[async_trait]
impl Link for Here {
    async fn exchange(&self, report: Report, waits: bool) -> Result<Arc<Orders>, LinkError> {
        Ok(self.server.exchange(&self.node, report, waits).await.map_err(anyhow::Error::from)?)
    }
}

/// Looks after every node that is reached by its engine, until `stop`.
pub async fn look_after(server: Server, engines: Engines, health: Health, stop: CancellationToken) {
    let mut events = server.events();
    let mut nodes: BTreeMap<String, (String, CancellationToken)> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wanted = server.read(|view| {
            let engines = view.cluster.nodes.values().filter_map(|node| match &node.reach {
                Reach::Engine(address) => Some((node.name.clone(), address.clone())),
                Reach::Agent => None,
            });
            engines.collect::<BTreeMap<_, _>>()
        });
        // Without an answer the server is stopping, or another one leads, and looks after them.
        let wanted = wanted.await.unwrap_or_default();
        nodes.retain(|name, (address, stop)| {
            let keep = wanted.get(name) == Some(address);
            if !keep {
                stop.cancel();
            }
            keep
        });
        for (name, address) in wanted {
            nodes.entry(name.clone()).or_insert_with(|| {
                info!(node = %name, engine = %address, "watching");
                let stop = stop.child_token();
                let runtime = engines(&address);
                tasks.spawn(look_after_one(server.clone(), name, runtime, health.clone(), stop.clone()));
                (address, stop)
            });
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = stop.cancelled() => break,
            () = node_changes(&mut events) => {}
        }
    }
    stop.cancel();
    while tasks.join_next().await.is_some() {}
}

async fn node_changes(events: &mut tokio::sync::broadcast::Receiver<crate::picture::Event>) {
    loop {
        match events.recv().await {
            Ok(event) if matches!(event.event, "node" | "leads") => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            // It ends with the server, which is noticed elsewhere.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn look_after_one(
    server: Server,
    node: String,
    runtime: Arc<dyn Runtime>,
    health: Health,
    stop: CancellationToken,
) {
    let (assigned, orders) = watch::channel(None);
    let options =
        Options { enforce: true, allow: None, assigned: Some(orders), protected: Protected::default(), resync: RESYNC };
    let control = Control::new(options, Arc::clone(&runtime), Arc::new(MemoryStore::default()), Readers::default());
    let shared = control.shared();
    let link = Arc::new(Here { server, node });
    let node = Node::new(link, Arc::clone(&runtime), shared.clone(), assigned, Lease::new(since_boot), None);
    let watching = watch_engine(runtime, Arc::clone(&shared.marks), health.clone());
    let telling = node.run(health.clone());
    let both = stop.clone().run_until_cancelled_owned(async { tokio::join!(watching, telling) });
    tokio::join!(both, control.run(health, stop));
}
