//! `POST /messages`.

use std::sync::Arc;
use std::time::Duration;

use upbeat_testkit::{Count, Event, Signal};

use super::{SOON, quiet_producer};

const TYPED: &str = "application/vnd.upbeat.message+json";

#[tokio::test]
async fn what_is_posted_arrives_as_it_was_sent() {
    let (resources, command) = quiet_producer().await;
    let service = command.start().await;
    service.wait_ready().await;
    let one = service.post("/messages", "{\"b\" : 1.50, \"a\":[ ]}\n").await;
    assert_eq!(one.status, 202, "{one:?}");
    let many = service.post("/messages", "[ {\"n\":1}, \"two\", 3.0 ]").await;
    assert_eq!((many.status, many.json()["messages"].as_array().unwrap().len()), (202, 3));
    let typed = r#"{"body": "text", "attributes": {"id": "mine", "kind": "order"}, "subject": "s"}"#;
    let typed = service.try_post("/messages", TYPED, typed).await.unwrap();
    assert_eq!((typed.status, &typed.json()["messages"][0]["id"]), (202, &"mine".into()));

    let arrived = resources.queue.drain_until(5, SOON).await;
    let bodies = arrived.iter().map(|message| &*message.body);
    Count::of(["{\"b\" : 1.50, \"a\":[ ]}", "{\"n\":1}", "\"two\"", "3.0", "text"], bodies).assert_exactly_once();
    let typed = arrived.iter().find(|message| message.body == "text").unwrap();
    assert_eq!((&*typed.attributes["id"], &*typed.attributes["kind"]), ("mine", "order"));
    let answered = one.json()["messages"][0]["id"].clone();
    assert!(arrived.iter().any(|message| message.attributes["id"] == answered), "{answered}");
    let logged = |event: &Event| event.name() == "published" && event.text("id") == answered;
    service.wait_for("the line of the first", SOON, logged).await;
}

#[tokio::test]
async fn what_can_not_be_published_has_a_status_and_a_reason_and_the_access_log_has_them_all() {
    let (_resources, command) = quiet_producer().await;
    let service = command.start().await;
    service.wait_ready().await;
    let too_large = format!("\"{}\"", "x".repeat(300_000));
    for (content_type, body, status) in [
        ("application/json", "{", 400),
        ("text/plain", "{}", 415),
        (TYPED, "{\"text\": 1}", 422),
        (TYPED, "{\"body\": \"\"}", 422),
        ("application/json", &*too_large, 413),
        (TYPED, "[{\"body\": \"\"}, {\"body\": 1}]", 207),
    ] {
        let answer = service.try_post("/messages", content_type, body.to_owned()).await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
        let answer = answer.json();
        let reason = [&answer["error"], &answer["messages"][0]["error"]].map(|reason| reason.as_str().is_some());
        assert!(reason[0] || (status == 207 && reason[1]), "{answer}");
        service
            .wait_for("access", SOON, |event| {
                event.name() == "request"
                    && event.text("path") == "/messages"
                    && event.number("status") == Some(status.into())
            })
            .await;
    }
    assert_eq!(service.get("/messages").await.status, 405);
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_flood_of_posts_loses_nothing_that_was_accepted() {
    let (resources, command) = quiet_producer().await;
    let service = Arc::new(command.start().await);
    service.wait_ready().await;
    let floods: Vec<_> = (0..8)
        .map(|client| {
            let service = service.clone();
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                for n in 0.. {
                    let bodies: Vec<_> = (0..5).map(|part| format!("\"{client}-{n}-{part}\"")).collect();
                    let posted = format!("[{}]", bodies.join(","));
                    match service.try_post("/messages", "application/json", posted).await {
                        Ok(answer) if answer.status == 202 => accepted.extend(bodies),
                        Ok(answer) => {
                            assert_eq!(answer.status, 503, "{answer:?}");
                            break;
                        }
                        Err(_closed) => break,
                    }
                }
                accepted
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait_exit(SOON).await, 0, "{service:?}");
    let mut accepted = Vec::new();
    for flood in floods {
        accepted.extend(flood.await.unwrap());
    }
    assert!(accepted.len() > 50, "{}", accepted.len());
    let [summary] = &service.events("stopped")[..] else { panic!("one summary: {service:?}") };
    assert_eq!(summary.number("abandoned"), Some(0));
    let published = usize::try_from(summary.number("published").unwrap()).unwrap();
    let arrived = resources.queue.drain_until(published, SOON).await;
    Count::of(accepted, arrived.into_iter().map(|message| message.body)).assert_exactly_once();
}
