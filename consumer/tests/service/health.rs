//! Liveness by progress, and what asks for it.

use std::process::Command;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use upbeat_consumer::queue::memory::MemoryQueue;
use upbeat_consumer::queue::{
    Batch, DeadLetter, EntryResults, Queue, QueueError, QueueInfo, ReceiptHandle, Receive, Received,
};
use upbeat_consumer::{Consumer, Options};
use upbeat_service::{Health, Readiness};
use upbeat_testkit::process::binary;
use upbeat_testkit::{LocalStack, Resources, Service, eventually, http};

use crate::{LIMIT, consumer};

/// A queue whose receive blocks its thread and never ends, which no timeout can cure.
struct Stuck(MemoryQueue);

impl Queue for Stuck {
    async fn info(&self) -> Result<QueueInfo, QueueError> {
        self.0.info().await
    }

    async fn receive(&self, _: Receive) -> Result<Vec<Received>, QueueError> {
        std::thread::sleep(LIMIT);
        Ok(Vec::new())
    }

    async fn delete(&self, receipts: Batch<ReceiptHandle>) -> Result<EntryResults, QueueError> {
        self.0.delete(receipts).await
    }

    async fn change_visibility(&self, entries: Batch<(ReceiptHandle, Duration)>) -> Result<EntryResults, QueueError> {
        self.0.change_visibility(entries).await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), QueueError> {
        self.0.dead_letter(letter).await
    }
}

#[test]
fn a_task_that_is_truly_stuck_turns_liveness_down_and_is_named() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let (health, readiness, stop) = (Health::new(), Readiness::default(), CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        tokio::spawn(upbeat_service::http::serve(
            listener,
            health.clone(),
            readiness.clone(),
            Router::new(),
            stop.clone(),
        ));
        let options = Options { wait: Duration::ZERO, ..Options::default() };
        let consumer = Consumer::builder(Stuck(MemoryQueue::new("messages"))).options(options);
        let consumer = consumer.health(health).readiness(readiness).build().unwrap();
        tokio::spawn(consumer.run(stop));
        let ask = async || http::request("GET", &url, "", "".into()).await.unwrap();
        assert_eq!(ask().await.status, 200);
        eventually("a liveness that is down", LIMIT, async || match ask().await {
            health if health.status == 503 && health.body.contains("receive") => Ok(()),
            health => Err(format!("{health:?}")),
        })
        .await;
    });
    runtime.shutdown_background();
}

#[tokio::test]
async fn the_healthcheck_command_says_by_its_exit_code_whether_the_service_is_up() {
    let localstack = LocalStack::shared().await;
    let running = Service::consumer(localstack).start().await;
    let address = running.wait_listening().await.to_string();
    let consumer = binary("consumer").await;
    let ask = || Command::new(&consumer).args(["healthcheck", "--listen", &address]).output().unwrap();
    let up = ask();
    assert_eq!((up.status.code(), &*up.stdout), (Some(0), &b"{\"status\":\"UP!\"}\n"[..]));
    running.kill().await;
    let down = ask();
    assert_eq!(down.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&down.stderr).contains("cannot reach"), "{down:?}");
}

#[tokio::test]
async fn every_request_is_logged_in_the_common_form_on_a_line_of_its_own() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, upbeat_testkit::Options::default()).await;
    let running = consumer(localstack, &resources).env("LOG_FORMAT", "text").start().await;
    running.health().await;
    running.get("/nothing?here").await;
    let mut access = Vec::new();
    let all = running.output().find(LIMIT, |line| {
        access.extend(line.starts_with("127.0.0.1 - - [").then(|| line.to_owned()));
        (access.len() == 2).then_some(())
    });
    all.await.expect("a line for each request");
    let (time, rest) = access[0].strip_prefix("127.0.0.1 - - [").unwrap().split_once(']').unwrap();
    assert_eq!(rest, r#" "GET /health HTTP/1.1" 200 -"#);
    // 30/Jan/2021 00:25:58
    let shape: String = time
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                '0'
            } else if c.is_alphabetic() {
                'a'
            } else {
                c
            }
        })
        .collect();
    assert_eq!(shape, "00/aaa/0000 00:00:00");
    assert!(access[1].ends_with(r#""GET /nothing?here HTTP/1.1" 404 -"#), "{access:?}");
}

#[tokio::test]
async fn a_hostile_body_can_not_forge_a_line_in_text_logs() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, upbeat_testkit::Options::default()).await;
    let running = consumer(localstack, &resources).env("LOG_FORMAT", "text").start().await;
    resources.queue.send(["a\nERROR forged\r\tend"]).await;
    running.output().find(LIMIT, |line| line.contains("deleted").then_some(())).await.unwrap();
    let lines = running.lines();
    assert!(lines.iter().any(|line| line.ends_with(r"body=a\nERROR forged\r\tend")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("ERROR")), "{lines:?}");
}
