//! SNS out of reach, silent, or unheard.

use std::time::{Duration, Instant};

use upbeat_testkit::{Count, LocalStack, Options, Proxy, Resources, Service, ServiceCommand, Signal, Spoil};

use super::SOON;

/// A producer that reaches SNS through a network that can be broken.
async fn behind_a_proxy() -> (Resources, Proxy, ServiceCommand) {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let proxy = Proxy::to(localstack);
    let command = Service::producer(proxy.url()).env("TOPIC", &resources.topic).env("INTERVAL", "0");
    (resources, proxy, command)
}

#[tokio::test]
async fn what_is_posted_in_an_outage_is_published_after_it_and_liveness_holds_all_the_while() {
    let (resources, mut proxy, command) = behind_a_proxy().await;
    let service = command.env("RETRY_FOR", "forever").start().await;
    service.wait_ready().await;
    proxy.refuse().await;
    proxy.cut();
    let (posted, ()) = tokio::join!(service.post("/messages", "[1, 2, 3]"), async {
        service.wait_for("a reason", SOON, |event| event.name() == "not ready").await;
        let ready = service.ready().await;
        assert_eq!(ready.status, 503);
        assert!(ready.body.contains("topic: "), "{ready:?}");
        assert_eq!(service.health().await.status, 200);
        proxy.pass();
    });
    assert_eq!(posted.status, 202, "{posted:?}");
    service.wait_ready().await;
    let arrived = resources.queue.drain_until(3, SOON).await;
    Count::of(["1", "2", "3"], arrived.iter().map(|message| &*message.body)).assert_exactly_once();
    assert_eq!(service.events("not ready").len(), 1, "an outage is told once: {service:?}");
}

#[tokio::test]
async fn when_an_outage_is_longer_than_retries_the_caller_is_told_and_nothing_is_published_later() {
    let (resources, mut proxy, command) = behind_a_proxy().await;
    let service = command.env("RETRY_FOR", "1s").start().await;
    service.wait_ready().await;
    proxy.refuse().await;
    proxy.cut();
    let answer = service.post("/messages", "[1, 2]").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"));
    assert!(
        answer.json()["messages"][1]["error"].as_str().unwrap().starts_with("not published after 1."),
        "{answer:?}"
    );
    proxy.pass();
    assert_eq!(service.post("/messages", "3").await.status, 202, "{service:?}");
    let arrived = resources.queue.drain_until(1, SOON).await;
    assert_eq!(arrived.iter().map(|message| &*message.body).collect::<Vec<_>>(), ["3"]);
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_published_again() {
    let (resources, proxy, command) = behind_a_proxy().await;
    let service = command.start().await;
    service.wait_ready().await;
    proxy.spoil_response_to("Action=PublishBatch", Spoil::Drop);
    let answer = service.post("/messages", "\"once or twice\"").await;
    assert_eq!((answer.status, proxy.spoilt()), (202, 1), "{answer:?}");
    let arrived = resources.queue.drain_until(2, SOON).await;
    let ids: Vec<_> = arrived.iter().map(|message| &message.attributes["id"]).collect();
    assert_eq!((ids.len(), ids[0]), (2, ids[1]), "a consumer can tell it by its id");
}

#[tokio::test]
async fn a_stop_while_sns_is_silent_ends_within_the_drain_timeout_and_says_what_was_abandoned() {
    let (_resources, mut proxy, command) = behind_a_proxy().await;
    let service = command.env("DRAIN_TIMEOUT", "2s").start().await;
    service.wait_ready().await;
    proxy.black_hole();
    let (answer, stopped_within) = tokio::join!(service.post("/messages", "[1, 2, 3]"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        service.signal(Signal::SIGTERM);
        let start = Instant::now();
        assert_eq!(service.wait_exit(SOON).await, 1);
        start.elapsed()
    });
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(stopped_within < Duration::from_secs(12), "{stopped_within:?}");
    let [summary] = &service.events("stopped")[..] else { panic!("one summary: {service:?}") };
    assert_eq!(summary.number("abandoned"), Some(3));
    assert_eq!(service.events("not published").len(), 3, "each is named: {service:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_by_the_call_and_recovered_from() {
    let (resources, mut proxy, command) = behind_a_proxy().await;
    let service = command.env("INTERVAL", "500ms").env("RETRY_FOR", "forever").start().await;
    service.wait_events("published", 1, SOON).await;
    proxy.black_hole();
    let unready = |event: &upbeat_testkit::Event| event.text("reason").contains("no answer within");
    service.wait_for("a call that is given up", SOON, unready).await;
    assert_eq!(service.health().await.status, 200);
    proxy.pass();
    service.wait_ready().await;
    let before = service.events("published").len();
    service.wait_events("published", before + 5, SOON).await;
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait_exit(SOON).await, 0);
    let logged: Vec<_> = service.events("published").iter().map(|event| event.text("id").to_owned()).collect();
    let arrived = resources.queue.drain_until(logged.len(), SOON).await;
    Count::of(logged, arrived.into_iter().map(|message| message.attributes["id"].clone())).assert_nothing_lost();
}
