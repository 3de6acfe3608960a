//! A spool: killed, cut off from SNS, stopped in a flood.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use upbeat_testkit::port::ReservedPort;
use upbeat_testkit::{Count, LocalStack, Options, Proxy, Resources, Service, ServiceCommand, Signal, eventually};

use super::{SOON, quiet_producer};

/// How many messages are posted, unless `UPBEAT_MESSAGES` says otherwise, and how often the producer is killed meanwhile.
const MESSAGES: usize = 2000;
const KILLS: usize = 20;

const SENDERS: usize = 4;
const TOGETHER: usize = 10;

async fn spooling() -> (Resources, ServiceCommand, TempDir) {
    let (resources, command) = quiet_producer().await;
    let folder = tempfile::tempdir().unwrap();
    let command = command.env("SPOOL", folder.path().to_str().unwrap());
    (resources, command, folder)
}

/// Posts messages until all of them were answered 2xx, whichever process is there to take them; a post that is not
/// answered so is repeated. What was accepted is given back.
async fn post_all(address: &str, sender: usize, messages: usize) -> Vec<String> {
    let url = format!("http://{address}/messages");
    let mut accepted = Vec::new();
    for post in 0..messages / TOGETHER {
        let bodies: Vec<_> = (0..TOGETHER).map(|n| format!("\"{sender}-{post}-{n}\"")).collect();
        loop {
            let body = format!("[{}]", bodies.join(","));
            match upbeat_testkit::http::request("POST", &url, "application/json", body.into()).await {
                Ok(answer) if answer.status == 202 => break,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        accepted.extend(bodies);
    }
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_that_was_accepted_arrives_though_the_producer_is_killed_again_and_again() {
    let (resources, command, _folder) = spooling().await;
    let messages = std::env::var("UPBEAT_MESSAGES").map_or(MESSAGES, |count| count.parse().unwrap());
    let port = ReservedPort::take();
    let address = port.address().to_string();
    let command = command.env("LISTEN", &address).env("DRAIN_TIMEOUT", "2m");
    let posting: Vec<JoinHandle<_>> = (0..SENDERS)
        .map(|sender| {
            let address = address.clone();
            tokio::spawn(async move { post_all(&address, sender, messages / SENDERS).await })
        })
        .collect();
    let mut random = fastrand::Rng::with_seed(20);
    for _ in 0..KILLS {
        let service = command.start().await;
        tokio::time::sleep(Duration::from_millis(random.u64(50..800))).await;
        service.kill().await;
    }
    let service = command.start().await;
    let mut accepted = Vec::new();
    for sender in posting {
        accepted.extend(sender.await.unwrap());
    }
    assert_eq!(accepted.len(), messages / SENDERS / TOGETHER * TOGETHER * SENDERS);
    service.wait_ready().await;
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait_exit(SOON * 5).await, 0, "{service:?}");
    let [summary] = &service.events("stopped")[..] else { panic!("one summary: {service:?}") };
    assert_eq!(summary.number("spooled"), Some(0), "all was published: {service:?}");
    let wanted: BTreeSet<_> = accepted.iter().cloned().collect();
    let (mut known, mut arrived) = (BTreeSet::new(), Vec::new());
    // What is repeated makes their number larger, so that it does not tell when all are there.
    eventually("every message", SOON * 4, async || {
        let drained = resources.queue.drain().await.into_iter().map(|message| message.body);
        let drained: Vec<_> = drained.collect();
        known.extend(drained.iter().cloned());
        arrived.extend(drained);
        let lost: Vec<_> = wanted.difference(&known).take(10).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("{} of {}: {lost:?} …", known.len(), wanted.len())) }
    })
    .await;
    let count = Count::of(accepted, arrived);
    println!(
        "{} accepted, {} arrived, {} lost, {} repeated",
        count.sent,
        count.handled,
        count.lost.len(),
        count.repeated.len()
    );
    assert!(count.lost.is_empty(), "{count}");
}

