//! What becomes of requests and responses on their way.

use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;
use tokio::time::timeout;
use upbeat_testkit::Spoil;

use super::producer::PUBLISH;
use super::refusals::Refusals;
use super::{PATIENCE, sleep, spoil};
use crate::scene::Scene;

/// What requests to SQS hold.
const RECEIVE: &str = "AmazonSQS.ReceiveMessage";
const DELETE: &str = "AmazonSQS.DeleteMessageBatch";

/// As the fault catalogue has it.
const LATENCY: Duration = Duration::from_millis(500);

pub(super) async fn publish_response_dropped(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let count = spoil(&scene.producer, PUBLISH, vec![Spoil::Drop; rng.usize(1..=4)]).await?;
    Ok(format!("{count} publish responses"))
}

pub(super) async fn publish_response_truncated(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let count = spoil(&scene.producer, PUBLISH, vec![Spoil::Truncate; rng.usize(1..=4)]).await?;
    Ok(format!("{count} publish responses"))
}

pub(super) async fn publish_response_delayed(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let delay = Duration::from_millis(rng.u64(500..3000));
    let count = spoil(&scene.producer, PUBLISH, vec![Spoil::Delay(delay); rng.usize(1..=4)]).await?;
    Ok(format!("{count} publish responses, by {delay:?}"))
}

// One of each consumer: after several in a row the next receive may be half a minute away.
pub(super) async fn receive_response_dropped(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let mut told = Vec::new();
    for consumer in &scene.consumers {
        let how = if rng.bool() { Spoil::Drop } else { Spoil::Truncate };
        spoil(consumer, RECEIVE, [how]).await?;
        told.push(format!("{how:?}").to_lowercase());
    }
    Ok(format!("a receive of each consumer: {}", told.join(", ")))
}

pub(super) async fn delete_response_dropped(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let consumer = &scene.consumers[scene.any_consumer(rng)];
    let count = spoil(consumer, DELETE, vec![Spoil::Drop; rng.usize(1..=3)]).await?;
    Ok(format!("{count} delete responses of {}", consumer.name))
}

pub(super) async fn receive_hangs(scene: &mut Scene) -> anyhow::Result<String> {
    for consumer in &scene.consumers {
        spoil(consumer, RECEIVE, [Spoil::Hang]).await?;
    }
    Ok("a receive of each consumer".to_owned())
}

pub(super) async fn partial_failures(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let refusals = Refusals::start(scene.localstack.url(), rng.fork()).await?;
    for member in scene.members() {
        member.proxy.lead_to(refusals.url());
        member.proxy.cut();
    }
    let wanted = rng.usize(10..40);
    let refused = timeout(PATIENCE, refusals.wait(wanted)).await;
    let endpoint = scene.localstack.url().to_owned();
    for member in scene.members() {
        member.proxy.lead_to(&endpoint);
        member.proxy.cut();
    }
    refused.with_context(|| format!("fewer than {wanted} entries came"))?;
    Ok(refusals.told())
}

pub(super) async fn cut(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let times = rng.usize(3..=10);
    for _ in 0..times {
        scene.members().for_each(|member| member.proxy.cut());
        sleep(rng, 20..400).await;
    }
    Ok(format!("all connections reset {times} times"))
}

pub(super) async fn latency(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    scene.members().for_each(|member| member.proxy.delay(LATENCY));
    let time = sleep(rng, 2000..4000).await;
    Ok(format!("{LATENCY:?} on every call, for {time:?}"))
}

pub(super) async fn outage(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let black_hole = rng.bool();
    for member in scene.members() {
        if black_hole {
            member.proxy.black_hole();
        } else {
            member.proxy.refuse().await;
            member.proxy.cut();
        }
    }
    let by_seed = Duration::from_millis(rng.u64(1000..4000));
    let time = scene.settings.outage.unwrap_or(by_seed);
    tokio::time::sleep(time).await;
    for member in scene.members() {
        member.proxy.pass();
        // What a black hole has taken something from would stay silent.
        member.proxy.cut();
    }
    let how = if black_hole { "silent" } else { "refusing connections" };
    Ok(format!("the broker {how}, for {time:?}"))
}
