//! LocalStack itself.

use std::time::Duration;

use crate::journal::Entry;
use crate::scene::Scene;

/// LocalStack's SNS hands over to its SQS in the background; longer than that takes.
const HANDED_OVER: Duration = Duration::from_millis(500);

/// Kills it and starts it again. What it has of messages is read out before, since it forgets them: the oracle leaves them
/// out, and nothing else.
pub(super) async fn restart(scene: &mut Scene) -> anyhow::Result<String> {
    for member in scene.members() {
        member.proxy.refuse().await;
        member.proxy.cut();
    }
    tokio::time::sleep(HANDED_OVER).await;
    let (queue, dead_letters) = (scene.queue().await, scene.dead_letters().await);
    let held = scene.look_into(&queue, None).await;
    let dead = scene.look_into(&dead_letters, None).await;
    let (poison, others): (Vec<_>, Vec<_>) = dead.into_iter().partition(|&(_, poison)| poison);
    let forgotten = held.keys().copied().chain(others.into_iter().map(|(number, _)| number));
    scene.journal.write(forgotten.map(|number| Entry::Held { number }));
    scene.journal.write(poison.iter().map(|&(number, _)| Entry::Dead { number }));
    scene.localstack.kill();
    scene.localstack.start_again().await;
    Ok(format!("LocalStack killed with {} messages in it and {} dead ones", held.len(), poison.len()))
}
