//! Traces, from who posts a message to its delete, as a collector gets them.

mod collector;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use upbeat_testkit::{LocalStack, Options, Proxy, Resources, Service, ServiceCommand, Signal, eventually};

use crate::{LIMIT, bodies, consumer, handled};
use collector::{Collector, Span, the, traced};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENDER: &str = "00f067aa0ba902b7";

// The kinds of spans, as OTLP numbers them.
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// Posts as somebody who traces does. Returns the status.
async fn post_traced(producer: &Service, body: &'static str, state: &str) -> u16 {
    let request = Request::post(producer.url("/messages").await).header("content-type", "application/json");
    let request = request.header("traceparent", format!("00-{TRACE}-{SENDER}-01")).header("tracestate", state);
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    client.request(request.body(Full::from(body)).unwrap()).await.unwrap().status().as_u16()
}

/// An endpoint for the http handler that keeps the trace headers of what it gets.
async fn endpoint() -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    type Seen = Arc<Mutex<Vec<(String, String)>>>;
    async fn keep(State(seen): State<Seen>, headers: HeaderMap) {
        let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        seen.lock().unwrap().push((text("traceparent"), text("tracestate")));
    }
    let seen = Seen::default();
    let app = Router::new().route("/", post(keep)).with_state(Arc::clone(&seen));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, seen)
}

#[tokio::test]
async fn one_trace_leads_from_the_post_through_publish_receive_and_the_handlers_request_to_the_delete() {
    for raw in [true, false] {
        let localstack = LocalStack::shared().await;
        let resources = Resources::make(localstack, Options { raw, ..Options::default() }).await;
        let (collector, (endpoint, seen)) = (Collector::start().await, endpoint().await);
        let producer = Service::producer(localstack).args(["--topic", &resources.topic, "--interval", "0"]);
        let producer = collector.watch(producer).start().await;
        let consumer = consumer(localstack, &resources).args(["--http", &endpoint]);
        let consumer = collector.watch(consumer).start().await;
        producer.wait_ready().await;
        assert_eq!(post_traced(&producer, "{}", "vendor=value").await, 202);

        let (topic, queue) = (&resources.topic, &resources.queue.name);
        let names = [
            &*format!("publish {topic}"),
            &*format!("receive {queue}"),
            &*format!("process {queue}"),
            &*format!("delete {queue}"),
        ];
        let spans = collector.wait(&names.map(|name| (name, 1))).await;
        let [publish, receive, process, delete] = names.map(|name| the(&spans, name));
        for (span, service, kind, parent) in [
            (publish, "producer", PRODUCER, SENDER),
            (receive, "consumer", CLIENT, &publish.id),
            (process, "consumer", CONSUMER, &publish.id),
            (delete, "consumer", CLIENT, &process.id),
        ] {
            assert_eq!(
                (&*span.trace, &*span.service, span.kind, &*span.parent),
                (TRACE, service, kind, parent),
                "{span:?}"
            );
            assert!(span.lasted > 0 && !span.failed, "{span:?}");
        }
        assert_eq!((&publish.links, &process.links), (&vec![], &vec![]));
        assert_eq!(receive.links, [publish.place()]);
        assert_eq!(delete.links, [process.place()]);
        assert_eq!(*seen.lock().unwrap(), [(format!("00-{TRACE}-{}-01", process.id), "vendor=value".to_owned())]);

        let published = &producer.wait_events("published", 1, LIMIT).await[0];
        let received = &consumer.wait_events("received", 1, LIMIT).await[0];
        for (span, expected) in [
            (
                publish,
                vec![("messaging.message.id", published.text("message_id")), ("upbeat.id", published.text("id"))],
            ),
            (publish, vec![("messaging.system", "aws.sns"), ("messaging.destination.name", topic)]),
            (publish, vec![("messaging.operation.name", "publish"), ("messaging.operation.type", "send")]),
            (publish, vec![("messaging.message.body.size", "2")]),
            (receive, vec![("messaging.operation.type", "receive"), ("messaging.batch.message_count", "1")]),
            (process, vec![("messaging.system", "aws_sqs"), ("messaging.destination.name", queue)]),
            (
                process,
                vec![("messaging.operation.type", "process"), ("messaging.message.id", received.text("message_id"))],
            ),
            (delete, vec![("messaging.operation.name", "delete"), ("messaging.operation.type", "settle")]),
        ] {
            for (name, value) in expected {
                assert_eq!(span.attributes.get(name).map(String::as_str), Some(value), "{span:?}");
            }
        }
        consumer.wait_events("deleted", 1, LIMIT).await;
        assert_eq!(traced(&producer, "published"), TRACE);
        assert_eq!([traced(&consumer, "received"), traced(&consumer, "deleted")], [TRACE, TRACE]);
    }
}

