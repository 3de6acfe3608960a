//! Consumers killed, stopped, frozen, and handlers that are slow or fail.

use anyhow::{Context, ensure};
use fastrand::Rng;
use tokio::time::timeout;
use upbeat_testkit::Signal;

use super::{LOOK_EVERY, PATIENCE, sleep};
use crate::endpoint::HoldAt;
use crate::scene::{LEASE, Scene};

/// So often in a row a queue is empty that gets nothing more.
const LOOKS_OF_AN_EMPTY_QUEUE: u32 = 40;

/// Waits until a consumer has messages in its handlers, and keeps them there; gives its index and how many they are.
async fn hold_any(scene: &Scene, at: HoldAt, rng: &mut Rng) -> anyhow::Result<(usize, usize)> {
    let index = scene.any_consumer(rng);
    let name = &scene.consumers[index].name;
    let held = scene.endpoint.hold(name, at, rng.usize(1..=5), PATIENCE).await;
    Ok((index, held.with_context(|| format!("{name} was given too few messages within {PATIENCE:?}"))?))
}

pub(super) async fn kill_mid_handler(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let (index, held) = hold_any(scene, HoldAt::BeforeTheEffect, rng).await?;
    let consumer = &mut scene.consumers[index];
    consumer.kill().await;
    scene.endpoint.release();
    let away = sleep(rng, 0..1000).await;
    consumer.start_again().await?;
    Ok(format!("{} killed with {held} in its handlers, back after {away:?}", consumer.name))
}

pub(super) async fn kill_after_effect(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let (index, held) = hold_any(scene, HoldAt::AfterTheEffect, rng).await?;
    let answered = rng.bool();
    if answered {
        scene.endpoint.release();
        // A delete waits up to a second for nine others.
        sleep(rng, 0..50).await;
    }
    let consumer = &mut scene.consumers[index];
    consumer.kill().await;
    scene.endpoint.release();
    consumer.start_again().await?;
    let when = if answered { "just after" } else { "before" };
    Ok(format!("{} killed after {held} effects, {when} their answers", consumer.name))
}

pub(super) async fn kill_at_any_time(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let (index, times) = (scene.any_consumer(rng), rng.usize(2..=5));
    let consumer = &mut scene.consumers[index];
    for _ in 0..times {
        sleep(rng, 20..900).await;
        consumer.kill().await;
        consumer.start_again().await?;
    }
    Ok(format!("{} killed {times} times", consumer.name))
}

pub(super) async fn stop_busy(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let (index, held) = hold_any(scene, HoldAt::BeforeTheEffect, rng).await?;
    let consumer = &mut scene.consumers[index];
    consumer.signal([Signal::SIGTERM, Signal::SIGINT][rng.usize(..2)]);
    sleep(rng, 0..1500).await;
    scene.endpoint.release();
    let code = consumer.exit().await;
    let stopped = consumer.service().events("stopped");
    let number = |field| stopped.first().and_then(|event| event.number(field));
    let (handled, released) = (number("handled").unwrap_or_default(), number("released").unwrap_or_default());
    let did = format!("{} stopped with {held} in its handlers", consumer.name);
    if code != 0 || number("abandoned") != Some(0) {
        scene.problems.push(format!("{did} and did not drain: exit code {code}, {stopped:?}"));
    }
    consumer.start_again().await?;
    Ok(format!("{did}: {handled} handled in its life, {released} released"))
}

pub(super) async fn stop_idle(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    scene.load.pause();
    timeout(PATIENCE, idle(scene)).await.context("what was accepted was not all handled")?;
    // From here on only long polls are under way.
    sleep(rng, 200..1500).await;
    for consumer in &scene.consumers {
        consumer.signal(Signal::SIGTERM);
    }
    sleep(rng, 0..1200).await;
    scene.load.go_on();
    for consumer in &mut scene.consumers {
        let code = consumer.exit().await;
        if code != 0 {
            scene.problems.push(format!("{} was idle and did not drain: exit code {code}", consumer.name));
        }
        consumer.start_again().await?;
    }
    Ok("all consumers stopped in idle polls, while messages came".to_owned())
}

/// Waits until there is nothing to be handled. A message in the dead-letter queue is not handled, and not to be.
async fn idle(scene: &Scene) {
    let (queue, mut empty) = (scene.queue().await, 0);
    while scene.journal.figures().waiting() > 0 && empty < LOOKS_OF_AN_EMPTY_QUEUE {
        empty = if queue.counts().await.total() == 0 { empty + 1 } else { 0 };
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub(super) async fn stop_twice(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let (index, held) = hold_any(scene, HoldAt::BeforeTheEffect, rng).await?;
    let consumer = &mut scene.consumers[index];
    consumer.signal(Signal::SIGTERM);
    consumer.service().wait_events("stopping", 1, PATIENCE).await;
    // Messages are held, so it can't have ended.
    ensure!(consumer.service().is_running(), "{} ended with {held} messages in its handlers", consumer.name);
    consumer.signal(Signal::SIGTERM);
    let code = consumer.exit().await;
    scene.endpoint.release();
    if code != 130 {
        scene.problems.push(format!("{} was stopped twice: exit code {code}", consumer.name));
    }
    consumer.start_again().await?;
    Ok(format!("{} stopped at once with {held} in its handlers", consumer.name))
}

pub(super) async fn freeze(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let at = [HoldAt::BeforeTheEffect, HoldAt::AfterTheEffect][rng.usize(..2)];
    let (index, held) = hold_any(scene, at, rng).await?;
    let consumer = &scene.consumers[index];
    consumer.signal(Signal::SIGSTOP);
    // What was held is answered, and nobody reads it.
    scene.endpoint.release();
    tokio::time::sleep(LEASE).await;
    let more = sleep(rng, 500..2000).await;
    consumer.signal(Signal::SIGCONT);
    Ok(format!("{} frozen with {held} in its handlers, for {:?}", consumer.name, LEASE + more))
}

pub(super) async fn slow_handler(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let (index, held) = hold_any(scene, HoldAt::BeforeTheEffect, rng).await?;
    tokio::time::sleep(LEASE).await;
    let more = sleep(rng, 500..4000).await;
    scene.endpoint.release();
    Ok(format!("{held} and more kept for {:?} in the handlers of {}", LEASE + more, scene.consumers[index].name))
}

pub(super) async fn failing_heartbeat(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let (index, held) = hold_any(scene, HoldAt::BeforeTheEffect, rng).await?;
    let consumer = &mut scene.consumers[index];
    let lost_before = consumer.service().events("lock lost").len();
    if rng.bool() {
        consumer.proxy.black_hole();
    } else {
        consumer.proxy.refuse().await;
        consumer.proxy.cut();
    }
    tokio::time::sleep(LEASE).await;
    sleep(rng, 500..1500).await;
    let lost = consumer.service().events("lock lost").len() - lost_before;
    scene.endpoint.release();
    consumer.proxy.pass();
    consumer.proxy.cut();
    Ok(format!("{} cut off with {held} in its handlers: {lost} locks lost", consumer.name))
}

pub(super) async fn failing_handler(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let count = rng.usize(1..=8);
    scene.endpoint.fail(count);
    let failed = async {
        while scene.endpoint.still_to_fail() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, failed).await.context("handlers were not called often enough")?;
    Ok(format!("{count} tries failed"))
}

pub(super) async fn poison(scene: &mut Scene, rng: &mut Rng) -> anyhow::Result<String> {
    let count = rng.u32(1..=3);
    scene.load.poison(count).await;
    Ok(format!("{count} messages that no handler can handle"))
}
