//! The end of a run: everything whole again, until nothing is left to be handled.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use upbeat_testkit::Signal;

use crate::journal::Entry;
use crate::scene::{LOOKED_WITHIN, Scene};

/// How long what was accepted may take to be handled, once everything is whole. The longest wait of either service after
/// an error is half a minute.
const DRAINED_WITHIN: Duration = Duration::from_mins(3);

/// How long posts may take to be accepted.
const ACCEPTED_WITHIN: Duration = Duration::from_mins(1);

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long a dead letter is invisible once it was looked at.
const LOOK_LEASE: Duration = Duration::from_secs(2);

/// Ends the load, stops the producer once its spool is empty and the consumers once the queue is, and notes what is in
/// the dead-letter queue. What does not come to its end is a problem of the scene's.
pub async fn drain(scene: &mut Scene) -> anyhow::Result<()> {
    let began = Instant::now();
    scene.make_whole();
    if timeout(ACCEPTED_WITHIN, scene.load.end()).await.is_err() {
        scene.problems.push(format!("posts were not accepted within {ACCEPTED_WITHIN:?}"));
    }
    let left = scene.journal.figures().waiting();
    scene.screen.line(&format!("drain: {left} accepted messages are not handled yet"));
    publish_all(scene, began + DRAINED_WITHIN).await?;
    handle_all(scene, began + DRAINED_WITHIN).await;
    for index in 0..scene.consumers.len() {
        let consumer = &mut scene.consumers[index];
        consumer.signal(Signal::SIGTERM);
        let code = consumer.exit().await;
        if code != 0 {
            scene.problems.push(format!("{} did not drain at the end: exit code {code}", consumer.name));
        }
    }
    let counts = scene.queue().await.counts().await;
    if counts.total() > 0 {
        scene.problems.push(format!("messages are left in the queue: {counts:?}"));
    }
    let dead = scene.look_into(&scene.dead_letters().await, LOOKED_WITHIN, 1).await;
    scene.journal.write(dead.into_keys().map(|number| Entry::Dead { number }));
    scene.screen.line(&format!("drained after {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// Stops the producer, again and again until that leaves nothing in the spool.
async fn publish_all(scene: &mut Scene, deadline: Instant) -> anyhow::Result<()> {
    loop {
        let producer = &mut scene.producer;
        producer.signal(Signal::SIGTERM);
        let code = producer.exit().await;
        let stopped = producer.service().events("stopped");
        let spooled = stopped.first().and_then(|event| event.number("spooled"));
        if code == 0 && spooled == Some(0) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            scene.problems.push(format!("the spool was not emptied: exit code {code}, {stopped:?}"));
            return Ok(());
        }
        producer.start_again().await?;
        sleep(Duration::from_secs(2)).await;
    }
}

/// Waits until the queue is empty, and in the dead-letter queue only what belongs there.
async fn handle_all(scene: &mut Scene, deadline: Instant) {
    let mut redriven = 0;
    loop {
        let queue = scene.queue().await;
        let (mut empty, mut counts) = (0, queue.counts().await);
        // LocalStack's SNS hands over in the background.
        while empty < 5 && Instant::now() < deadline {
            empty = if counts.total() == 0 { empty + 1 } else { 0 };
            sleep(LOOK_EVERY).await;
            counts = queue.counts().await;
        }
        if empty < 5 {
            scene.problems.push(format!("the queue was not emptied within {DRAINED_WITHIN:?}: {counts:?}"));
            return;
        }
        let dead = scene.look_into(&scene.dead_letters().await, LOOK_LEASE, 1).await;
        let misplaced = dead.values().filter(|poison| !**poison).count();
        if misplaced == 0 {
            break;
        }
        // Each time that a consumer was killed a message was received once more: five times are too many.
        redriven += misplaced;
        sleep(LOOK_LEASE).await;
        let code = scene.redrive().await;
        if code != 0 {
            scene.problems.push(format!("consumer redrive ended with {code}"));
            return;
        }
    }
    if redriven > 0 {
        scene.screen.line(&format!("{redriven} messages had been received five times, and were redriven"));
    }
}
