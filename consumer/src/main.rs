//! The `consumer` binary: the library with SQS behind it and a built-in handler before it.

use std::process::ExitCode;

use axum::Router;
use tracing::info;
use upbeat_consumer::consumer::QUEUE;
use upbeat_consumer::queue::sqs::SqsQueue;
use upbeat_consumer::settings::{Command, Settings};
use upbeat_consumer::{BOARD, Consumer, tools};
use upbeat_service::metrics::OK;
use upbeat_service::settings::refuse;
use upbeat_service::{About, Service, Stopped, connect, healthcheck, parse, run};

fn main() -> ExitCode {
    let mut settings: Settings = parse();
    match settings.command.take() {
        Some(Command::Healthcheck) => healthcheck(&settings.service),
        Some(Command::Tool(tool)) => tools::run(tool, &settings),
        None => {
            if let Err(contradiction) = settings.check() {
                refuse(contradiction);
            }
            let service_settings = settings.service.clone();
            let about = About { name: "consumer", version: env!("CARGO_PKG_VERSION"), board: &BOARD, page: "/" };
            run(about, &service_settings, |service| {
                // Before HTTP answers: with no condition yet, the service would be ready for a moment.
                drop(service.readiness.condition(QUEUE));
                (Router::new(), consume(settings, service))
            })
        }
    }
}

async fn consume(settings: Settings, service: Service) -> anyhow::Result<Stopped> {
    let handler = settings.consumer.handler.handler()?;
    let address = &settings.consumer.queue;
    let find = async |config: &_| {
        let found = Box::pin(SqsQueue::find(config, address)).await;
        let outcome = found.as_ref().map_or_else(|error| error.kind.as_str(), |_| OK);
        service.metrics.request("GetQueueUrl", outcome);
        Ok(found?)
    };
    let found = Box::pin(connect(&service, "connection", find)).await;
    let Some(queue) = found else {
        info!("stopped before the queue was found");
        return Ok(Stopped::Clean);
    };
    let consumer = Consumer::builder(queue)
        .handler(handler)
        .options(settings.options())
        .health(service.health)
        .readiness(service.readiness)
        .metrics(&service.metrics)
        .traces(&service.traces)
        .build()?;
    let summary = Box::pin(consumer.run(service.stop)).await;
    info!(handled = summary.handled, released = summary.released, abandoned = summary.abandoned, "stopped");
    Ok(if summary.is_clean() { Stopped::Clean } else { Stopped::Unfinished })
}
