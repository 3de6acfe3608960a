//! What the upstream answers, and what becomes of it.

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use upbeat_testkit::port::ReservedPort;
use upbeat_testkit::{Service, ServiceCommand, eventually};

use crate::server::{Act, Upstream};
use crate::{SOON, assert_problem, metric, retry_after, shout, shouted};

fn service(upstream: &Upstream) -> ServiceCommand {
    Service::shout().args(["--upstream", upstream.url()])
}

fn status(status: u16) -> Act {
    Act::Status(status, None)
}

#[tokio::test]
async fn the_upstream_is_asked_in_its_own_way_with_the_reversed_text() {
    let upstream = Upstream::start([Act::Well]).await;
    let with_user = upstream.url().replace("http://", "http://me:secret@") + "/api/";
    let service = Service::shout().args(["--upstream", &with_user]).start().await;
    assert_eq!(shouted(&service, "test ß").await, "SS TSET");
    let asked = &upstream.asked()[0];
    assert_eq!((&*asked.path, &asked.body), ("/api/V1/SHOUT", &json!({"INPUT": "ß tset"})));
    assert_eq!(asked.headers["content-type"], "application/json");
    assert!(asked.headers["authorization"].to_str().unwrap().starts_with("Basic "));
    let ready = service.ready().await.json();
    assert_eq!(ready["upstream"], json!(format!("{}/api/V1/SHOUT", upstream.url())));
    assert!(!service.lines().join("").contains("secret"));
}