#[tokio::test]
async fn an_outage_is_accepted_through_and_replayed_in_order_while_liveness_holds() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options { fifo: true, ..Options::default() }).await;
    let mut proxy = Proxy::to(localstack);
    let folder = tempfile::tempdir().unwrap();
    let command = Service::producer(proxy.url()).env("TOPIC", &resources.topic).env("INTERVAL", "0");
    let service = command.env("SPOOL", folder.path().to_str().unwrap()).start().await;
    service.wait_ready().await;
    proxy.refuse().await;
    proxy.cut();
    let mut sent = Vec::new();
    for n in 0..200 {
        let answer = service.post("/messages", n.to_string()).await;
        assert_eq!((answer.status, &answer.json()["messages"][0]["message_id"]), (202, &serde_json::Value::Null));
        sent.push(n.to_string());
    }
    service.wait_for("a reason", SOON, |event| event.name() == "not ready").await;
    let ready = service.ready().await;
    assert!(ready.status == 503 && ready.body.contains("topic: "), "{ready:?}");
    let outage = std::env::var("UPBEAT_OUTAGE").map_or(1, |seconds| seconds.parse().unwrap());
    tokio::time::sleep(Duration::from_secs(outage)).await;
    assert_eq!(service.health().await.status, 200);
    proxy.pass();
    service.wait_ready_within(SOON * 2).await;
    let arrived = resources.queue.drain_until(sent.len(), SOON * 4).await;
    assert_eq!(arrived.into_iter().map(|message| message.body).collect::<Vec<_>>(), sent);
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait_exit(SOON).await, 0);
    assert_eq!(service.events("stopped")[0].number("spooled"), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_a_flood_ends_in_time_and_what_was_accepted_is_published_or_spooled_to_the_message() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let mut proxy = Proxy::to(localstack);
    let folder = tempfile::tempdir().unwrap();
    let command = Service::producer(proxy.url()).env("TOPIC", &resources.topic).env("INTERVAL", "0");
    let command = command.env("SPOOL", folder.path().to_str().unwrap()).env("DRAIN_TIMEOUT", "5s");
    let service = Arc::new(command.start().await);
    service.wait_ready().await;
    let flooding = Arc::new(AtomicBool::new(true));
    let floods: Vec<JoinHandle<(usize, usize)>> = (0..4)
        .map(|client| {
            let (service, flooding) = (Arc::clone(&service), Arc::clone(&flooding));
            tokio::spawn(async move {
                let (mut accepted, mut unheard) = (0, 0);
                while flooding.load(Ordering::Relaxed) {
                    let body = format!("[{}1]", format!("\"{client}\",").repeat(19));
                    match service.try_post("/messages", "application/json", body).await {
                        Ok(answer) if answer.status == 202 => accepted += 20,
                        Ok(answer) => assert!([429, 503].contains(&answer.status), "{answer:?}"),
                        Err(_closed) => unheard += 20,
                    }
                }
                (accepted, unheard)
            })
        })
        .collect();
    service.wait_events("published", 100, SOON).await;
    // From here on most of it stays on the disk.
    proxy.refuse().await;
    proxy.cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait_exit(Duration::from_secs(20)).await, 0, "{service:?}");
    flooding.store(false, Ordering::Relaxed);
    let (mut accepted, mut unheard) = (0, 0);
    for flood in floods {
        let (answered, not_answered) = flood.await.unwrap();
        accepted += answered;
        unheard += not_answered;
    }
    let [summary] = &service.events("stopped")[..] else { panic!("one summary: {service:?}") };
    let number = |field| usize::try_from(summary.number(field).unwrap()).unwrap();
    // Of a post whose connection was closed before its answer was read, nobody knows.
    let kept = number("published") + number("spooled");
    assert!((accepted..=accepted + unheard).contains(&kept), "{accepted} accepted: {summary:?}");
    assert!(number("spooled") > 0 && number("abandoned") == 0, "{summary:?}");
    let stats = ServiceCommand::new("producer", "").args(["spool", "--spool"]).arg(folder.path().to_str().unwrap());
    let stats = stats.spawn().await;
    assert_eq!(stats.wait_exit(SOON).await, 0, "{stats:?}");
    let messages = format!("messages      {}", number("spooled"));
    assert_eq!(stats.lines()[0], messages, "{stats:?}");
}