#[tokio::test]
async fn a_receive_and_a_delete_of_many_messages_are_linked_to_the_spans_of_each() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let collector = Collector::start().await;
    let producer = Service::producer(localstack).args(["--topic", &resources.topic, "--interval", "0"]);
    let producer = collector.watch(producer).start().await;
    producer.wait_ready().await;
    let sent: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(producer.post("/messages", format!("[{}]", sent.join(","))).await.status, 202);
    let consumer = collector.watch(consumer(localstack, &resources)).start().await;
    consumer.wait_events("deleted", sent.len(), LIMIT).await;
    consumer.signal(Signal::SIGTERM);
    assert_eq!(consumer.wait_exit(LIMIT).await, 0);

    let [publish, process] = [format!("publish {}", resources.topic), format!("process {}", resources.queue.name)];
    let spans = collector.wait(&[(&publish, 10), (&process, 10)]).await;
    let places = |name: &str| -> BTreeSet<_> {
        spans.iter().filter(|span| span.name == name).map(collector::Span::place).collect()
    };
    let linked = |name: &str| -> BTreeSet<_> {
        let batches = spans.iter().filter(|span| span.name == format!("{name} {}", resources.queue.name));
        batches
            .inspect(|span| assert_eq!(span.attributes["messaging.batch.message_count"], span.links.len().to_string()))
            .flat_map(|span| span.links.clone())
            .collect()
    };
    assert_eq!(places(&publish).len(), 10);
    assert_eq!(linked("receive"), places(&publish));
    assert_eq!(linked("delete"), places(&process));
    let traces = |name: &str| -> BTreeSet<_> { places(name).into_iter().map(|(trace, _)| trace).collect() };
    assert_eq!(traces(&publish), traces(&process), "each message has a trace of its own, which goes on");
    assert_eq!(traces(&publish).len(), 10);
}

#[tokio::test]
async fn a_trace_survives_the_spool_and_a_crash() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let (collector, spool) = (Collector::start().await, tempfile::tempdir().unwrap());
    let mut proxy = Proxy::to(localstack);
    let producer = || {
        let command = Service::producer(proxy.url()).args(["--topic", &resources.topic, "--interval", "0"]);
        collector.watch(command.arg("--spool").arg(spool.path().to_str().unwrap()))
    };
    let (first, second) = (producer(), producer());
    let first = first.start().await;
    first.wait_ready().await;
    proxy.refuse().await;
    proxy.cut();
    assert_eq!(post_traced(&first, "[1,2]", "").await, 202);
    first.kill().await;
    proxy.pass();
    let second = second.start().await;
    second.wait_events("published", 2, LIMIT).await;
    let consumer = collector.watch(consumer(localstack, &resources)).start().await;
    consumer.wait_events("deleted", 2, LIMIT).await;
    let [publish, process] = [format!("publish {}", resources.topic), format!("process {}", resources.queue.name)];
    let spans = collector.wait(&[(&publish, 2), (&process, 2)]).await;
    let of = |name: &str| spans.iter().filter(|span| span.name == name).cloned().collect::<Vec<_>>();
    let (publish, process) = (of(&publish), of(&process));
    assert!(publish.iter().chain(&process).all(|span| span.trace == TRACE), "{spans:?}");
    let published: BTreeSet<_> = publish.iter().map(|span| &span.id).collect();
    assert_eq!(process.iter().map(|span| &span.parent).collect::<BTreeSet<_>>(), published);
}

