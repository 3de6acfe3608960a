//! `/metrics` of both services, under work.

use std::collections::{BTreeMap, BTreeSet};

use upbeat_testkit::http::Response;
use upbeat_testkit::{LocalStack, Options, Proxy, Resources, Service, eventually};

use crate::{LIMIT, consumer};

/// What stands on every series of a queue or a topic.
const DESTINATION: [&str; 2] = ["messaging_destination_name", "messaging_system"];

/// What is said of a family: its type, and the labels of its series.
type Family = (String, BTreeSet<String>);

/// The families of a scrape in Prometheus' text form.
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        if let Some((known, kind)) = line.strip_prefix("# TYPE ").and_then(|about| about.split_once(' ')) {
            name = known;
            let earlier = families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
            assert!(earlier.is_none(), "{name} comes twice");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(name), "{line} does not belong to {name}");
            let labels = line.split_once('{').map_or("", |(_, labels)| labels.split_once("} ").unwrap().0);
            let labels = labels.split("\",").filter_map(|label| label.split_once("=\""));
            let (_, known) = families.get_mut(name).unwrap();
            known.extend(labels.map(|(label, _)| label.to_owned()).filter(|label| label != "le"));
        }
    }
    families
}

/// The families that stand under one heading of the table in docs/METRICS.md, and under the first, common one.
fn documented(heading: &str) -> BTreeMap<String, Family> {
    let sections = include_str!("../../../docs/METRICS.md").split("\n## ");
    let sections = sections.filter(|section| section.starts_with("Both\n") || section.starts_with(heading));
    let rows = sections.flat_map(|section| section.lines().filter(|line| line.starts_with("| `")));
    let rows = rows.map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let name = cells.next().unwrap().trim_matches('`').to_owned();
        let kind = cells.next().unwrap().to_owned();
        let labels = cells.next().unwrap().split(", ").map(|label| label.trim_matches('`').to_owned());
        let mut labels: BTreeSet<_> = labels.filter(|label| !label.is_empty()).collect();
        let without = ["process_", "upbeat_", "aws_requests", "producer_http_requests"];
        if !without.iter().any(|prefix| name.starts_with(prefix)) {
            labels.extend(DESTINATION.map(str::to_owned));
        }
        (name, (kind, labels))
    });
    rows.collect()
}