#[tokio::test]
async fn a_spool_is_for_one_producer_and_can_be_looked_at_beside_it() {
    let (_resources, command, folder) = spooling().await;
    let first = command.start().await;
    first.wait_ready().await;
    let second = command.spawn().await;
    assert_eq!(second.wait_exit(SOON).await, 2, "{second:?}");
    let [line] = &second.errors().lines()[..] else { panic!("one line: {second:?}") };
    assert!(line.starts_with("error: --spool (SPOOL) ") && line.contains("in use by another process"), "{line}");
    let looked = ServiceCommand::new("producer", "").args(["spool", "--spool", folder.path().to_str().unwrap()]);
    let looked = looked.spawn().await;
    assert_eq!(looked.wait_exit(SOON).await, 0, "{looked:?}");
    assert_eq!(looked.lines(), ["messages      0", "bytes         0 (0 B)", "oldest        none", "dead letters  0"]);
    for (arguments, code, told) in
        [(&["spool"][..], 2, "--spool (SPOOL)"), (&["spool", "--spool", "/no/such/folder"], 1, "/no/such/folder")]
    {
        let ran = ServiceCommand::new("producer", "").args(arguments.iter().copied()).spawn().await;
        assert_eq!(ran.wait_exit(SOON).await, code, "{ran:?}");
        assert!(ran.errors().lines()[0].contains(told), "{ran:?}");
    }
}

#[tokio::test]
async fn lines_are_done_with_once_they_are_in_the_spool_and_the_next_producer_publishes_them() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let mut proxy = Proxy::to(localstack);
    let folder = tempfile::tempdir().unwrap();
    let command = Service::producer(proxy.url()).env("TOPIC", &resources.topic);
    let command = command.env("SPOOL", folder.path().to_str().unwrap());
    let service = command.clone().arg("--stdin").input(upbeat_testkit::process::Input::Pipe).start().await;
    service.wait_ready().await;
    proxy.refuse().await;
    proxy.cut();
    for n in 0..100 {
        service.write_line(&n.to_string());
    }
    service.close_input();
    assert_eq!(service.wait_exit(SOON).await, 0, "{service:?}");
    let [summary] = &service.events("stopped")[..] else { panic!("one summary: {service:?}") };
    assert_eq!((summary.number("spooled"), summary.number("lines")), (Some(100), Some(100)), "{service:?}");
    proxy.pass();
    let service = command.env("INTERVAL", "0").start().await;
    service.wait_events("published", 100, SOON).await;
    let arrived = resources.queue.drain_until(100, SOON).await;
    let sent = (0..100).map(|n: i32| n.to_string());
    Count::of(sent, arrived.into_iter().map(|message| message.body)).assert_exactly_once();
}

#[tokio::test]
async fn a_producer_that_starts_in_an_outage_accepts_since_its_spool_knows_the_topic() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let mut proxy = Proxy::to(localstack);
    let folder = tempfile::tempdir().unwrap();
    let command = Service::producer(proxy.url()).env("TOPIC", &resources.topic).env("INTERVAL", "0");
    let command = command.env("SPOOL", folder.path().to_str().unwrap());
    let first = command.start().await;
    first.wait_ready().await;
    assert_eq!(first.post("/messages", "1").await.status, 202);
    first.wait_events("published", 1, SOON).await;
    proxy.refuse().await;
    proxy.cut();
    assert_eq!(first.post("/messages", "2").await.status, 202);
    first.kill().await;

    let second = command.start().await;
    second.wait_for("a start without the topic", SOON, |event| event.name().starts_with("accepting before")).await;
    eventually("acceptance", SOON, async || match second.post("/messages", "3").await {
        answer if answer.status == 202 => Ok(()),
        answer => Err(format!("{answer:?}")),
    })
    .await;
    let ready = second.ready().await;
    assert!(ready.status == 503 && ready.body.contains("topic: "), "{ready:?}");
    assert_eq!(second.health().await.status, 200);
    let other = command.clone().env("TOPIC", "another").spawn().await;
    assert_eq!(other.wait_exit(SOON).await, 2, "{other:?}");
    second.signal(Signal::SIGTERM);
    assert_eq!(second.wait_exit(SOON).await, 0, "{second:?}");
    assert_eq!(second.events("stopped")[0].number("spooled"), Some(2));
    let other = command.clone().env("TOPIC", "another").spawn().await;
    assert_eq!(other.wait_exit(SOON).await, 2, "{other:?}");
    assert!(other.errors().lines()[0].contains("holds 2 messages for arn:"), "{other:?}");

    let third = command.start().await;
    third.wait_for("a start without the topic", SOON, |event| event.name().starts_with("accepting before")).await;
    proxy.pass();
    third.wait_events("published", 2, SOON * 4).await;
    let arrived = resources.queue.drain_until(3, SOON).await;
    Count::of(["1", "2", "3"], arrived.iter().map(|message| &*message.body)).assert_nothing_lost();
}
