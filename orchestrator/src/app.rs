//! How the binary starts and stops: the connection, the loop and the probes, until it is to stop.

use std::sync::Arc;

use axum::Router;
use tokio_util::task::TaskTracker;
use tracing::info;
use upbeat_service::{Service, Stopped};

use crate::control::{Conditions, Control};
use crate::http::{self, Access, Gateway};
use crate::meter::Meter;
use crate::probes::probe;
use crate::readers::Readers;
use crate::runtime::Runtime;
use crate::runtime::docker::DockerEngine;
use crate::settings::Settings;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::watch::watch;

/// The store's file in its folder.
pub const FILE: &str = "orchestrator.sqlite";

/// The orchestrator's routes, and its work.
pub fn start(
    service: Service,
    settings: Settings,
    access: Access,
    store: SqliteStore,
) -> (Router, impl Future<Output = anyhow::Result<Stopped>>) {
    let runtime: Arc<dyn Runtime> = Arc::new(DockerEngine::new(settings.engine.clone()));
    let store: Arc<dyn Store> = Arc::new(store);
    let conditions =
        Conditions { engine: service.readiness.condition("engine"), store: service.readiness.condition("store") };
    let control =
        Control::new(settings.options(), Arc::clone(&runtime), Arc::clone(&store), Readers::new(settings.logs()))
            .conditions(conditions)
            .meter(Meter::new(&service.metrics));
    let shared = control.shared();
    let setting = settings.options().allow;
    let routes = http::routes(Gateway::new(access, shared.clone(), store, setting, service.stop.clone()));
    (routes, async move {
        let mode = if settings.allow.is_some() { "allow" } else { "snapshot" };
        info!(%mode, enforce = settings.enforce, engine = %settings.engine, "watching");
        let (tasks, stop) = (TaskTracker::new(), &service.stop);
        let watching = watch(runtime, Arc::clone(&shared.marks), service.health.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(watching));
        for one in settings.probe {
            let marks = Arc::clone(&shared.marks);
            let probing = probe(one, settings.probe_interval, settings.probe_timeout, marks, service.health.clone());
            tasks.spawn(stop.clone().run_until_cancelled_owned(probing));
        }
        control.run(service.health.clone(), service.stop.clone()).await;
        tasks.close();
        tasks.wait().await;
        info!("stopped");
        Ok(Stopped::Clean)
    })
}