#[tokio::test]
async fn what_fails_for_the_moment_is_tried_again() {
    let broken =
        [status(500), status(429), status(503), status(408), Act::BreakOff, Act::Say("<html>".to_owned()), Act::Hang];
    let count = broken.len();
    let upstream = Upstream::start(broken.into_iter().chain([Act::Well])).await;
    let service = service(&upstream)
        .args(["--upstream-timeout", "1s", "--deadline", "60s", "--upstream-tries", "30"])
        .start()
        .await;
    assert_eq!(shouted(&service, "test").await, "TSET");
    assert!(upstream.asked().len() > count);
    for outcome in ["server_error", "throttled", "unreachable", "garbage", "timeout", "ok"] {
        let label = format!("outcome=\"{outcome}\"");
        assert!(metric(&service, "shout_upstream_tries_total", &[&label]).await > 0, "{outcome}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_text_in_capitals_is_never_passed_on() {
    let upstream = Upstream::start([]).await;
    let service = service(&upstream).args(["--upstream-tries", "2"]).start().await;
    let say = |input: &str, output: serde_json::Value| Act::Say(json!({"INPUT": input, "OUTPUT": output}).to_string());
    for (number, (act, tries)) in [
        (Act::Say("TSET".to_owned()), 2),
        (Act::Say("{}".to_owned()), 2),
        (say("tset", json!(null)), 2),
        (say("other", json!("OTHER")), 2),
        (say("tset", json!("tset")), 1),
        (say("tset", json!("TEST")), 1),
        (say("tset", json!("TSET ")), 1),
        (say("tset", json!("")), 1),
        (Act::Say("x".repeat(100_000)), 2),
        (status(404), 1),
        (status(302), 1),
        (status(400), 1),
    ]
    .into_iter()
    .enumerate()
    {
        upstream.act([act.clone()]);
        let before = upstream.asked().len();
        let answer = shout(&service, "test").await;
        assert_problem(&answer, 502, "the upstream's answer is no use");
        assert!(retry_after(&answer) > 0);
        assert_eq!(upstream.asked().len() - before, tries, "{number}: {act:?}");
    }
    upstream.act([say("tset", json!("TSET"))]);
    assert_eq!(shouted(&service, "test").await, "TSET");
}

#[tokio::test]
async fn an_upstream_with_the_simple_mapping_is_as_good() {
    let upstream = Upstream::start([Act::Say(json!({"INPUT": "eßarts", "OUTPUT": "EßARTS"}).to_string())]).await;
    let service = service(&upstream).start().await;
    assert_eq!(shouted(&service, "straße").await, "EßARTS");
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept() {
    let upstream = Upstream::start([Act::Status(429, Some("2".to_owned())), Act::Well]).await;
    let service = service(&upstream).start().await;
    let began = Instant::now();
    assert_eq!(shouted(&service, "test").await, "TSET");
    assert!(began.elapsed() >= Duration::from_secs(2));

    let date = SystemTime::now() + Duration::from_secs(4);
    upstream.act([Act::Status(503, Some(httpdate::fmt_http_date(date))), Act::Well]);
    assert_eq!(shouted(&service, "date").await, "ETAD");
    // The date has whole seconds.
    assert!(SystemTime::now() >= date - Duration::from_secs(1));
}

#[tokio::test]
async fn a_pause_that_is_longer_than_the_deadline_is_told_at_once() {
    let upstream = Upstream::start([Act::Status(503, Some("3600".to_owned()))]).await;
    let service = service(&upstream).args(["--deadline", "50s"]).start().await;
    let answer = shout(&service, "test").await;
    assert_problem(&answer, 503, "come again in 3600 s");
    assert_eq!(retry_after(&answer), 3600);
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_hangs_is_waited_for_until_the_deadline_and_no_longer() {
    let upstream = Upstream::start([Act::Hang]).await;
    let limits = ["--upstream-timeout", "400ms", "--deadline", "1s", "--upstream-tries", "100"];
    let service = service(&upstream).args(limits).start().await;
    let answer = shout(&service, "test").await;
    assert_problem(&answer, 504, "has not answered in time");
    assert!(retry_after(&answer) > 0);
    assert!((1..=4).contains(&upstream.asked().len()), "{:?}", upstream.asked());
    // Nothing of it goes on.
    eventually("an upstream that is left alone", SOON, async || match upstream.now() {
        0 => Ok(()),
        now => Err(now.to_string()),
    })
    .await;
}

#[tokio::test]
async fn tries_that_all_fail_are_502_and_refused_connections_too() {
    let upstream = Upstream::start([status(500)]).await;
    let with_upstream = service(&upstream).args(["--upstream-tries", "3"]).start().await;
    let answer = shout(&with_upstream, "test").await;
    assert_problem(&answer, 502, "500");
    assert_eq!(upstream.asked().len(), 3);

    let nobody = ReservedPort::take();
    let url = format!("http://{}", nobody.address());
    let alone = Service::shout().args(["--upstream", &url, "--upstream-tries", "3"]).start().await;
    assert_problem(&shout(&alone, "test").await, 502, "refused");
}

#[tokio::test]
async fn the_breaker_opens_after_failures_in_a_row_answers_at_once_and_closes_after_a_probe() {
    let upstream = Upstream::start([status(500)]).await;
    let settings = ["--upstream-tries", "1", "--breaker-threshold", "3"];
    let service = service(&upstream).args(settings).start().await;
    for _ in 0..3 {
        assert_problem(&shout(&service, "test").await, 502, "500");
    }
    service.wait_events("the upstream fails, and is asked by probes alone", 1, SOON).await;
    let answer = shout(&service, "test").await;
    // On a machine that stood still for a second, that was the probe.
    if answer.status != 502 {
        assert_problem(&answer, 503, "is not asked again");
        assert!((1..=10).contains(&retry_after(&answer)));
    }
    assert_eq!(metric(&service, "shout_breaker_open", &[]).await, 1);
    assert_eq!(metric(&service, "shout_breaker_trips_total", &[]).await, 1);
    let ready = service.ready().await;
    assert_eq!(ready.status, 200, "another replica could do no better");
    assert!(ready.json()["upstream"].as_str().unwrap().ends_with(", which fails"), "{ready:?}");

    upstream.act([Act::Well]);
    eventually("an answer", SOON, async || match shout(&service, "test").await {
        answer if answer.status == 200 => Ok(()),
        answer => Err(format!("{answer:?}")),
    })
    .await;
    assert_eq!(metric(&service, "shout_breaker_open", &[]).await, 0);
    service.wait_events("the upstream answers again", 1, SOON).await;
}

#[tokio::test]
async fn texts_that_the_upstream_refuses_do_not_open_the_breaker_for_others() {
    let upstream = Upstream::start([status(400)]).await;
    let service = service(&upstream).args(["--breaker-threshold", "2"]).start().await;
    for n in 0..10 {
        assert_problem(&shout(&service, &n.to_string()).await, 502, "400");
    }
    upstream.act([Act::Well]);
    assert_eq!(shouted(&service, "test").await, "TSET");
}

#[tokio::test]
async fn so_many_are_under_way_so_many_wait_and_the_rest_is_told_to_come_again() {
    let upstream = Upstream::start([Act::Hang]).await;
    let settings =
        ["--upstream-concurrency", "4", "--upstream-queue", "6", "--upstream-timeout", "60s", "--deadline", "60s"];
    let service = std::sync::Arc::new(service(&upstream).args(settings).start().await);
    let mut waiting = tokio::task::JoinSet::new();
    let post = |n: usize| {
        let service = std::sync::Arc::clone(&service);
        async move { shout(&service, &n.to_string()).await.status }
    };
    for n in 0..10 {
        waiting.spawn(post(n));
    }
    eventually("four under way and six waiting", SOON, async || {
        let under_way = metric(&service, "shout_upstream_calls", &["under_way"]).await;
        let queued = metric(&service, "shout_upstream_calls", &["waiting"]).await;
        if (under_way, queued, upstream.now()) == (4, 6, 4) { Ok(()) } else { Err(format!("{under_way} {queued}")) }
    })
    .await;
    let refused = shout(&service, "one more").await;
    assert_problem(&refused, 503, "too many requests wait");
    assert!(retry_after(&refused) > 0);
    assert_eq!(metric(&service, "shout_upstream_rejected_total", &["full"]).await, 1);
    assert_eq!(upstream.most(), 4);
    assert_eq!(upstream.connections(), 4);
    // Whoever asked is gone: so are the requests to the upstream.
    waiting.shutdown().await;
    eventually("room", SOON, async || match metric(&service, "shout_upstream_calls", &[]).await {
        0 => Ok(()),
        calls => Err(calls.to_string()),
    })
    .await;
}
