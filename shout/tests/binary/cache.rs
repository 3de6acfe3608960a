//! What is kept in memory, and equal texts at the same time.

use std::time::Duration;

use futures_util::future::join_all;
use upbeat_testkit::{Service, eventually};

use crate::server::{Act, Upstream};
use crate::{SOON, metric, shout, shouted};

#[tokio::test]
async fn what_was_asked_before_is_answered_without_the_upstream_also_while_it_is_down() {
    let upstream = Upstream::start([Act::Well]).await;
    let settings = ["--upstream-tries", "1", "--breaker-threshold", "2"];
    let service = Service::shout().args(["--upstream", upstream.url()]).args(settings).start().await;
    assert_eq!(shout(&service, "known").await.headers["cache-status"], "shout; fwd=miss");
    upstream.act([Act::Status(500, None)]);
    for _ in 0..3 {
        assert_ne!(shout(&service, "unknown").await.status, 200);
    }
    for _ in 0..3 {
        let answer = shout(&service, "known").await;
        assert_eq!((answer.status, &*answer.headers["cache-status"]), (200, "shout; hit"));
        assert_eq!(answer.json()["data"], "NWONK");
    }
    assert_eq!(metric(&service, "shout_cache_lookups_total", &["hit"]).await, 3);
    let known = |asked: &crate::server::Asked| asked.body["INPUT"] == "nwonk";
    assert_eq!(upstream.asked().iter().filter(|asked| known(asked)).count(), 1);
}

#[tokio::test]
async fn of_equal_texts_at_the_same_time_one_is_asked_for_also_without_a_cache() {
    for cache in ["memory", "none"] {
        let upstream = Upstream::start([Act::Hang]).await;
        let settings = ["--upstream-timeout", "60s", "--deadline", "60s", "--cache", cache];
        let service = Service::shout().args(["--upstream", upstream.url()]).args(settings).start().await;
        let (answers, ()) = tokio::join!(join_all((0..20).map(|_| shout(&service, "same"))), async {
            eventually("twenty that wait", SOON, async || match service_under_way(&service).await {
                20 => Ok(()),
                number => Err(number.to_string()),
            })
            .await;
            assert_eq!(upstream.asked().len(), 1);
            // What hangs breaks, and the next try is answered.
            upstream.act([Act::Well]);
            upstream.let_go();
        });
        let fresh = answers.iter().filter(|answer| answer.headers["cache-status"] == "shout; fwd=miss").count();
        assert!(answers.iter().all(|answer| answer.json()["data"] == "EMAS"), "{answers:?}");
        assert_eq!((fresh, upstream.asked().len()), (1, 2));
        assert_eq!(metric(&service, "shout_cache_lookups_total", &["shared"]).await, 19);
        assert_eq!(shouted(&service, "same").await, "EMAS");
        assert_eq!(upstream.asked().len(), if cache == "none" { 3 } else { 2 });
    }
}

async fn service_under_way(service: &Service) -> u64 {
    metric(service, "shout_requests_under_way", &[]).await
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let upstream = Upstream::start([Act::Status(400, None), Act::Well]).await;
    let service = Service::shout().args(["--upstream", upstream.url()]).start().await;
    assert_eq!(shout(&service, "test").await.status, 502);
    assert_eq!(shouted(&service, "test").await, "TSET");
}

#[tokio::test]
async fn what_is_kept_is_forgotten_after_its_time() {
    let upstream = Upstream::start([Act::Well]).await;
    let settings = ["--cache-ttl", "1s"];
    let service = Service::shout().args(["--upstream", upstream.url()]).args(settings).start().await;
    shouted(&service, "test").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    shouted(&service, "test").await;
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn what_is_kept_takes_no_more_memory_than_it_may() {
    let service = Service::shout().args(["--cache-size", "1MiB"]).start().await;
    for n in 0..100 {
        shouted(&service, &format!("{n}{}", "x".repeat(50_000))).await;
    }
    eventually("a cache of one MiB", SOON, async || {
        // What is not looked at is not tidied up.
        shouted(&service, "tidy").await;
        match metric(&service, "shout_cache_bytes", &[]).await {
            bytes @ 100_000..=1_048_576 => Ok(bytes),
            bytes => Err(bytes.to_string()),
        }
    })
    .await;
}
