//! SIGTERM.

use std::time::Duration;

use futures_util::future::join_all;
use upbeat_testkit::{Service, Signal, eventually};

use crate::server::{Act, Upstream};
use crate::{SOON, metric, shout};

#[tokio::test]
async fn what_was_begun_is_answered_before_the_end() {
    let upstream = Upstream::start([Act::Late(Duration::from_secs(3))]).await;
    let settings = ["--upstream-timeout", "50s", "--deadline", "50s", "--drain-timeout", "50s"];
    let service = Service::shout().args(["--upstream", upstream.url()]).args(settings).start().await;
    let texts: Vec<_> = (0..5).map(|n| n.to_string()).collect();
    let (answers, ()) = tokio::join!(join_all(texts.iter().map(|text| shout(&service, text))), async {
        eventually("five under way", SOON, async || match upstream.now() {
            5 => Ok(()),
            number => Err(number.to_string()),
        })
        .await;
        service.signal(Signal::SIGTERM);
        eventually("a service that is not ready", SOON, async || match service.try_get("/ready").await {
            Ok(answer) if answer.status == 503 => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        assert_eq!(service.health().await.status, 200);
    });
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(service.wait_exit(SOON).await, 0);
    assert_eq!(service.events("stopped")[0].number("abandoned"), Some(0));
}

#[tokio::test]
async fn what_does_not_end_within_the_drain_time_is_abandoned_and_told() {
    let upstream = Upstream::start([Act::Hang]).await;
    let settings = ["--upstream-timeout", "60s", "--deadline", "60s", "--drain-timeout", "1s"];
    let service = Service::shout().args(["--upstream", upstream.url()]).args(settings).start().await;
    let url = service.url("/").await;
    let asked = tokio::spawn(async move {
        upbeat_testkit::http::request_within(SOON, "POST", &url, "", r#"{"data": "test"}"#.into()).await
    });
    eventually("one under way", SOON, async || match metric(&service, "shout_requests_under_way", &[]).await {
        1 => Ok(()),
        number => Err(number.to_string()),
    })
    .await;
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait_exit(SOON).await, 1);
    assert_eq!(service.events("stopped")[0].number("abandoned"), Some(1));
    drop(asked.await);
}
