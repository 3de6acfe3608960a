//! How `orchestrator server` starts and stops.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::ensure;
use axum::Router;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use upbeat_service::{Service, Stopped};

use crate::app::first_admin;
use crate::cluster::compose::Composed;
use crate::cluster::meter::ClusterMeter;
use crate::cluster::quorum::Quorum;
use crate::cluster::records::Records;
use crate::cluster::remote::{Engines, look_after};
use crate::cluster::server::{Refusal, Server};
use crate::credentials::Credentials;
use crate::http::cluster::{ClusterGateway, routes};
use crate::http::{Access, Guard};
use crate::runtime::Runtime;
use crate::runtime::docker::{DockerEngine, EngineTls};
use crate::settings::{Door, ServerSettings};
use crate::store::sqlite::SqliteStore;
use crate::tls::listener::serve;

/// How often it is looked whether the Compose file has changed, and how often what could not be kept is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The server's routes, and its work.
pub fn start(
    service: Service,
    settings: ServerSettings,
    access: Access,
    store: SqliteStore,
    door: Option<Door>,
    composed: Option<Composed>,
) -> (Router, impl Future<Output = anyhow::Result<Stopped>>) {
    let store = Arc::new(store);
    let condition = service.readiness.condition("store");
    let quorum = settings.advertise.clone().zip(door.as_ref()).map(|(url, door)| {
        Arc::new(Quorum::new(Arc::clone(&store), Arc::clone(&door.authority), url, settings.join.clone()))
    });
    let (records, credentials): (Arc<dyn Records>, Arc<dyn Credentials>) = match &quorum {
        Some(quorum) => (quorum.clone(), quorum.clone()),
        None => (store.clone(), store.clone()),
    };
    let (server, brain) = Server::new(Arc::clone(&records), Some(condition));
    let brain = brain.meter(ClusterMeter::new(&service.metrics));
    let guard = Guard::new(access, Arc::clone(&credentials));
    let authority = door.as_ref().map(|door| Arc::clone(&door.authority));
    let engine_tls = settings.engine_tls.clone();
    let engines: Engines = Arc::new(move |address| {
        let tls = engine_tls.clone().filter(|_| address.starts_with("https://"));
        let engine = DockerEngine::new(address.to_owned(), tls.map(|folder| EngineTls { folder }));
        Arc::new(engine) as Arc<dyn Runtime>
    });
    let gateway =
        ClusterGateway::new(guard, server.clone(), Arc::clone(&engines), service.stop.clone()).among(quorum.clone());
    let routes = routes(gateway, authority);
    let app = upbeat_service::http::app(service.health.clone(), service.readiness.clone(), routes.clone());
    (routes, async move {
        let is_alone = quorum.is_none();
        ensure!(
            !(is_alone && Quorum::is_kept_in(&store).await.unwrap_or_default()),
            "--state (STATE) is that of one of several servers: give its --advertise (ADVERTISE)"
        );
        let (tasks, stop, close) = (TaskTracker::new(), &service.stop, CancellationToken::new());
        if let Some(door) = door {
            let listener = door.open().await?;
            info!(listening = %listener.address(), "listening by TLS");
            let state = settings.state.clone();
            let first = async move {
                // Where there are several, the one that leads says who may come in first.
                while !records.leadership().is_ours() {
                    sleep(LOOK_EVERY).await;
                }
                first_admin(credentials, state).await;
            };
            tasks.spawn(stop.clone().run_until_cancelled_owned(first));
            tasks.spawn(serve(listener, app, close.clone()));
        }
        tasks.spawn(look_after(server.clone(), engines, service.health.clone(), stop.clone()));
        if let Some(composed) = composed {
            let following = follow(server, settings, composed);
            tasks.spawn(stop.clone().run_until_cancelled_owned(following));
        }
        let acting = brain.run(service.health.clone(), service.stop.clone());
        let taking_part = async {
            match &quorum {
                Some(quorum) => quorum.run().await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            () = acting => Ok(()),
            error = taking_part => error.map(|never| match never {}),
        };
        stop.cancel();
        close.cancel();
        tasks.close();
        tasks.wait().await;
        ended?;
        info!("stopped");
        Ok(Stopped::Clean)
    })
}

/// Has the services of the Compose file, and those of the next one when it changes; of several servers, the one that leads.
async fn follow(server: Server, settings: ServerSettings, mut composed: Composed) {
    let path = settings.config.clone().unwrap_or_default();
    let mut stamp = changed(path.clone()).await;
    let mut is_due = true;
    loop {
        if is_due {
            is_due = !have(&server, &composed).await;
        }
        sleep(LOOK_EVERY).await;
        let now = changed(path.clone()).await;
        if now == stamp || now.is_none() {
            continue;
        }
        stamp = now;
        let settings = settings.clone();
        match spawn_blocking(move || settings.composed()).await {
            Ok(Ok(Some(next))) => (composed, is_due) = (next, true),
            Ok(Err(error)) => warn!(error = %format_args!("{error:#}"), "the Compose file goes on as it was"),
            _ => {}
        }
    }
}

/// Has the services of this file. False if that could not be done now.
async fn have(server: &Server, composed: &Composed) -> bool {
    if server.read(|_| ()).await.is_err() {
        return false;
    }
    for note in &composed.notes {
        info!(%note, "compose file");
    }
    for service in &composed.services {
        match server.put_service(service.clone(), None).await {
            Ok(_) => {}
            Err(Refusal::Store(_) | Refusal::Away(_)) => return false,
            Err(refusal) => error!(service = %service.name, error = %refusal, "it can't be as the Compose file says"),
        }
    }
    true
}

/// Another one after each change.
async fn changed(path: PathBuf) -> Option<(SystemTime, u64)> {
    let look = move || path.metadata().and_then(|file| Ok((file.modified()?, file.len()))).ok();
    spawn_blocking(look).await.ok().flatten()
}
