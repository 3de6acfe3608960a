//! `POST /messages`, without a network: every status, and what is said with it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::ServiceExt;
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::sources::http::{Access, Gateway, MAX_REQUEST, TYPED, routes};
use upbeat_producer::{Fault, Producer};

const JSON: &str = "application/json";

/// A producer behind its HTTP routes.
struct Posts {
    topic: Memory,
    producer: Producer,
    gateway: Gateway,
}

impl Posts {
    fn to(topic: Memory) -> Self {
        let producer = Producer::builder(topic.clone()).default_group("all").buffer(32 * 1024).build();
        let gateway = Gateway::new(Access::Open);
        gateway.open(producer.clone());
        Self { topic, producer, gateway }
    }

    async fn post(&self, content_type: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let answer = send(&self.gateway, content_type, body.into()).await;
        let retry_later = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&answer.status());
        assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), retry_later);
        let (status, body) = (answer.status(), json_of(answer).await);
        assert_eq!(body.get("error").is_some(), !status.is_success(), "{body}");
        (status, body)
    }

    async fn answer(&self, content_type: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let answer = send(&self.gateway, content_type, body.into()).await;
        (answer.status(), json_of(answer).await)
    }
}

async fn send(gateway: &Gateway, content_type: &str, body: Body) -> Response {
    let request = Request::post("/messages").header(header::CONTENT_TYPE, content_type).body(body).unwrap();
    routes(gateway.clone()).oneshot(request).await.unwrap()
}

