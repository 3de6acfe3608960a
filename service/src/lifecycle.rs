//! How every service starts and stops.
//!
//! Start: signals are caught, the port is bound, HTTP answers, then the service's own work begins.
//! Stop, on the first SIGTERM or Ctrl-C: unready at once, [`Service::stop`] fires, the work drains within
//! its time, HTTP closes last. A second signal ends the process at once.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::board::Board;
use crate::page::Page;
use crate::settings::ServiceSettings;
use crate::{Health, Metrics, Readiness, Traces, http, logs, metrics};

/// The exit code of a process that a second signal has ended.
const SECOND_SIGNAL: i32 = 130;

/// How much longer than its drain time the work may take before the process ends without it.
const OVERRUN: Duration = Duration::from_secs(2);

/// How long spans that are left may take to reach the collector, as far as the drain time allows, and in any case.
const FLUSH: Duration = Duration::from_secs(3);
const LEAST_FLUSH: Duration = Duration::from_millis(200);

/// What a service's work is given: where to show its state, and when to stop.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Liveness; every long-lived task is on its list.
    pub health: Health,
    /// Readiness; every thing that must be there is one of its conditions.
    pub readiness: Readiness,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Where spans go, if anywhere.
    pub traces: Traces,
    /// Fires once, when the service is to stop.
    pub stop: CancellationToken,
}

/// What a service is.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// As its binary is called.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What a person is shown of it.
    pub board: &'static Board,
    /// Where it is shown: `/`, unless the service has something else there.
    pub page: &'static str,
}

/// How the work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Everything taken on was finished or given back.
    Clean,
    /// Something was not.
    Unfinished,
}

/// Runs a service to its end: `start` is given the [`Service`] and returns the service's own routes and its work.
///
/// Exit code 0 when the work ends [`Stopped::Clean`], 1 when it does not, fails, overruns its drain time or
/// the port can't be had, 130 on a second signal.
pub fn run<F, W>(about: About, settings: &ServiceSettings, start: F) -> ExitCode
where
    F: FnOnce(Service) -> (Router, W),
    W: Future<Output = anyhow::Result<Stopped>>,
{
    logs::start(settings.log_format);
    let ended =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start a runtime").and_then(
            |runtime| {
                let ended = runtime.block_on(supervise(about, settings, start));
                // A thread that waits for standard input must not keep the process.
                runtime.shutdown_background();
                ended
            },
        );
    match ended {
        Ok(Stopped::Clean) => ExitCode::SUCCESS,
        Ok(Stopped::Unfinished) => ExitCode::FAILURE,
        Err(error) => {
            error!(error = %format_args!("{error:#}"), "failed");
            ExitCode::FAILURE
        }
    }
}

async fn supervise<F, W>(about: About, settings: &ServiceSettings, start: F) -> anyhow::Result<Stopped>
where
    F: FnOnce(Service) -> (Router, W),
    W: Future<Output = anyhow::Result<Stopped>>,
{
    let About { name, version, board, page } = about;
    let traces = Traces::of_environment(name, version).unwrap_or_else(|reason| {
        error!(%reason, "traces are off");
        Traces::default()
    });
    let metrics = Metrics::noting(name, version, settings.page_bodies);
    let service = Service { metrics, traces, ..Service::default() };
    service.metrics.watch(&service.health, &service.readiness);
    let signals = Signals::catch().context("cannot catch signals")?;
    tokio::spawn(signals.stop(service.clone()));

    let listen = settings.listen;
    let listener = TcpListener::bind(listen).await;
    let listener = listener
        .with_context(|| format!("cannot listen on {listen}; --listen or LISTEN sets another address or port"))?;
    let listening = listener.local_addr().context("cannot read the port that was bound")?;
    info!(%version, %listening, "{name} started");

    let (routes, work) = start(service.clone());
    let close = CancellationToken::new();
    let Service { health, readiness, metrics, .. } = service.clone();
    let page = Page { name, version, board, path: page, metrics, health, readiness };
    let routes = routes.merge(metrics::routes(service.metrics)).merge(page.routes(&close));
    let server = tokio::spawn(http::serve(listener, service.health, service.readiness, routes, close.clone()));

    let stopping_since = OnceLock::new();
    let overrun = async {
        service.stop.cancelled().await;
        let _ = stopping_since.set(Instant::now());
        tokio::time::sleep(settings.drain_timeout + OVERRUN).await;
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = overrun => Err(anyhow::anyhow!("the work did not end within the drain timeout of {:?}", settings.drain_timeout)),
    };
    close.cancel();
    server.await.context("the HTTP server failed")?;
    let used = stopping_since.get().map_or(Duration::ZERO, Instant::elapsed);
    let left = FLUSH.min(settings.drain_timeout.saturating_sub(used)).max(LEAST_FLUSH);
    // It blocks its thread; whatever it leaves is lost.
    drop(spawn_blocking(move || service.traces.shut_down(left)).await);
    ended
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// The first signal asks the service to stop, the second ends the process.
    async fn stop(mut self, service: Service) {
        let signal = self.next().await;
        service.readiness.drain();
        info!(%signal, "stopping");
        service.stop.cancel();

        let signal = self.next().await;
        warn!(%signal, "stopped at once by a second signal");
        std::process::exit(SECOND_SIGNAL);
    }
}
