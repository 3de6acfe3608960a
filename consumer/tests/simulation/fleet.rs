//! Two hundred consumers on one queue, replaced one after the other, as a deployment does.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::memory::{Faults, MemoryQueue};
use upbeat_consumer::{Consumer, Options};

use crate::handler::{Temper, moody};
use crate::history::History;

const FLEET: usize = 200;

#[tokio::test(start_paused = true)]
async fn a_rolling_deployment_of_a_fleet_loses_nothing_and_repeats_nothing() {
    fastrand::seed(1);
    let dead_letters = MemoryQueue::new("dead");
    let faults = Faults { latency: Duration::from_millis(1)..=Duration::from_millis(50), ..Faults::default() };
    let queue = MemoryQueue::builder("messages").dead_letter_queue(&dead_letters, 5).faults(faults).build();
    let history = History::default();
    let time = Duration::from_millis(400);
    let temper = Temper { fails: 0.0, panics: 0.0, rejects: 0.0, retries: 0.0, ignores_cancellation: 0.0, time };
    let start = || {
        let stop = CancellationToken::new();
        let options = Options { concurrency: 10, ..Options::default() };
        let consumer =
            Consumer::builder(queue.clone()).handler(moody(history.clone(), temper)).options(options).build();
        (stop.clone(), tokio::spawn(consumer.unwrap().run(stop)))
    };
    let mut number = 0;
    let mut send = |count: usize| {
        for _ in 0..count {
            let body = format!("{number:06}");
            history.sent(&body, None);
            queue.send(body).unwrap();
            number += 1;
        }
    };
    let mut old: Vec<_> = (0..FLEET).map(|_| start()).collect();
    send(4000);
    let mut new = Vec::new();
    while let Some((stop, task)) = old.pop() {
        send(40);
        stop.cancel();
        new.push(start());
        sleep(Duration::from_millis(100)).await;
        assert!(task.await.unwrap().is_clean());
    }
    while !queue.is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    for (stop, task) in new {
        stop.cancel();
        assert!(task.await.unwrap().is_clean());
    }
    history.assert_nothing_lost(&queue);
    assert_eq!((history.repeated(), queue.dead_letters().len()), (0, 0));
}
