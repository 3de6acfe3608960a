//! How the binary starts and stops: the connection, the loop and the probes, until it is to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use upbeat_service::{Service, Stopped};

use crate::control::{Conditions, Control};
use crate::credentials::{Credentials, first_token};
use crate::http::{self, Access, Gateway, Guard};
use crate::meter::Meter;
use crate::probes::probe;
use crate::readers::Readers;
use crate::runtime::Runtime;
use crate::settings::{Door, Settings};
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::tls::listener::serve;
use crate::watch::watch;

/// The store's file in its folder.
pub const FILE: &str = "orchestrator.sqlite";

/// How long until the first token is tried again, when the disk does not take it.
const FIRST_TOKEN_AGAIN: Duration = Duration::from_secs(30);

/// Sees to it that somebody may come in.
pub async fn first_admin(store: Arc<dyn Credentials>, folder: PathBuf) {
    while let Err(error) = first_token(&*store, &folder, chrono::Utc::now().timestamp()).await {
        warn!(error = %format_args!("{error:#}"), "there is no admin token yet");
        tokio::time::sleep(FIRST_TOKEN_AGAIN).await;
    }
}

/// The orchestrator's routes, and its work.
pub fn start(
    service: Service,
    settings: Settings,
    access: Access,
    store: SqliteStore,
    door: Option<Door>,
) -> (Router, impl Future<Output = anyhow::Result<Stopped>>) {
    let runtime: Arc<dyn Runtime> = Arc::new(settings.target.engine.open());
    let kept = Arc::new(store);
    let store: Arc<dyn Store> = kept.clone();
    let conditions =
        Conditions { engine: service.readiness.condition("engine"), store: service.readiness.condition("store") };
    let control =
        Control::new(settings.options(), Arc::clone(&runtime), Arc::clone(&store), Readers::new(settings.logs()))
            .conditions(conditions)
            .meter(Meter::new(&service.metrics));
    let shared = control.shared();
    let setting = settings.options().allow;
    let guard = Guard::new(access, kept.clone());
    let routes =
        http::routes(Gateway::new(guard, shared.clone(), store, setting, Arc::clone(&runtime), service.stop.clone()));
    let app = upbeat_service::http::app(service.health.clone(), service.readiness.clone(), routes.clone());
    (routes, async move {
        let mode = if settings.target.allow.is_some() { "allow" } else { "snapshot" };
        info!(%mode, enforce = settings.enforce, engine = %settings.target.engine.engine, "watching");
        let (tasks, stop, close) = (TaskTracker::new(), &service.stop, CancellationToken::new());
        if let Some(door) = door {
            let listener = door.open().await?;
            info!(listening = %listener.address(), "listening by TLS");
            tasks.spawn(stop.clone().run_until_cancelled_owned(first_admin(kept, settings.target.state.clone())));
            tasks.spawn(serve(listener, app, close.clone()));
        }
        let watching = watch(runtime, Arc::clone(&shared.marks), service.health.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(watching));
        for one in settings.probe {
            let marks = Arc::clone(&shared.marks);
            let probing = probe(one, settings.probe_interval, settings.probe_timeout, marks, service.health.clone());
            tasks.spawn(stop.clone().run_until_cancelled_owned(probing));
        }
        control.run(service.health.clone(), service.stop.clone()).await;
        close.cancel();
        tasks.close();
        tasks.wait().await;
        info!("stopped");
        Ok(Stopped::Clean)
    })
}