async fn scrape(service: &Service) -> Response {
    let answer = service.get("/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// The sum of all series of this name that have all of these labels.
fn sum(scrape: &Response, name: &str, labels: &[&str]) -> u64 {
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let lines = scrape.body.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.trim_end_matches(".0").parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn the_table_in_the_docs_is_what_the_services_say_under_work_with_names_types_and_labels() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let spool = tempfile::tempdir().unwrap();
    let consumer = consumer(localstack, &resources).args(["--queue-metrics-interval", "100ms"]).start().await;
    let producer = Service::producer(localstack).args(["--topic", &resources.topic, "--interval", "50ms"]);
    let producer = producer.arg("--spool").arg(spool.path().to_str().unwrap()).start().await;
    consumer.wait_events("deleted", 5, LIMIT).await;
    for (service, heading) in [(&consumer, "The consumer\n"), (&producer, "The producer\n")] {
        let documented = documented(heading);
        assert!(documented.len() > 15, "{documented:?}");
        // How deep the queue is is known after a moment.
        eventually("all families", LIMIT, async || {
            let seen = families(&scrape(service).await.body);
            let differ = |name: &&String| seen.get(*name) != documented.get(*name);
            let names: BTreeSet<_> = seen.keys().chain(documented.keys()).filter(differ).collect();
            let told = names.iter().map(|name| format!("{name}: {:?}, {:?}", seen.get(*name), documented.get(*name)));
            if names.is_empty() { Ok(()) } else { Err(told.collect::<Vec<_>>().join("; ")) }
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_done_is_what_was_counted() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let fail_on_poison = r#"read -r body; [ "$body" != '"poison"' ]"#;
    let consumer = consumer(localstack, &resources).args(["--exec", fail_on_poison, "--retry-longest", "1s"]);
    let consumer = consumer.args(["--wait-time", "2s", "--queue-metrics-interval", "200ms"]).start().await;
    let producer = Service::producer(localstack).args(["--topic", &resources.topic, "--interval", "0"]).start().await;
    producer.wait_ready().await;
    let accepted = producer.post("/messages", r#"["one", "two", "three", "poison"]"#).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert_eq!(producer.post("/messages", "no JSON").await.status, 400);

    let sent = scrape(&producer).await;
    assert_eq!(sum(&sent, "producer_accepted_messages_total", &[]), 4);
    assert_eq!(sum(&sent, "messaging_client_sent_messages_total", &[r#"error_type="""#]), 4);
    assert_eq!(sum(&sent, "messaging_client_sent_messages_total", &[]), 4);
    assert_eq!(sum(&sent, "producer_batch_messages_sum", &[]), 4);
    assert_eq!(sum(&sent, "producer_http_requests_total", &[r#"code="202""#]), 1);
    assert_eq!(sum(&sent, "producer_http_requests_total", &[r#"code="400""#]), 1);
    assert_eq!(sum(&sent, "producer_buffer_messages", &[]), 0);

    // The poison is received five times, and then in the dead-letter queue when it is to be received again.
    eventually("the counts of all of it", LIMIT, async || {
        let seen = scrape(&consumer).await;
        let facts = [
            ("consumed", sum(&seen, "messaging_client_consumed_messages_total", &[]), 8),
            ("receive counts", sum(&seen, "sqs_receive_count_sum", &[]), 3 + 15),
            ("done", sum(&seen, "consumer_handler_outcomes_total", &[r#"outcome="done""#]), 3),
            ("failed", sum(&seen, "consumer_handler_outcomes_total", &[r#"outcome="failed""#]), 5),
            ("failed tries", sum(&seen, "messaging_process_duration_seconds_count", &[r#"error_type="failed""#]), 5),
            ("deletes", sum(&seen, "sqs_deletes_total", &[r#"outcome="ok""#]), 3),
            ("handled", sum(&seen, "consumer_settled_messages_total", &[r#"outcome="handled""#]), 3),
            ("released", sum(&seen, "consumer_settled_messages_total", &[r#"outcome="released""#]), 5),
            ("in flight", sum(&seen, "sqs_in_flight_messages", &[]), 0),
            ("dead letters", sum(&seen, "sqs_dlq_messages", &[]), 1),
        ];
        let wrong: Vec<_> = facts.iter().filter(|(_, seen, expected)| seen != expected).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?}")) }
    })
    .await;
}

#[tokio::test]
async fn in_an_outage_the_scrape_says_so_and_liveness_does_not() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let mut proxy = Proxy::to(localstack);
    let consumer = consumer(proxy.url(), &resources);
    let consumer = consumer.args(["--wait-time", "1s", "--queue-metrics-interval", "100ms"]).start().await;
    consumer.wait_ready().await;
    let depth_known = async |known: bool| {
        let what = format!("a scrape in which the queue's depth is {}known", if known { "" } else { "un" });
        eventually(&what, LIMIT, async || match scrape(&consumer).await {
            seen if seen.body.contains("sqs_queue_messages{") == known => Ok(seen),
            seen => Err(seen.body),
        })
        .await
    };
    depth_known(true).await;
    proxy.refuse().await;
    proxy.cut();
    depth_known(false).await;
    eventually("a scrape that tells of the outage", LIMIT, async || {
        let seen = scrape(&consumer).await;
        let failed = sum(&seen, "aws_requests_total", &[r#"operation="ReceiveMessage""#, r#"outcome="unavailable""#]);
        let (ready, healthy) = (sum(&seen, "upbeat_ready", &[]), sum(&seen, "upbeat_healthy", &[]));
        if failed > 0 && ready == 0 && healthy == 1 { Ok(()) } else { Err(seen.body) }
    })
    .await;
    proxy.pass();
    depth_known(true).await;
}
