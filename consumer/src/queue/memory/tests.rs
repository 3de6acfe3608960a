//! What the in-memory queue does beyond the contract that `tests/queue_contract` holds it to.

mod delivery;
mod faults;
mod fifo;
mod model;
mod polls;

use std::time::Duration;

use super::super::{Batch, EntryResults, Queue, QueueError, ReceiptHandle, Receive, Received};
use super::MemoryQueue;

const LEASE: Duration = Duration::from_secs(30);

fn ten() -> Receive {
    Receive { max: 10, wait: Duration::ZERO, lease: LEASE, attempt_id: None }
}

fn long_poll(seconds: u64) -> Receive {
    Receive { wait: Duration::from_secs(seconds), ..ten() }
}

async fn receive(queue: &MemoryQueue) -> Vec<Received> {
    queue.receive(ten()).await.unwrap()
}

async fn receive_one(queue: &MemoryQueue) -> Received {
    let received = queue.receive(Receive { max: 1, ..ten() }).await.unwrap();
    received.into_iter().next().expect("nothing to receive")
}

fn bodies(received: &[Received]) -> Vec<&str> {
    received.iter().map(|received| received.payload.body()).collect()
}

async fn delete(queue: &MemoryQueue, received: &[Received]) -> Result<EntryResults, QueueError> {
    queue.delete(received.iter().map(|received| received.delivery.receipt.clone()).collect()).await
}

async fn make_visible_after(
    queue: &MemoryQueue,
    received: &Received,
    time: Duration,
) -> Result<EntryResults, QueueError> {
    queue.change_visibility(Batch::from_iter([(received.delivery.receipt.clone(), time)])).await
}

fn send_numbered(queue: &MemoryQueue, count: usize) {
    for n in 0..count {
        queue.send(n.to_string()).unwrap();
    }
}

fn receipt(text: &str) -> Batch<ReceiptHandle> {
    Batch::from_iter([ReceiptHandle(text.to_owned())])
}
