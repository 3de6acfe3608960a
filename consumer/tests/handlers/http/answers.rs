//! What each answer means for the message.

use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use futures_util::{StreamExt, stream};
use tokio::time::sleep;
use upbeat_consumer::Outcome;

use super::server::{Reply, Server};
use super::{failure, http};
use crate::scene::{options, outcome_of, queue_of};

async fn outcome(reject: bool, answer: impl Fn() -> Reply + Clone + Send + Sync + 'static) -> Outcome {
    let server = Server::start(move |_| answer()).await;
    let outcome = outcome_of(&queue_of(["x"]), options(), http(&server).reject(reject)).await;
    assert_eq!(server.requests().len(), 1, "once, and no redirect followed");
    outcome
}

/// A body that breaks off.
fn half() -> Body {
    let breaks = stream::once(async {
        sleep(Duration::from_millis(50)).await;
        Err("broken")
    });
    Body::from_stream(stream::iter([Ok(Bytes::from("so far"))]).chain(breaks))
}

#[tokio::test]
async fn success_is_done_whatever_becomes_of_the_answers_body() {
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(outcome(true, move || Reply::status(status)).await, Outcome::Done);
    }
    let endless =
        || Reply::body(200, Body::from_stream(stream::repeat_with(|| Ok::<_, &str>(Bytes::from_static(&[0; 9999])))));
    assert_eq!(outcome(true, endless).await, Outcome::Done);
    let stuck = || Reply::body(200, Body::from_stream(stream::pending::<Result<Bytes, &str>>()));
    assert_eq!(outcome(true, stuck).await, Outcome::Done);
    let broken = || Reply::body(200, half());
    assert_eq!(outcome(true, broken).await, Outcome::Done);
}

#[tokio::test]
async fn server_errors_redirects_and_the_unheard_of_are_failures_with_the_beginning_of_the_body() {
    for status in [300, 304, 500, 502, 503, 504, 599, 999] {
        let text = failure(outcome(true, move || Reply::status(status)).await);
        assert!(text.starts_with(&format!("the endpoint answered {status}")), "{text}");
    }
    let text = failure(outcome(false, || Reply::body(500, " no space left\n".to_owned() + &"x".repeat(9999))).await);
    assert!(text.starts_with("the endpoint answered 500 Internal Server Error: no space left\nxxx"), "{text}");
    assert!(text.len() < 700, "{}", text.len());
    let moved = || Reply::status(307).header("location", "http://127.0.0.1:1/elsewhere");
    let text = failure(outcome(true, moved).await);
    assert!(text.contains("a redirect to http://127.0.0.1:1/elsewhere, which is not followed"), "{text}");
    let text = failure(outcome(true, || Reply::body(500, half())).await);
    assert_eq!(text, "the endpoint answered 500 Internal Server Error: so far");
}

#[tokio::test]
async fn a_client_error_rejects_if_asked_and_is_a_failure_otherwise() {
    for status in [400, 401, 404, 410, 413, 422, 431, 499] {
        let refuse = move || Reply::body(status, "no such order");
        match outcome(true, refuse).await {
            Outcome::Reject { reason } => {
                assert!(reason.contains(&status.to_string()) && reason.ends_with(": no such order"), "{reason}");
            }
            other => panic!("{status}: {other:?}"),
        }
        failure(outcome(false, refuse).await);
    }
    for status in [408, 425, 429] {
        failure(outcome(true, move || Reply::status(status)).await);
    }
}

#[tokio::test]
async fn retry_after_is_obeyed_with_429_and_503_only() {
    for status in [429, 503] {
        let in_two_minutes = move || Reply::status(status).header("retry-after", "120");
        assert_eq!(outcome(true, in_two_minutes).await, Outcome::Retry { after: Duration::from_mins(2) });
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_mins(10));
        match outcome(true, move || Reply::status(status).header("retry-after", &date)).await {
            Outcome::Retry { after } => assert!((590..=600).contains(&after.as_secs()), "{after:?}"),
            other => panic!("{other:?}"),
        }
        for nothing in ["0", "soon", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            failure(outcome(true, move || Reply::status(status).header("retry-after", nothing)).await);
        }
    }
    failure(outcome(true, || Reply::status(500).header("retry-after", "120")).await);
}
