//! The handler that posts to an endpoint, against a server in this process. In real time: sockets know no other.

mod answers;
mod server;
mod tls;

use std::time::Duration;

use upbeat_consumer::handler::Http;
use upbeat_consumer::message::Attribute;
use upbeat_consumer::queue::memory::NewMessage;
use upbeat_consumer::{Options, Outcome};

use crate::scene::{self, Running, options, outcome_of, queue, queue_of};
use server::{Reply, Server};

fn http(server: &Server) -> Http {
    Http::new(server.url().parse().unwrap()).unwrap()
}

fn failure(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed { error } => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_body_is_posted_as_it_is_with_what_is_known_of_the_message_in_headers() {
    let (queue, server) = (queue(), Server::start(|_| Reply::status(204)).await);
    let message = NewMessage::new("{\"a\": \"ä\u{0}\"}")
        .group("customer 7")
        .attribute("id", Attribute::string("0190"))
        .attribute("Colour", Attribute::string(" blue & grün, 100 %\n"))
        .attribute("raw.bytes", Attribute::binary([0, 1, 255]))
        .attribute("traceparent", Attribute::string("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
        .attribute("tracestate", Attribute::string("vendor=value"));
    let message_id = queue.send(message).unwrap();
    assert_eq!(outcome_of(&queue, options(), http(&server)).await, Outcome::Done);

    let request = server.requests().remove(0);
    assert_eq!((&*request.method, &*request.path), ("POST", "/in?from=queue"));
    assert_eq!(request.body, "{\"a\": \"ä\u{0}\"}".as_bytes());
    let header = |name: &str| request.headers.get(name).unwrap_or_else(|| panic!("{name}")).to_str().unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("content-length"), request.body.len().to_string());
    assert_eq!((header("upbeat-id"), header("upbeat-message-id")), ("0190", &*message_id));
    assert_eq!((header("upbeat-attempt"), header("upbeat-group")), ("1", "customer 7"));
    let at = humantime::parse_rfc3339(header("upbeat-first-received")).unwrap();
    assert!(at.elapsed().unwrap() < Duration::from_mins(1), "{at:?}");
    assert_eq!(header("upbeat-attribute-colour"), "%20blue & gr%C3%BCn, 100 %25%0A");
    assert_eq!(header("upbeat-attribute-raw.bytes"), "AAH/");
    assert_eq!(header("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(header("tracestate"), "vendor=value");
    assert!(header("user-agent").starts_with("upbeat-consumer/"));
    assert!(request.headers.get("authorization").is_none());
}

#[tokio::test]
async fn the_content_type_is_that_of_the_attribute_whatever_its_capitals() {
    let (queue, server) = (queue(), Server::start(|_| Reply::status(200)).await);
    for (name, value) in
        [("content-type", "text/csv"), ("Content-Type", "a/b; c=d"), ("other", "x"), ("Content-Type", "a\nb")]
    {
        queue.send(NewMessage::new("1,2").attribute(name, Attribute::string(value))).unwrap();
    }
    scene::consume_all(&queue, http(&server)).await;
    let mut types: Vec<_> = server.requests().iter().map(|request| request.headers["content-type"].clone()).collect();
    types.sort();
    assert_eq!(types, ["a/b; c=d", "text/csv", "text/plain; charset=utf-8", "text/plain; charset=utf-8"]);
}

#[tokio::test]
async fn a_body_of_a_mebibyte_arrives_whole_and_connections_are_used_again() {
    let server = Server::start(|_| Reply::status(200)).await;
    let large = "x".repeat(1 << 20);
    let queue = queue_of([large.clone()]);
    (0..60).for_each(|n| drop(queue.send(format!("{n}")).unwrap()));
    let options = Options { concurrency: 3, ..options() };
    let running = Running::start(&queue, options, http(&server));
    scene::until("the queue is empty", || queue.is_empty()).await;
    running.stop().await;
    assert!(server.requests().iter().any(|request| request.body == large.as_bytes()));
    assert_eq!(server.requests().len(), 61);
    assert!(server.connections() <= 6, "{}", server.connections());
}

#[tokio::test]
async fn a_user_and_password_in_the_url_are_sent_as_basic_authorization() {
    let server = Server::start(|_| Reply::status(200)).await;
    let url = server.url().replace("http://", "http://me:s%3Acret@");
    let outcome = outcome_of(&queue_of(["x"]), options(), Http::new(url.parse().unwrap()).unwrap()).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(server.requests()[0].headers["authorization"], "Basic bWU6czpjcmV0");
}

#[tokio::test]
async fn when_the_message_is_cancelled_the_request_is_dropped_and_the_server_sees_it_end() {
    let server = Server::start(|_| Reply::status(200).after(Duration::from_mins(10))).await;
    let options = Options { handler_timeout: Duration::from_secs(1), ..options() };
    let outcome = outcome_of(&queue_of(["x"]), options, http(&server)).await;
    assert_eq!(failure(outcome), "the request was dropped: handler timeout passed");
    scene::until("the server has seen it", || server.dropped() == 1).await;
}

#[tokio::test]
async fn no_answer_in_time_no_connection_and_a_connection_that_closes_are_failures() {
    let slow = Server::start(|_| Reply::status(200).after(Duration::from_mins(10))).await;
    let outcome = outcome_of(&queue_of(["x"]), options(), http(&slow).timeout(Duration::from_millis(300))).await;
    assert_eq!(failure(outcome), "no answer within 300ms");

    let port = upbeat_testkit::port::ReservedPort::take();
    let nobody = Http::new(format!("http://{}/", port.address()).parse().unwrap()).unwrap();
    let text = failure(outcome_of(&queue_of(["x"]), options(), nobody).await);
    assert!(text.starts_with("no answer: ") && text.contains("refused"), "{text}");

    let closing = server::closing().await;
    let closing = Http::new(closing.parse().unwrap()).unwrap();
    let text = failure(outcome_of(&queue_of(["x"]), options(), closing).await);
    assert!(text.starts_with("no answer: ") && text.contains("closed"), "{text}");
}
