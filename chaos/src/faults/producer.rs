//! The producer killed, stopped, frozen.

use std::time::Duration;

use fastrand::Rng;
use upbeat_testkit::{Signal, Spoil};

use super::{sleep, spoil};
use crate::scene::Scene;

/// What a request to publish holds.
pub(super) const PUBLISH: &str = "Action=PublishBatch";

pub(super) async fn kill_mid_batch(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    // The topic has got it and the producer does not know.
    let batches = spoil(&scene.producer, PUBLISH, vec![Spoil::Hang; rng.usize(1..=3)]).await?;
    let producer = &mut scene.producer;
    producer.kill().await;
    producer.proxy.pass();
    let away = sleep(rng, 0..1000).await;
    producer.start_again().await?;
    Ok(format!("killed with {batches} batches under way, back after {away:?}"))
}

pub(super) async fn kill_at_any_time(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let times = rng.usize(2..=5);
    for _ in 0..times {
        sleep(rng, 20..900).await;
        scene.producer.kill().await;
        scene.producer.start_again().await?;
    }
    Ok(format!("killed {times} times"))
}

pub(super) async fn stop(scene: &mut Scene) -> anyhow::Result<String> {
    let producer = &mut scene.producer;
    producer.signal(Signal::SIGTERM);
    let code = producer.exit().await;
    let stopped = producer.service().events("stopped");
    let number = |field| stopped.first().and_then(|event| event.number(field)).unwrap_or_default();
    if code != 0 || number("abandoned") != 0 {
        scene.problems.push(format!("the producer did not drain: exit code {code}, {stopped:?}"));
    }
    producer.start_again().await?;
    Ok(format!("stopped: {} published in its life, {} spooled", number("published"), number("spooled")))
}

pub(super) async fn freeze(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    scene.producer.signal(Signal::SIGSTOP);
    let time = sleep(rng, 500..4000).await;
    scene.producer.signal(Signal::SIGCONT);
    // So that posts that wait are answered before something else happens.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(format!("frozen for {time:?}"))
}
