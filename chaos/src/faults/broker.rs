//! LocalStack itself.

use crate::journal::Entry;
use crate::scene::{LOOKED_WITHIN, Scene};

/// LocalStack's SNS hands over to its SQS in the background, and what it was asked before it was cut off it does all the
/// same: so many seconds without anything new, and that is over.
const QUIET: u32 = 3;

/// Kills it and starts it again. What it has of messages is read out before, since it forgets them: the oracle leaves them
/// out, and nothing else.
pub(super) async fn restart(scene: &mut Scene) -> anyhow::Result<String> {
    for member in scene.members() {
        member.proxy.refuse().await;
        member.proxy.cut();
    }
    let (queue, dead_letters) = (scene.queue().await, scene.dead_letters().await);
    let held = scene.look_into(&queue, LOOKED_WITHIN, QUIET).await;
    let dead = scene.look_into(&dead_letters, LOOKED_WITHIN, 1).await;
    let (poison, others): (Vec<_>, Vec<_>) = dead.into_iter().partition(|&(_, poison)| poison);
    let forgotten = held.keys().copied().chain(others.into_iter().map(|(number, _)| number));
    scene.journal.write(forgotten.map(|number| Entry::Held { number }));
    scene.journal.write(poison.iter().map(|&(number, _)| Entry::Dead { number }));
    scene.localstack.kill();
    scene.localstack.start_again().await;
    Ok(format!("LocalStack killed with {} messages in it and {} dead ones", held.len(), poison.len()))
}
