//! How `orchestrator agent` starts and stops.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use upbeat_service::{Backoff, Service, Stopped};

use crate::ask::{Refused, Servers};
use crate::cluster::lease::Lease;
use crate::cluster::link::ServerLink;
use crate::cluster::node::Node;
use crate::cluster::printing::{WAITING, send};
use crate::control::{Conditions, Control, Options};
use crate::credentials::Credentials;
use crate::desired::Protected;
use crate::http::cluster::Hello;
use crate::http::{Access, Gateway, Guard, node_routes};
use crate::itself::own_id;
use crate::join::{Identity, Ticket, join};
use crate::meter::Meter;
use crate::readers::Readers;
use crate::runtime::Runtime;
use crate::settings::AgentSettings;
use crate::store::memory::MemoryStore;
use crate::watch::watch as watch_engine;

/// The last orders' file in the state folder, and the lease's.
const ORDERS: &str = "orders.json";
const LEASE: &str = "lease";

/// The longest wait between tries to join.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Who this host is: a node that has joined, or one that has what it takes to.
pub enum Membership {
    /// It has joined.
    Joined(Identity),
    /// It has not.
    Invited(Ticket),
}

/// Who this host is, by what it keeps or is given. Blocks.
///
/// # Errors
/// If it is neither a node nor has a join token.
pub fn membership(settings: &AgentSettings) -> anyhow::Result<Membership> {
    let kept = Identity::load(&settings.state)?;
    Ok(match kept {
        Some(identity) => Membership::Joined(identity),
        None => Membership::Invited(settings.ticket()?),
    })
}

/// The agent's routes, and its work.
pub fn start(
    service: Service,
    settings: AgentSettings,
    access: Access,
    name: String,
    membership: Membership,
) -> (Router, impl Future<Output = anyhow::Result<Stopped>>) {
    let runtime: Arc<dyn Runtime> = Arc::new(settings.engine.open());
    let conditions =
        Conditions { engine: service.readiness.condition("engine"), store: service.readiness.condition("orders") };
    let (assigned, orders) = watch::channel(None);
    let protected = Protected { own_id: own_id(), patterns: Vec::new() };
    let options = Options { enforce: true, allow: None, assigned: Some(orders), protected, resync: settings.resync };
    let store = Arc::new(MemoryStore::default());
    let control = Control::new(options, Arc::clone(&runtime), store.clone(), Readers::default())
        .conditions(conditions)
        .meter(Meter::new(&service.metrics));
    let shared = control.shared();
    let credentials: Arc<dyn Credentials> = store.clone();
    let guard = Guard::new(access, credentials);
    let routes =
        node_routes(Gateway::new(guard, shared.clone(), store, None, Arc::clone(&runtime), service.stop.clone()));
    (routes, async move {
        let (tasks, stop) = (TaskTracker::new(), &service.stop);
        let servers = Arc::new(Servers::new(settings.server.clone()));
        let joining = stop.clone().run_until_cancelled_owned(identity(&servers, &settings, &name, membership));
        let Some(identity) = joining.await else { return Ok(Stopped::Clean) };
        let identity = identity?;
        info!(node = %identity.name, server = %settings.server.join(","), engine = %settings.engine.engine, "node");
        let hello = Hello { capacity: settings.capacity, labels: settings.labels.iter().cloned().collect() };
        let (sender, wanted) = mpsc::channel(WAITING);
        let link = ServerLink::new(servers, identity, hello, settings.state.clone(), sender)?;
        let link = Arc::new(link);
        let (lease, file) = (settings.state.join(LEASE), settings.state.join(ORDERS));
        let lease = spawn_blocking(move || Lease::of_file(&lease)).await?;
        let node = Node::new(link.clone(), Arc::clone(&runtime), shared.clone(), assigned, lease, Some(file));
        let engine = Arc::clone(&runtime);
        let watching = watch_engine(runtime, Arc::clone(&shared.marks), service.health.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(watching));
        tasks.spawn(stop.clone().run_until_cancelled_owned(node.run(service.health.clone())));
        let sending = send(Arc::clone(&link), engine, shared.picture.clone(), wanted);
        tasks.spawn(stop.clone().run_until_cancelled_owned(sending));
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move { link.renew().await }));
        control.run(service.health.clone(), service.stop.clone()).await;
        tasks.close();
        tasks.wait().await;
        info!("stopped");
        Ok(Stopped::Clean)
    })
}

/// Who we are; joins if need be, however long the server is away.
async fn identity(
    servers: &Servers,
    settings: &AgentSettings,
    name: &str,
    membership: Membership,
) -> anyhow::Result<Identity> {
    let ticket = match membership {
        Membership::Joined(identity) => return Ok(identity),
        Membership::Invited(ticket) => ticket,
    };
    let mut backoff = Backoff::new(Duration::from_millis(250), LONGEST_WAIT);
    loop {
        match join(servers, &ticket, name, &settings.state).await {
            Ok(identity) => return Ok(identity),
            Err(error) => {
                // What it refuses it will refuse the next time.
                let refused = error.downcast_ref::<Refused>().is_some_and(|refused| refused.status < 500);
                if refused {
                    return Err(error).context("this host does not become a node");
                }
                warn!(error = %format_args!("{error:#}"), "cannot join yet");
                tokio::time::sleep(backoff.next_wait()).await;
            }
        }
    }
}
