//! Good and broken requests.

use upbeat_testkit::Service;
use upbeat_testkit::http::request;

use crate::{SOON, assert_problem, metric, shouted};

#[tokio::test]
async fn a_text_is_answered_reversed_and_in_capitals_whatever_its_content_type() {
    let service = Service::shout().start().await;
    service.wait_ready().await;
    assert_eq!(
        service.ready().await.json(),
        serde_json::json!({"status": "READY", "upstream": "none", "cache": "memory"})
    );
    assert_eq!(service.wait_events("shouting", 1, SOON).await[0].text("upstream"), "none");
    let body = r#"{"data": "test"}"#;
    for content_type in ["application/json", "application/x-www-form-urlencoded", "text/plain", "no such/type at all"] {
        let answer = service.try_post("/", content_type, body).await.unwrap();
        assert_eq!((answer.status, &*answer.body), (200, r#"{"data":"TSET"}"#), "{content_type}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    for (text, answer) in
        [("", ""), ("straße", "ESSARTS"), ("🇨🇭\r\ne\u{301}", "E\u{301}\r\n🇨🇭"), ("\u{0}\"\\", "\\\"\u{0}")]
    {
        assert_eq!(shouted(&service, text).await, answer);
    }
    assert_eq!(metric(&service, "shout_http_requests_total", &["200"]).await, 8);
}

#[tokio::test]
async fn a_request_that_is_none_is_told_what_is_wrong_by_status_and_problem() {
    let service = Service::shout().args(["--max-body", "100"]).start().await;
    for (body, status, detail) in [
        ("", 400, "not JSON"),
        ("data=test", 400, "not JSON"),
        (r#"{"data": "test""#, 400, "not JSON"),
        (r#"{"data": 1,"#, 400, "not JSON"),
        (r#"{"data": "\ud800"}"#, 400, "not JSON"),
        ("[]", 422, r#"{"data": "test"}"#),
        (r#"["test"]"#, 422, r#"{"data": "test"}"#),
        (r#"{"text": "test"}"#, 422, "missing field"),
        (r#"{"data": 7}"#, 422, "expected a string"),
        (r#"{"data": null}"#, 422, "expected a string"),
    ] {
        assert_problem(&service.post("/", body).await, status, detail);
    }
    let exact = format!(r#"{{"data": "{}"}}"#, "x".repeat(100 - 12));
    assert_eq!(exact.len(), 100);
    assert_eq!(service.post("/", exact.clone()).await.status, 200);
    assert_problem(&service.post("/", format!("{exact} ")).await, 413, "100 bytes");

    let url = service.url("/").await;
    let other = request("PUT", &url, "application/json", "{}".into()).await.unwrap();
    assert_problem(&other, 405, "PUT");
    assert!(other.headers["allow"].contains("POST"), "{other:?}");
    assert_problem(&service.post("/V1/SHOUT", "{}").await, 404, "/V1/SHOUT");
    assert_problem(&service.get("/nothing").await, 404, "/nothing");
    assert_eq!(service.get("/").await.status, 200, "the page with the figures is there, too");
    assert_eq!(metric(&service, "shout_http_requests_total", &["422"]).await, 5);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_read_up_to_the_limit() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let service = Service::shout().args(["--max-body", "100KiB"]).start().await;
    for (bytes, status) in [(90 * 1024, "200 OK"), (110 * 1024, "413 ")] {
        let mut stream = tokio::net::TcpStream::connect(service.wait_listening().await).await.unwrap();
        let body = format!(r#"{{"data": "{}"}}"#, "x".repeat(bytes));
        let head = "POST / HTTP/1.1\r\nhost: here\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
        let request = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        // It may be closed before all is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        // One that is closed at once, with bytes unread, may have its answer cut off by a reset.
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) || (bytes > 100 * 1024 && answer.is_empty()),
            "{}",
            &answer[..answer.len().min(200)]
        );
    }
    assert_eq!(metric(&service, "shout_http_requests_total", &["413"]).await, 1);
}

#[tokio::test]
async fn a_large_text_is_answered_whole() {
    let service = Service::shout().start().await;
    let text: String = (0..100_000).map(|n| char::from(b'a' + u8::try_from(n % 26).unwrap())).collect();
    let expected: String = text.chars().rev().map(|letter| letter.to_ascii_uppercase()).collect();
    for _ in 0..2 {
        assert_eq!(shouted(&service, &text).await, expected);
    }
}
