//! Many requests, and an upstream that fails often, or is gone.

use std::fs::read_dir;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use upbeat_testkit::Service;

use crate::server::{Act, Upstream};
use crate::{SOON, shout, shouted};

/// Posts by connections that stay open.
#[derive(Clone)]
struct Poster {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Poster {
    async fn to(service: &Service) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), url: service.url("/").await }
    }

    /// The status, and how long it took; an answer of 200 is right.
    async fn post(&self, text: &str) -> (u16, Duration) {
        let request = Request::post(&self.url).body(Full::from(json!({"data": text}).to_string())).unwrap();
        let began = Instant::now();
        let answer = self.client.request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        if status == 200 {
            let expected: String = text.chars().rev().collect::<String>().to_uppercase();
            let answer: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(answer["data"], expected.as_str());
        }
        (status, began.elapsed())
    }

    /// Posts so many texts that nobody has asked for before, so many at a time.
    async fn flood(&self, name: &str, count: usize, at_once: usize) -> Vec<(u16, Duration)> {
        let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut posting = JoinSet::new();
        for _ in 0..at_once {
            let (poster, next, name) = (self.clone(), Arc::clone(&next), name.to_owned());
            posting.spawn(async move {
                let mut answers = Vec::new();
                loop {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    if n >= count {
                        return answers;
                    }
                    answers.push(poster.post(&format!("{name} {n}")).await);
                }
            });
        }
        posting.join_all().await.into_iter().flatten().collect()
    }
}

fn statuses(answers: &[(u16, Duration)]) -> Vec<(u16, usize)> {
    let mut counted = std::collections::BTreeMap::new();
    for (status, _) in answers {
        *counted.entry(*status).or_insert(0) += 1;
    }
    counted.into_iter().collect()
}

/// How many sockets a process has.
fn sockets(service: &Service) -> usize {
    let files = read_dir(format!("/proc/{}/fd", service.pid())).unwrap();
    let is_socket = |link: std::path::PathBuf| link.to_string_lossy().starts_with("socket:");
    files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()).filter(|link| is_socket(link.clone())).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_upstream_that_fails_three_times_in_ten_nobody_notices() {
    const COUNT: usize = 3000;
    let upstream = Upstream::start([Act::Well]).await;
    upstream.fail(30);
    let settings = ["--deadline", "60s", "--upstream-timeout", "20s"];
    let service = Service::shout().args(["--upstream", upstream.url()]).args(settings).start().await;
    let answers = Poster::to(&service).await.flood("text", COUNT, 50).await;
    let good = answers.iter().filter(|(status, _)| *status == 200).count();
    assert!(good * 1000 >= COUNT * 999, "{:?}", statuses(&answers));
    assert!(upstream.asked().len() > COUNT + COUNT / 4, "it did fail: {}", upstream.asked().len());
    assert!(upstream.connections() <= 2 * 64, "{}", upstream.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_upstream_hangs_what_is_known_is_answered_all_else_is_refused_and_nothing_piles_up() {
    const CLIENTS: usize = 200;
    let upstream = Upstream::start([Act::Well]).await;
    let settings = ["--upstream-timeout", "500ms", "--deadline", "3s", "--upstream-concurrency", "16"];
    let settings = settings.into_iter().chain(["--upstream-queue", "32"]);
    let service = Service::shout().args(["--upstream", upstream.url()]).args(settings).start().await;
    let poster = Poster::to(&service).await;
    let known: Vec<_> = (0..20).map(|n| format!("known {n}")).collect();
    for text in &known {
        shouted(&service, text).await;
    }
    // As many connections as there will be.
    let warm = poster.flood("warm", 2000, CLIENTS).await;
    assert!(warm.iter().any(|(status, _)| *status == 200), "{:?}", statuses(&warm));
    let before = (sockets(&service), service.usage().resident);

    upstream.act([Act::Hang]);
    // Sixteen hang for half a second, and then sixteen more: the breaker has its twenty failures.
    let first = poster.flood("first", 400, CLIENTS).await;
    assert!(first.iter().all(|(status, _)| [502, 503, 504].contains(status)), "{:?}", statuses(&first));
    service.wait_events("the upstream fails, and is asked by probes alone", 1, SOON).await;
    let asked = upstream.asked().len();
    let refused = poster.flood("more", 20_000, CLIENTS).await;
    let at_once = refused.iter().filter(|(status, _)| *status == 503).count();
    // But for a probe now and then.
    assert!(at_once + 100 >= refused.len(), "{:?}", statuses(&refused));
    assert!(upstream.asked().len() <= asked + 100, "{} {asked}", upstream.asked().len());
    for text in &known {
        let answer = shout(&service, text).await;
        assert_eq!((answer.status, &*answer.headers["cache-status"]), (200, "shout; hit"));
    }
    let after = (sockets(&service), service.usage().resident);
    assert!(after.0 <= CLIENTS + 16 + 40, "{before:?} {after:?}");
    // 20,000 requests that left anything behind would show: 32 MiB are 1.6 KiB each.
    assert!(after.1 <= before.1 + (32 << 20), "{before:?} {after:?}");

    upstream.act([Act::Well]);
    upbeat_testkit::eventually("an answer", SOON, async || match shout(&service, "back").await {
        answer if answer.status == 200 => Ok(()),
        answer => Err(format!("{answer:?}")),
    })
    .await;
}
