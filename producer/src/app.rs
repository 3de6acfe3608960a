//! How the binary starts and stops: the topic is waited for, the sources publish, and on a stop all is flushed.

use std::pin::pin;
use std::time::Duration;

use aws_config::SdkConfig;
use axum::Router;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::info;
use upbeat_service::metrics::OK;
use upbeat_service::readiness::Condition;
use upbeat_service::{Service, Stopped, aws, connect};

use crate::core::Summary;
use crate::later::{Known, Later};
use crate::producer::Producer;
use crate::publisher::Publisher;
use crate::settings::{RetryFor, Settings, Source};
use crate::sns::Sns;
use crate::sources::http::{self, Access, Gateway};
use crate::sources::interval;
use crate::sources::publish_lines::{PublishLines, Report};
use crate::spool::Spool;
use crate::topic::Topic;

/// The condition on readiness, and the task on liveness while the topic is looked for.
const TOPIC: &str = "topic";

/// How long the topic is looked for before messages are accepted without it.
const FIRST_TRY: Duration = Duration::from_secs(5);

/// The producer's routes, and its work: until the service is to stop, or until the lines are at their end.
pub fn start(
    service: Service,
    settings: Settings,
    source: Source,
    spool: Option<Spool>,
    access: Access,
    drain_timeout: Duration,
) -> (Router, impl Future<Output = anyhow::Result<Stopped>>) {
    let gateway = Gateway::new(access).metrics(&service.metrics);
    let routes = http::routes(gateway.clone());
    // The publish loop's hold on the condition that `connect` will find met. Made before HTTP answers, so that the
    // service is not ready for a moment.
    let condition = service.readiness.condition(TOPIC);
    // The topic is found before messages can be taken.
    let open = service.readiness.condition("producer");
    (routes, async move {
        let Some((producer, later)) = connect_producer(&service, condition, &settings, spool).await else {
            // What there was to read was not.
            return Ok(if source.ends() { Stopped::Unfinished } else { Stopped::Clean });
        };
        gateway.open(producer.clone());
        open.met();
        let mut publishing = pin!(publish(&service, &source, &producer, drain_timeout));
        let (summary, lines) = match later {
            None => publishing.await?,
            Some(later) => tokio::select! {
                published = &mut publishing => published?,
                () = later.find(&settings.topic, &service, TOPIC) => publishing.await?,
            },
        };
        let Summary { published, spooled, refused, failed, abandoned } = summary;
        match lines {
            None => info!(published, spooled, refused, failed, abandoned, "stopped"),
            Some(Report { lines, blank, failed: lines_failed, complete, .. }) => {
                info!(published, spooled, refused, failed, abandoned, lines, blank, lines_failed, complete, "stopped");
            }
        }
        let all_published = abandoned == 0 && lines.is_none_or(|lines| lines.all_published());
        Ok(if all_published { Stopped::Clean } else { Stopped::Unfinished })
    })
}

/// A producer, once there is a topic or, with a spool that knows the topic, at once; then the topic is to be found later.
async fn connect_producer(
    service: &Service,
    condition: Condition,
    settings: &Settings,
    spool: Option<Spool>,
) -> Option<(Producer, Option<Later>)> {
    let topic = &settings.topic;
    if let Some(known) = spool.as_ref().and_then(Spool::topic).filter(|known| topic.may_be(&known.arn)) {
        let first = timeout(FIRST_TRY, async { find(topic, &aws::config().await?, service).await });
        let first = Box::pin(service.stop.run_until_cancelled(first)).await;
        let first = first?.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {FIRST_TRY:?}")));
        return Some(match first {
            Ok(sns) => {
                condition.met();
                (producer_of(sns, service, condition, settings, spool).await, None)
            }
            Err(error) => {
                let reason = format!("{error:#}");
                condition.unmet(&reason);
                info!(topic = %known.arn, "accepting before the topic is found");
                let later = Later::new(known, reason);
                (build(later.clone(), service, condition, settings, spool), Some(later))
            }
        });
    }
    let sns = Box::pin(connect(service, TOPIC, async |config| find(topic, config, service).await)).await?;
    Some((producer_of(sns, service, condition, settings, spool).await, None))
}

/// Looks for the topic, once.
pub(crate) async fn find(topic: &Topic, config: &SdkConfig, service: &Service) -> anyhow::Result<Sns> {
    let found = topic.connect(config).await;
    service.metrics.request("GetTopicAttributes", if found.is_ok() { OK } else { "failed" });
    found
}

async fn producer_of(
    sns: Sns,
    service: &Service,
    condition: Condition,
    settings: &Settings,
    spool: Option<Spool>,
) -> Producer {
    info!(topic = %sns.arn(), "publishing");
    let known = Known::new(&sns);
    let spool = match spool {
        Some(mut spool) => {
            let remembered = spawn_blocking(move || {
                spool.remember(&known);
                spool
            });
            Some(remembered.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())))
        }
        None => None,
    };
    build(sns, service, condition, settings, spool)
}

fn build(
    publisher: impl Publisher,
    service: &Service,
    condition: Condition,
    settings: &Settings,
    spool: Option<Spool>,
) -> Producer {
    let mut builder = Producer::builder(publisher)
        .linger(settings.linger)
        .max_in_flight(settings.max_batches_in_flight.into())
        .buffer(settings.buffer.0)
        .default_group(settings.group_id.0.as_str())
        .group_batch(settings.group_batch.into())
        .health(&service.health)
        .metrics(&service.metrics)
        .traces(&service.traces)
        .condition(condition);
    if let Some(RetryFor(retry_for)) = settings.retry_for {
        builder = builder.retry_for(retry_for);
    }
    if let Some(rate) = settings.rate {
        builder = builder.rate(rate);
    }
    if let Some(spool) = spool {
        builder = builder.spool(spool).spool_condition(service.readiness.condition("spool"));
    }
    builder.build()
}

/// Publishes what comes from the source until it ends or the service is to stop, then flushes.
async fn publish(
    service: &Service,
    source: &Source,
    producer: &Producer,
    drain_timeout: Duration,
) -> anyhow::Result<(Summary, Option<Report>)> {
    let mut lines = match source {
        Source::None => {
            service.stop.cancelled().await;
            return Ok((producer.close(drain_timeout).await, None));
        }
        Source::Interval(period) => {
            interval::publish(producer, *period, service).await;
            return Ok((producer.close(drain_timeout).await, None));
        }
        Source::Stdin => PublishLines::of_stdin(producer, &service.health),
        Source::File(path) => PublishLines::of_file(path, producer, &service.health).await?,
    };
    lines.run(producer, &service.stop).await;
    service.readiness.drain();
    let (summary, report) = tokio::join!(producer.close(drain_timeout), lines.finish());
    Ok((summary, Some(report)))
}