#[tokio::test]
async fn of_a_part_of_all_traces_both_services_export_the_same() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let collector = Collector::start().await;
    let part = |service: ServiceCommand| {
        let service = service.env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
        collector.watch(service.env("OTEL_TRACES_SAMPLER_ARG", "0.1"))
    };
    let producer = Service::producer(localstack).args(["--topic", &resources.topic, "--interval", "0"]);
    let (producer, consumer) = (part(producer).start().await, part(consumer(localstack, &resources)).start().await);
    producer.wait_ready().await;
    let sent: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    assert_eq!(producer.post("/messages", format!("[{}]", sent.join(","))).await.status, 202);
    consumer.wait_events("deleted", sent.len(), LIMIT).await;
    for service in [&producer, &consumer] {
        service.signal(Signal::SIGTERM);
        assert_eq!(service.wait_exit(LIMIT).await, 0);
    }
    let traces = |spans: &[Span], name: String| -> BTreeSet<String> {
        spans.iter().filter(|span| span.name == name).map(|span| span.trace.clone()).collect()
    };
    eventually("the same traces of both", LIMIT, async || {
        let spans = collector.wait(&[]).await;
        let published = traces(&spans, format!("publish {}", resources.topic));
        let processed = traces(&spans, format!("process {}", resources.queue.name));
        let some = (1..sent.len() / 2).contains(&published.len());
        if some && published == processed { Ok(()) } else { Err(format!("{published:?} {processed:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_failed_handlers_span_says_so() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let collector = Collector::start().await;
    let consumer = consumer(localstack, &resources).args(["--exec", "echo no luck >&2; exit 1", "--retry-first", "5m"]);
    let _consumer = collector.watch(consumer).start().await;
    resources.queue.send(["a"]).await;
    let process = format!("process {}", resources.queue.name);
    let spans = collector.wait(&[(&process, 1)]).await;
    let span = the(&spans, &process);
    assert!(span.failed && span.parent.is_empty(), "{span:?}");
    assert_eq!(span.attributes["error.type"], "failed");
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_neither_messages_nor_liveness_nor_the_stop() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let mut silent = Proxy::to(localstack);
    silent.black_hole();
    let watched = consumer(localstack, &resources).env("OTEL_EXPORTER_OTLP_ENDPOINT", silent.url());
    let watched = watched.env("OTEL_BSP_SCHEDULE_DELAY", "10").env("OTEL_BSP_MAX_QUEUE_SIZE", "16");
    let consumer = watched.env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8").start().await;
    let sent = bodies(200);
    resources.queue.send(&sent).await;
    consumer.wait_events("deleted", sent.len(), LIMIT).await;
    assert_eq!(consumer.health().await.status, 200);
    assert_eq!(handled(&consumer).len(), sent.len());
    consumer.signal(Signal::SIGTERM);
    // A request to the collector may take 10 s, and is retried; the stop gives it 3.
    assert_eq!(consumer.wait_exit(Duration::from_mins(1)).await, 0);
}

#[tokio::test]
async fn a_protocol_that_is_not_spoken_is_told_and_the_service_works_without_traces() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let consumer = consumer(localstack, &resources).env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
    let consumer = consumer.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").start().await;
    let told = consumer.wait_for("a line that says so", LIMIT, |event| event.name() == "traces are off").await;
    assert!(told.text("reason").contains("http/protobuf"), "{told:?}");
    resources.queue.send(["a"]).await;
    consumer.wait_events("deleted", 1, LIMIT).await;
}
