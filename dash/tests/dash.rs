//! The terminal view of real services, and of what they might say.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use std::time::{Duration, SystemTime};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use upbeat_dash::view::draw;
use upbeat_dash::watched::Watched;
use upbeat_testkit::{LocalStack, Options, Resources, Service, ServiceCommand, Signal};

const LIMIT: Duration = Duration::from_mins(2);

fn dash(addresses: impl IntoIterator<Item = String>) -> ServiceCommand {
    ServiceCommand::new("dash", "").args(addresses)
}

/// What a terminal of this size shows.
fn shown(services: &[Watched], columns: u16, rows: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, services, false)).unwrap();
    terminal.backend().to_string()
}

fn consumer_says(consumed: u32, ready: u8) -> String {
    format!(
        "upbeat_build_info{{service=\"consumer\",version=\"1.2.3\"}} 1\nupbeat_healthy 1\nupbeat_ready {ready}\n\
         messaging_client_consumed_messages_total {consumed}\nsqs_dlq_messages 3\n\
         consumer_handler_outcomes_total{{outcome=\"panicked\"}} 7\n"
    )
}

#[test]
fn a_service_is_shown_with_its_state_its_figures_and_its_failures_at_any_size() {
    let now = SystemTime::now();
    let (consumer, unknown) = (watched("localhost:1"), watched("localhost:2"));
    consumer.known().take(now, &consumer_says(100, 1)).unwrap();
    consumer.known().take(now + Duration::from_secs(2), &consumer_says(200, 0)).unwrap();
    let services = [consumer, unknown];
    let wide = shown(&services, 160, 48);
    for wanted in
        ["consumer 1.2.3", "not ready", "received 50/s", "in the queue 3", "7 × handler: panicked", "not asked yet"]
    {
        assert!(wide.contains(wanted), "{wanted}: {wide}");
    }
    for (columns, rows) in [(1, 1), (10, 3), (38, 200), (80, 24), (300, 5)] {
        shown(&services, columns, rows);
    }
    let error = services[1].known().take(now, "up 1\n").unwrap_err();
    assert!(error.to_string().contains("no service of Upbeat"), "{error}");
}

#[test]
fn every_metric_that_is_shown_is_one_that_there_is() {
    let documented = include_str!("../../docs/METRICS.md");
    for board in [&upbeat_producer::BOARD, &upbeat_consumer::BOARD] {
        let shown = board.series().map(|series| (series.metric, series.only.map(|(label, _)| label)));
        let failures = board.failures.iter().map(|failure| (failure.metric, Some(failure.label)));
        for (metric, label) in shown.chain(failures) {
            let row = documented.lines().find(|line| line.starts_with(&format!("| `{metric}` |")));
            let row = row.unwrap_or_else(|| panic!("{metric} is not in docs/METRICS.md"));
            assert!(label.is_none_or(|label| row.contains(label)), "{metric} has no label {label:?}: {row}");
        }
    }
}

#[tokio::test]
async fn the_figures_of_real_services_are_printed_once_and_who_does_not_answer_is_named() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let producer =
        Service::producer(localstack).args(["--topic", &resources.topic, "--interval", "50ms"]).start().await;
    let consumer = Service::consumer(localstack).args(["--queue", &resources.queue.name]).start().await;
    consumer.wait_events("deleted", 20, LIMIT).await;
    let addresses = [producer.wait_listening().await.to_string(), consumer.wait_listening().await.to_string()];

    let once = dash(addresses.clone()).args(["--once", "--interval", "1s"]).spawn().await;
    assert_eq!(once.wait_exit(LIMIT).await, 0, "{once:?}");
    let lines = once.lines();
    for (name, address) in ["producer", "consumer"].iter().zip(&addresses) {
        assert!(
            lines.iter().any(|line| line.starts_with(name) && line.contains(address) && line.ends_with("ready=true"))
        );
    }
    // Each metric that a board names is there.
    let figures =
        |label: &str| lines.iter().find(|line| line.contains(label)).unwrap_or_else(|| panic!("{label}: {lines:?}"));
    for label in
        ["Messages: accepted", "Messages: published", "Messages: received", "Messages: deleted", "p99", "handling"]
    {
        assert!(!figures(label).ends_with('–'), "{lines:?}");
    }

    producer.signal(Signal::SIGTERM);
    producer.wait_exit(LIMIT).await;
    let once = dash(addresses.clone()).args(["--once", "--interval", "100ms"]).spawn().await;
    assert_eq!(once.wait_exit(LIMIT).await, 1);
    assert!(once.errors().tail(9).contains(&addresses[0]), "{once:?}");
}

#[tokio::test]
async fn without_a_terminal_it_says_what_would_do() {
    let dash = dash([]).spawn().await;
    assert_eq!(dash.wait_exit(LIMIT).await, 2);
    assert!(dash.errors().tail(9).contains("--once"), "{dash:?}");
}

fn watched(address: &str) -> Watched {
    Watched::new(format!("http://{address}/metrics").parse().unwrap())
}
