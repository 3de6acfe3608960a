//! How each fault is done.
//!
//! Each tells in a phrase what it has done, or as an error why it could not be done: a step that came to nothing shows nothing.

mod broker;
mod consumer;
mod network;
mod producer;
mod refusals;

use std::time::Duration;

use anyhow::{Context, ensure};
use fastrand::Rng;
use tokio::time::{Instant, timeout};
use upbeat_testkit::Spoil;

use crate::fault::Fault;
use crate::fleet::Member;
use crate::plan::Step;
use crate::scene::Scene;

/// How long what a fault needs may take to come about, such as messages in a handler while an earlier fault is got over.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a step waits until the one before is got over: a fault on top of another may show less. Not each does.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// How often something is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Does a step, and leaves everything running and reachable.
pub async fn run(scene: &mut Scene, step: &Step) -> anyhow::Result<String> {
    let rng = &mut Rng::with_seed(step.seed);
    // Not always at the same moment after the one before.
    sleep(rng, 0..400).await;
    if rng.u8(..4) > 0 {
        // If they are not, so be it.
        let _ = timeout(SETTLED_WITHIN, all_ready(scene)).await;
    }
    let did = match step.fault {
        Fault::KillMidHandler => consumer::kill_mid_handler(scene, rng).await,
        Fault::KillAfterEffect => consumer::kill_after_effect(scene, rng).await,
        Fault::KillConsumer => consumer::kill_at_any_time(scene, rng).await,
        Fault::StopBusy => consumer::stop_busy(scene, rng).await,
        Fault::StopIdle => consumer::stop_idle(scene, rng).await,
        Fault::StopTwice => consumer::stop_twice(scene, rng).await,
        Fault::FreezeConsumer => consumer::freeze(scene, rng).await,
        Fault::SlowHandler => consumer::slow_handler(scene, rng).await,
        Fault::FailingHeartbeat => consumer::failing_heartbeat(scene, rng).await,
        Fault::FailingHandler => consumer::failing_handler(scene, rng).await,
        Fault::Poison => consumer::poison(scene, rng).await,
        Fault::KillMidBatch => producer::kill_mid_batch(scene, rng).await,
        Fault::KillProducer => producer::kill_at_any_time(scene, rng).await,
        Fault::StopProducer => producer::stop(scene).await,
        Fault::FreezeProducer => producer::freeze(scene, rng).await,
        Fault::PublishResponseDropped => network::publish_response_dropped(scene, rng).await,
        Fault::PublishResponseTruncated => network::publish_response_truncated(scene, rng).await,
        Fault::PublishResponseDelayed => network::publish_response_delayed(scene, rng).await,
        Fault::ReceiveResponseDropped => network::receive_response_dropped(scene, rng).await,
        Fault::ReceiveHangs => network::receive_hangs(scene).await,
        Fault::DeleteResponseDropped => network::delete_response_dropped(scene, rng).await,
        Fault::PartialFailures => network::partial_failures(scene, rng).await,
        Fault::Cut => network::cut(scene, rng).await,
        Fault::Latency => network::latency(scene, rng).await,
        Fault::Outage => network::outage(scene, rng).await,
        Fault::BrokerRestart => broker::restart(scene).await,
    };
    scene.make_whole();
    scene.look_for_the_dead().await?;
    did.with_context(|| format!("step {}, {}, came to nothing", step.number, step.fault.name()))
}

/// Sleeps for some milliseconds, and gives how long.
async fn sleep(rng: &mut Rng, milliseconds: std::ops::Range<u64>) -> Duration {
    let time = Duration::from_millis(rng.u64(milliseconds));
    tokio::time::sleep(time).await;
    time
}

async fn all_ready(scene: &mut Scene) {
    for member in scene.members() {
        while member.service().try_get("/ready").await.is_ok_and(|answer| answer.status != 200) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Spoils the responses to the next requests that hold `text`, and waits until that is done.
async fn spoil(member: &Member, text: &str, how: impl IntoIterator<Item = Spoil>) -> anyhow::Result<usize> {
    let (before, deadline) = (member.proxy.spoilt(), Instant::now() + PATIENCE);
    let mut count = 0;
    for how in how {
        member.proxy.spoil_response_to(text, how);
        count += 1;
    }
    while member.proxy.spoilt() < before + count {
        let spoilt = member.proxy.spoilt() - before;
        ensure!(Instant::now() < deadline, "{} had {spoilt} of {count} responses within {PATIENCE:?}", member.name);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(count)
}
