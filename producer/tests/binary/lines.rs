//! Lines of standard input and of files.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use upbeat_testkit::process::Input;
use upbeat_testkit::{Count, LocalStack, Options, Proxy, Resources, Service, Signal};

use super::{SOON, producer};

#[tokio::test]
async fn every_line_of_standard_input_arrives_and_the_process_ends_with_0_and_a_summary() {
    let (resources, command) = producer(Options::default()).await;
    let service = command.arg("--stdin").input(Input::Pipe).start().await;
    let sent: Vec<_> = (0..500).map(|n| format!("{{\"line\":{n},\"text\":\"ä {}\"}}", "x".repeat(n % 97))).collect();
    for line in &sent {
        service.write_line(line);
        service.write_line(" ");
    }
    service.close_input();
    assert_eq!(service.wait_exit(SOON).await, 0);
    let [summary] = &service.events("stopped")[..] else { panic!("one summary: {service:?}") };
    let number = |field| summary.number(field).unwrap();
    assert_eq!((number("lines"), number("blank"), number("published"), number("failed")), (1000, 500, 500, 0));
    let arrived = resources.queue.drain_until(500, SOON).await;
    Count::of(sent, arrived.into_iter().map(|message| message.body)).assert_exactly_once();
}

#[tokio::test]
async fn lines_of_a_file_that_can_not_be_published_are_named_and_the_others_arrive() {
    let (resources, command) = producer(Options::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    let too_long = vec![b'x'; 300_000];
    let lines = [&b"one"[..], b"not \xff UTF-8", &too_long, b"", b"bell \x07", b"six"];
    fs::write(&file, lines.join(&b'\n')).unwrap();
    let service = command.args(["--file", file.to_str().unwrap()]).spawn().await;
    assert_eq!(service.wait_exit(SOON).await, 1);
    let failed = service.events("line not published");
    let reasons: BTreeMap<_, _> =
        failed.iter().map(|event| (event.number("line").unwrap(), event.text("error"))).collect();
    assert_eq!(reasons.keys().copied().collect::<Vec<_>>(), [2, 3, 5], "{reasons:?}");
    assert!(reasons[&2].contains("UTF-8") && reasons[&3].contains("262144") && reasons[&5].contains("character"));
    let arrived = resources.queue.drain_until(2, SOON).await;
    Count::of(["one", "six"], arrived.iter().map(|message| &*message.body)).assert_exactly_once();
}

#[tokio::test]
async fn a_terminal_shows_how_far_a_file_has_come_and_a_log_that_is_no_terminal_gets_none_of_it() {
    let (_resources, command) = producer(Options::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    fs::write(&file, "a line\n".repeat(300) + "bell \x07\n").unwrap();
    let service = command.args(["--file", file.to_str().unwrap()]).errors_on_terminal().spawn().await;
    assert_eq!(service.wait_exit(SOON).await, 1);
    let shown = service.errors().tail(usize::MAX);
    let last = shown.rsplit(['\r', '\n']).find(|line| line.contains("done")).expect("a bar");
    assert!(last.contains("300 done, ") && last.contains("/s, 1 failed"), "{last:?}");
    assert!(last.contains("2.06 KiB of 2.06 KiB"), "{last:?}");
    assert!(service.lines().iter().all(|line| line.starts_with('{')), "{service:?}");
}

#[tokio::test]
async fn a_stop_in_the_middle_publishes_what_was_read_and_says_that_there_was_more() {
    let (resources, command) = producer(Options::default()).await;
    let service = command.arg("--stdin").input(Input::Pipe).start().await;
    for n in 0..50 {
        service.write_line(&n.to_string());
    }
    service.wait_events("published", 50, SOON).await;
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait_exit(SOON).await, 1);
    assert_eq!(service.events("stopped")[0].0["complete"], false);
    assert_eq!(resources.queue.drain_until(50, SOON).await.len(), 50);
}

#[tokio::test]
async fn lines_to_a_fifo_topic_arrive_in_their_order() {
    let (resources, command) = producer(Options { fifo: true, ..Options::default() }).await;
    let service = command.arg("--stdin").input(Input::Pipe).start().await;
    for n in 0..60 {
        service.write_line(&format!("line {n}"));
    }
    service.close_input();
    assert_eq!(service.wait_exit(SOON).await, 0);
    let arrived = resources.queue.drain_until(60, SOON).await;
    let arrived: Vec<_> = arrived.into_iter().map(|message| message.body).collect();
    assert_eq!(arrived, (0..60).map(|n| format!("line {n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stop_while_the_buffer_is_full_ends_in_time_and_every_line_that_was_read_is_accounted_for() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let mut proxy = Proxy::to(localstack);
    let command = Service::producer(proxy.url()).env("TOPIC", &resources.topic).env("BUFFER", "64KiB");
    let service = command.env("DRAIN_TIMEOUT", "2s").arg("--stdin").input(Input::Pipe).start().await;
    service.wait_ready().await;
    proxy.black_hole();
    // Many more than the buffer has room for, and fewer than fill the pipe.
    for n in 0..500 {
        service.write_line(&n.to_string());
    }
    // The calls that are under way take what they take; the rest waits.
    tokio::time::sleep(Duration::from_secs(2)).await;
    service.signal(Signal::SIGTERM);
    let stopped = Instant::now();
    assert_eq!(service.wait_exit(SOON).await, 1, "{service:?}");
    assert!(stopped.elapsed() < SOON / 2, "{:?}", stopped.elapsed());
    let [summary] = &service.events("stopped")[..] else { panic!("one summary: {service:?}") };
    let number = |field| summary.number(field).unwrap();
    assert!((1..100).contains(&number("lines")), "no more is read than there is room for: {summary:?}");
    assert_eq!((number("lines_failed"), number("published")), (number("lines"), 0), "{summary:?}");
    assert!(number("abandoned") >= number("lines") - 1, "the last one was waiting for room: {summary:?}");
    assert_eq!(service.events("line not published").len(), usize::try_from(number("lines")).unwrap());
    assert_eq!(summary.0["complete"], false);
}