async fn json_of(answer: Response) -> Value {
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_value_is_published_as_it_was_sent_and_the_answer_has_both_ids() {
    let posts = Posts::to(Memory::standard("messages"));
    let sent = "{\"b\" : 1.50,\n \"a\": \"\\u00e4\"}";
    let (status, answer) = posts.post("application/json; charset=utf-8", sent).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let [stored] = &posts.topic.published()[..] else { panic!() };
    assert_eq!(stored.entry.body(), sent);
    let expected = json!({"messages": [
        {"id": stored.entry.id().to_string(), "message_id": stored.receipt.message_id}
    ]});
    assert_eq!(answer, expected);
}

#[tokio::test(start_paused = true)]
async fn an_array_is_a_message_an_element_and_the_answer_is_in_its_order() {
    let posts = Posts::to(Memory::standard("messages"));
    let (status, answer) = posts.post(JSON, "[1.0, {\"a\" : 2}, \"three\", [4]]").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(posts.topic.bodies(), ["1.0", "{\"a\" : 2}", "\"three\"", "[4]"]);
    let ids = posts.topic.published().into_iter().map(|stored| stored.entry.id().to_string());
    let answered = answer["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap());
    assert!(ids.eq(answered), "{answer}");
    assert_eq!(posts.post(JSON, "[]").await, (StatusCode::ACCEPTED, json!({"messages": []})));
}

#[tokio::test(start_paused = true)]
async fn a_typed_message_has_attributes_a_group_and_an_id_of_its_own() {
    let posts = Posts::to(Memory::fifo("messages.fifo"));
    let typed = json!({"body": "text", "attributes": {"id": "mine", "n": 7}, "group_id": "g", "deduplication_id": "d",
        "subject": "s"});
    let (status, answer) = posts.post(TYPED, typed.to_string()).await;
    assert_eq!((status, &answer["messages"][0]["id"]), (StatusCode::ACCEPTED, &json!("mine")));
    let [stored] = &posts.topic.published()[..] else { panic!() };
    let entry = &stored.entry;
    assert_eq!((entry.body(), entry.subject(), entry.deduplication_id()), ("text", Some("s"), Some("d")));
    assert_eq!((entry.group_id().map(AsRef::as_ref), entry.attributes().len()), (Some("g"), 1));
}

#[tokio::test(start_paused = true)]
async fn some_that_fail_make_a_207_and_all_that_fail_the_status_of_their_fault() {
    let posts = Posts::to(Memory::standard("messages"));
    let (status, answer) = posts.post(TYPED, r#"[{"body": "a"}, {"body": ""}, {"body": "c"}]"#).await;
    assert_eq!(status, StatusCode::MULTI_STATUS);
    assert!(answer["messages"][0]["error"].is_null() && answer["messages"][1]["message_id"].is_null());
    assert!(answer["messages"][1]["error"].as_str().unwrap().contains("empty"), "{answer}");
    assert_eq!(posts.topic.bodies(), ["a", "c"]);

    let too_large = format!("\"{}\"", "x".repeat(posts.producer.topic().max_bytes));
    let (status, answer) = posts.post(JSON, too_large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer["error"].as_str().unwrap().contains("262144"), "{answer}");
    for refused in [r#"{"body": ""}"#, r#"{"body": "a\u0001"}"#, r#"{"body": 1, "deduplication_id": "d"}"#] {
        let (status, answer) = posts.post(TYPED, refused).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_json_or_not_the_right_json_or_said_to_be_neither_is_refused() {
    let posts = Posts::to(Memory::standard("messages"));
    for (content_type, body, expected) in [
        (JSON, "{", StatusCode::BAD_REQUEST),
        (JSON, "", StatusCode::BAD_REQUEST),
        (TYPED, "[{\"body\": 1}", StatusCode::BAD_REQUEST),
        (TYPED, "{\"text\": 1}", StatusCode::UNPROCESSABLE_ENTITY),
        (TYPED, "7", StatusCode::UNPROCESSABLE_ENTITY),
        ("text/plain", "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/x-www-form-urlencoded", "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("", "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let (status, answer) = posts.post(content_type, body).await;
        assert_eq!(status, expected, "{body}: {answer}");
    }
    let many = format!("[{}1]", "1,".repeat(1000));
    assert_eq!(posts.post(JSON, many).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let large = " ".repeat(MAX_REQUEST) + "1";
    assert_eq!(posts.post(JSON, large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(posts.topic.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_answers_429_and_takes_none_of_the_request() {
    let topic = Memory::standard("messages").faults(|_| Faults::latency(Duration::from_secs(1)));
    let posts = Posts::to(topic);
    let twenty = format!("[{}1]", "1,".repeat(19));
    let (first, second) = tokio::join!(posts.post(JSON, twenty.clone()), async {
        sleep(Duration::from_millis(10)).await;
        posts.post(JSON, twenty.clone()).await
    });
    assert_eq!((first.0, second.0), (StatusCode::ACCEPTED, StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(posts.topic.published().len(), 20);
    assert_eq!(posts.post(JSON, twenty).await.0, StatusCode::ACCEPTED, "there is room again");
}

#[tokio::test(start_paused = true)]
async fn without_a_topic_in_an_outage_and_while_stopping_it_is_503() {
    let unconnected = send(&Gateway::new(Access::Open), JSON, Body::from("1")).await;
    assert_eq!(unconnected.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(unconnected.headers().contains_key(header::RETRY_AFTER));

    let down = Posts::to(Memory::standard("messages").faults(|_| Faults::call(Fault::unavailable("nobody is there"))));
    let (status, answer) = down.post(JSON, "[1, 2]").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer["messages"][1]["error"].as_str().unwrap().contains("nobody is there"), "{answer}");

    let stopping = Posts::to(Memory::standard("messages"));
    stopping.producer.close(Duration::from_secs(1)).await;
    let (status, answer) = stopping.post(JSON, "1").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer["error"].as_str().unwrap().contains("stopping"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_arrive_is_given_up() {
    let posts = Posts::to(Memory::standard("messages"));
    let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    assert_eq!(posts.post(JSON, never).await.0, StatusCode::REQUEST_TIMEOUT);
}

const LINES: &str = "application/x-ndjson";

#[tokio::test(start_paused = true)]
async fn lines_are_published_one_by_one_and_the_ones_that_fail_are_named() {
    let posts = Posts::to(Memory::standard("messages"));
    let (status, answer) = posts.post(LINES, "{\"a\" : 1}\n\n2\n  \"three\"").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(answer, json!({"lines": 4, "accepted": 3, "blank": 1, "failed": 0, "errors": []}));
    assert_eq!(posts.topic.bodies(), ["{\"a\" : 1}", "2", "\"three\""]);

    let too_large = "x".repeat(posts.producer.topic().max_bytes);
    let lines = ["{", "1", &format!("\"{too_large}\""), "\"\\u0001\"", "{} {}"].join("\r\n");
    let (status, answer) = posts.post("application/vnd.upbeat.message+x-ndjson", lines.clone()).await;
    assert_eq!((status, &answer["failed"]), (StatusCode::MULTI_STATUS, &json!(5)), "{answer}");
    let (status, answer) = posts.post(LINES, lines).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::MULTI_STATUS, &json!(2)), "{answer}");
    let failed: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|error| &error["line"]).collect();
    assert_eq!(failed, [1, 3, 5], "{answer}");
    assert!(answer["errors"][1]["error"].as_str().unwrap().contains("262144"), "{answer}");

    let typed = "{\"body\": \"t\", \"attributes\": {\"id\": \"mine\"}}\n";
    assert_eq!(posts.post("application/vnd.upbeat.message+x-ndjson", typed).await.0, StatusCode::ACCEPTED);
    assert_eq!(posts.topic.published().last().unwrap().entry.id().to_string(), "mine");
    assert_eq!(posts.post(LINES, "").await.0, StatusCode::ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_while_the_buffer_is_full_and_is_told_where_a_stop_cut_it() {
    let topic = Memory::standard("messages").faults(|_| Faults::latency(Duration::from_millis(100)));
    let posts = Posts::to(topic.clone());
    let lines = (0..5000).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    let (status, answer) = posts.post(LINES, lines.clone()).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::ACCEPTED, &json!(5000)));
    assert_eq!(topic.published().len(), 5000);

    let (answer, summary) = tokio::join!(posts.answer(LINES, lines), async {
        sleep(Duration::from_millis(1500)).await;
        posts.producer.close(Duration::from_secs(30)).await
    });
    let (status, answer) = answer;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert_eq!(answer["lines"], answer["accepted"], "{answer}");
    assert_eq!(answer["accepted"].as_u64().unwrap() + 5000, summary.published, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("stopping"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stops_coming_is_told_what_was_accepted() {
    let posts = Posts::to(Memory::standard("messages"));
    let one = futures_util::stream::iter([Ok::<_, std::io::Error>("1\n2\n3")]);
    let never = futures_util::StreamExt::chain(one, futures_util::stream::pending());
    let (status, answer) = posts.answer(LINES, Body::from_stream(never)).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::REQUEST_TIMEOUT, &json!(2)));
    let broken = futures_util::stream::iter([Ok("1\n"), Err(std::io::Error::other("cut"))]);
    let (status, answer) = posts.answer(LINES, Body::from_stream(broken)).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::BAD_REQUEST, &json!(1)));
    assert!(answer["error"].as_str().unwrap().contains("cut"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn without_a_token_it_is_closed_to_other_machines_and_nothing_of_the_request_is_read() {
    let gateway = Gateway::new(Access::new(false, None, "0.0.0.0:5000".parse().unwrap()).unwrap());
    let answer =
        send(&gateway, JSON, Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>()));
    let answer = answer.await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let why = json_of(answer).await["error"].as_str().unwrap().to_owned();
    assert!(why.contains("--open (OPEN)") && why.contains("--token-file (TOKEN_FILE)"), "{why}");
}

#[tokio::test]
async fn with_tokens_only_a_bearer_of_one_may_publish() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "0123456789abcdef\n").unwrap();
    let posts = Posts::to(Memory::standard("messages"));
    let gateway = Gateway::new(Access::new(false, Some(file.path()), "127.0.0.1:5000".parse().unwrap()).unwrap());
    gateway.open(posts.producer.clone());
    for (authorization, status, challenge) in [
        ("Bearer 0123456789abcdef", StatusCode::ACCEPTED, None),
        ("Bearer 0123456789abcdee", StatusCode::UNAUTHORIZED, Some("Bearer realm=\"upbeat\", error=\"invalid_token\"")),
        ("", StatusCode::UNAUTHORIZED, Some("Bearer realm=\"upbeat\"")),
    ] {
        let request = Request::post("/messages").header(header::CONTENT_TYPE, JSON);
        let request = request.header(header::AUTHORIZATION, authorization).body(Body::from("1")).unwrap();
        let answer = routes(gateway.clone()).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{authorization}");
        let given = answer.headers().get(header::WWW_AUTHENTICATE).map(|value| value.to_str().unwrap());
        assert_eq!(given, challenge, "{authorization}");
    }
    assert_eq!(posts.topic.bodies(), ["1"]);
}

#[tokio::test]
async fn the_interface_is_described_with_every_status_that_there_is() {
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let described = json_of(routes(Gateway::new(Access::Open)).oneshot(request).await.unwrap()).await;
    let paths: Vec<_> = described["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/health", "/messages", "/openapi.json", "/ready"]);
    let post = &described["paths"]["/messages"]["post"];
    let statuses: Vec<_> = post["responses"].as_object().unwrap().keys().collect();
    assert_eq!(statuses, ["202", "207", "400", "401", "403", "408", "413", "415", "422", "429", "503"]);
    assert_eq!(post["requestBody"]["content"].as_object().unwrap().len(), 4);
    assert_eq!(described["info"]["version"], env!("CARGO_PKG_VERSION"));
}
