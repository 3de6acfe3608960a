//! SQS moves the messages; this watches.

use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::sleep;

use super::super::{explained, interruption, limited};
use super::Moved;
use crate::queue::sqs::{MoveTask, SqsQueue};
use crate::queue::{ErrorKind, QueueError};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Starts a move, or finds one that goes on already: SQS does not allow two at a time.
pub(super) async fn start(queue: &SqsQueue, from: &str, to: &str) -> Result<(), QueueError> {
    if let Some(task) = limited(queue.newest_move(from)).await? {
        if is_going_on(&task) && task.destination.as_deref() == Some(to) {
            return Ok(());
        }
        if is_going_on(&task) {
            let other = task.destination.unwrap_or_else(|| "where they came from".to_owned());
            // Not of a kind that would be done by hand: two would fight for the messages.
            return Err(QueueError::new(ErrorKind::Throttled, format!("it moves them to {other} already")));
        }
    }
    limited(queue.start_move(from, to)).await
}

/// Watches until the move ends, or cancels it on Ctrl-C.
pub(super) async fn follow(queue: &SqsQueue, from: &str, bar: &ProgressBar) -> anyhow::Result<Moved> {
    let interruption = interruption()?;
    let mut interrupted = false;
    loop {
        let task = limited(queue.newest_move(from)).await;
        let task = task.map_err(|error| explained("cannot see how far SQS is; it goes on moving", &error))?;
        let Some(task) = task else { anyhow::bail!("SQS does not know of the move any more; run it again") };
        if let Some(to_move) = task.to_move {
            bar.set_length(to_move);
        }
        bar.set_position(task.moved);
        if !is_going_on(&task) {
            return Ok(ended(&task, interrupted));
        }
        if interruption.is_cancelled() && !interrupted {
            interrupted = true;
            if let Some(handle) = &task.handle {
                let cancelled = limited(queue.cancel_move(handle)).await;
                cancelled.map_err(|error| explained("cannot cancel the move; it goes on", &error))?;
            }
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => (),
            () = interruption.cancelled(), if !interrupted => (),
        }
    }
}

fn is_going_on(task: &MoveTask) -> bool {
    matches!(task.status.as_str(), "CREATED" | "RUNNING" | "CANCELLING")
}

fn ended(task: &MoveTask, interrupted: bool) -> Moved {
    let reason = match task.status.as_str() {
        "COMPLETED" => None,
        "CANCELLED" => Some("the move was cancelled".to_owned()),
        _ => Some(format!("the move failed: {}", task.failure.as_deref().unwrap_or("SQS gives no reason"))),
    };
    Moved { count: task.moved, failed: 0, interrupted, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(status: &str) -> MoveTask {
        let failure = Some("AccessDenied".to_owned());
        MoveTask { handle: None, status: status.to_owned(), destination: None, moved: 7, to_move: Some(9), failure }
    }

    #[test]
    fn a_move_that_was_completed_needs_no_reason_and_any_other_end_has_one() {
        assert!(!is_going_on(&task("COMPLETED")) && is_going_on(&task("RUNNING")) && is_going_on(&task("CANCELLING")));
        assert_eq!(ended(&task("COMPLETED"), false), Moved { count: 7, ..Moved::default() });
        assert!(ended(&task("FAILED"), false).reason.unwrap().contains("AccessDenied"));
        assert!(ended(&task("CANCELLED"), true).reason.unwrap().contains("cancelled"));
    }
}
