//! Messages at the edges of what SNS carries, each with the outcome that the README promises.

use serde_json::json;
use upbeat_testkit::Count;

use super::{SOON, quiet_producer};

const TYPED: &str = "application/vnd.upbeat.message+json";

/// SNS's limit of a message, and of a batch.
const LIMIT: usize = 256 * 1024;

/// What the attribute `id` counts: its name, its type, and a UUID.
const ID: usize = 2 + 6 + 36;

#[tokio::test]
async fn messages_up_to_the_limit_arrive_and_what_is_over_it_or_not_text_is_refused_with_the_reason() {
    let (resources, command) = quiet_producer().await;
    let service = command.start().await;
    service.wait_ready().await;
    let typed = |body: String, attributes: usize| {
        let attributes = (0..attributes).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>();
        json!({"body": body, "attributes": attributes})
    };
    let large = |letter: &str| letter.repeat(LIMIT - ID);
    // Each is a tenth of the limit, and one of them has the rest of it.
    let tenth = |n: usize| n.to_string().repeat(LIMIT / 10 - ID + if n == 0 { LIMIT % 10 } else { 0 });
    let ten_tenths: Vec<_> = (0..10).map(tenth).collect();
    assert_eq!(ten_tenths.iter().map(|body| body.len() + ID).sum::<usize>(), LIMIT);
    let ten_large: Vec<_> = (0..10).map(|n| large(&n.to_string())).collect();

    let mut sendable = Vec::new();
    for bodies in [vec![large("x")], ten_tenths, ten_large, vec!["x".to_owned()]] {
        let posted: Vec<_> = bodies.iter().map(|body| typed(body.clone(), 0)).collect();
        let answer = service.try_post("/messages", TYPED, json!(posted).to_string()).await.unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        sendable.extend(bodies);
    }
    // With `id` these are ten.
    let answer = service.try_post("/messages", TYPED, typed("nine".to_owned(), 9).to_string()).await.unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    sendable.push("nine".to_owned());

    for (body, status, reason) in [
        (typed(large("x") + "x", 0), 413, "262145 bytes with the attributes, and the topic takes at most 262144"),
        (typed("x".repeat(1024 * 1024), 0), 413, "at most 262144"),
        (typed(String::new(), 0), 422, "the body is empty"),
        (typed("x".to_owned(), 10), 422, "11 attributes with `id`, and raw delivery takes at most 10"),
        (typed("\u{0}".to_owned(), 0), 422, "which SNS and SQS can't carry"),
    ] {
        let answer = service.try_post("/messages", TYPED, body.to_string()).await.unwrap();
        let told = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == status && told.contains(reason), "{status}, {reason}: {answer:?}");
    }
    let not_utf8 = service.try_post("/messages", "application/json", &b"\"\xff\""[..]).await.unwrap();
    assert_eq!(not_utf8.status, 400, "{not_utf8:?}");

    let arrived = resources.queue.drain_until(sendable.len(), SOON).await;
    let short = |body: &str| format!("{} × {:?}", body.len(), body.chars().next());
    let arrived = arrived.iter().map(|message| short(&message.body));
    Count::of(sendable.iter().map(|body| short(body)), arrived).assert_exactly_once();
}
