//! LocalStack starts, stops, starts again, and never outlives us.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use upbeat_testkit::pids::is_running;
use upbeat_testkit::{LocalStack, Queue, clients, eventually};

/// How long what was left behind may take to end.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// Those that run still.
fn left(processes: &[u32]) -> Vec<u32> {
    assert!(processes.len() > 2, "LocalStack is a script, a command of ours and a server, not {processes:?}");
    processes.iter().copied().filter(|&pid| is_running(pid)).collect()
}

async fn wait_all_ended(processes: &[u32]) {
    eventually("end of all processes", ENDED_WITHIN, async || match left(processes) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_stopped_localstack_leaves_no_process_and_one_started_again_has_the_hooks_resources() {
    let mut localstack = LocalStack::start().await;
    let url = localstack.url().to_owned();
    let first = localstack.processes();
    let messages = Queue::find(&clients::sqs(&url), "messages").await;
    messages.send(["forgotten"]).await;

    localstack.stop().await;
    assert_eq!(left(&first), Vec::<u32>::new());
    let refused = clients::sqs(&url).list_queues().send().await;
    assert!(refused.is_err_and(|error| error.as_service_error().is_none()));

    localstack.start_again().await;
    assert_eq!(localstack.url(), url);
    let sqs = clients::sqs(&url);
    for name in ["messages", "messages-dlq", "messages.fifo", "messages-dlq.fifo"] {
        assert_eq!(Queue::find(&sqs, name).await.counts().await.total(), 0, "{name}");
    }
    let topics = clients::sns(&url).list_topics().send().await.unwrap();
    let topics: Vec<_> = topics.topics().iter().filter_map(|topic| topic.topic_arn()).collect();
    assert!(topics.iter().any(|arn| arn.ends_with(":messages")), "{topics:?}");

    let second = localstack.processes();
    drop(localstack);
    assert_eq!(left(&second), Vec::<u32>::new());
}

#[tokio::test]
async fn a_killed_localstack_leaves_no_process() {
    let mut localstack = LocalStack::start().await;
    let processes = localstack.processes();
    localstack.kill();
    wait_all_ended(&processes).await;
}

#[tokio::test]
async fn a_test_process_that_is_killed_leaves_neither_localstack_nor_service() {
    let mut holder = Command::new(env!("CARGO_BIN_EXE_hold"));
    // It is to have one of its own.
    holder.env_remove(upbeat_testkit::localstack::ENDPOINT_VARIABLE);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut started = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut started).unwrap();
    let started: Vec<u32> = started.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(started.len() >= 4 && started.iter().all(|&pid| is_running(pid)), "{started:?}");

    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_all_ended(&started).await;
}
