//! Start, settings, liveness, readiness.

use aws_sdk_sns::error::DisplayErrorContext;
use serde_json::Value;
use upbeat_testkit::{LocalStack, Options, Resources, Service, ServiceCommand, Signal};

use super::{SOON, producer};

#[tokio::test]
async fn by_default_a_message_is_published_every_so_often_and_each_is_logged_with_its_ids() {
    let (resources, command) = producer(Options::default()).await;
    let service = command.env("INTERVAL", "200ms").start().await;
    let published = service.wait_events("published", 5, SOON).await;
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait_exit(SOON).await, 0);
    let published_in_all = service.events("published");
    let arrived = resources.queue.drain_until(published_in_all.len(), SOON).await;
    for (event, sequence) in published.iter().zip(1..) {
        assert_eq!((event.level(), event.text("topic")), ("INFO", &*resources.topic));
        assert!(event.number("ms").is_some() && !event.text("message_id").is_empty());
        let of_event = arrived.iter().find(|message| message.attributes["id"] == event.text("id")).unwrap();
        let body: Value = serde_json::from_str(&of_event.body).unwrap();
        assert_eq!((&body["sequence"], &body["id"]), (&sequence.into(), &event.text("id").into()));
        assert_eq!(event.number("bytes"), i64::try_from(of_event.body.len()).ok());
    }
    let [summary] = &service.events("stopped")[..] else { panic!("one summary: {service:?}") };
    assert_eq!(summary.number("published"), i64::try_from(published_in_all.len()).ok());
    assert_eq!((summary.number("failed"), summary.number("abandoned")), (Some(0), Some(0)));
    assert_eq!(arrived.len(), published_in_all.len());
}

#[tokio::test]
async fn a_topic_that_is_missing_is_waited_for_while_the_process_is_alive_and_not_ready() {
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let name = format!("{}-later", resources.topic);
    let service = Service::producer(localstack).args(["--topic", &name]).start().await;
    service.wait_for("a reason", SOON, |event| event.name() == "not ready").await;
    let ready = service.ready().await;
    assert_eq!(ready.status, 503);
    assert!(ready.json()["reason"].as_str().unwrap().contains(&format!("no topic is named {name}")), "{ready:?}");
    assert_eq!(service.health().await.status, 200);
    assert_eq!(service.post("/messages", "{}").await.status, 503);

    let made = resources.sns.create_topic().name(&name).send().await;
    made.unwrap_or_else(|error| panic!("{}", DisplayErrorContext(&error)));
    service.wait_ready().await;
    service.wait_events("published", 1, SOON).await;
    assert_eq!(service.events("not ready").len(), 1, "a reason is told once: {service:?}");
    assert_eq!(service.health().await.status, 200);
    service.signal(Signal::SIGINT);
    assert_eq!(service.wait_exit(SOON).await, 0);
}

#[tokio::test]
async fn a_stop_before_there_is_a_topic_is_clean_unless_there_were_lines_to_publish() {
    let localstack = LocalStack::shared().await;
    for (source, code) in [("INTERVAL", 0), ("STDIN", 1)] {
        let service = Service::producer(localstack).env("TOPIC", "never-made").env(source, "1").start().await;
        service.wait_for("a reason", SOON, |event| event.name() == "not ready").await;
        service.signal(Signal::SIGTERM);
        assert_eq!(service.wait_exit(SOON).await, code, "{source}");
    }
}

#[tokio::test]
async fn a_setting_that_can_not_be_right_ends_the_process_with_2_and_one_line_that_says_what_would_do() {
    let command = || ServiceCommand::new("producer", "http://127.0.0.1:1");
    for (command, told) in [
        (command().args(["--stdin", "--file", "x"]), ["--stdin", "--file"]),
        (command().env("STDIN", "1").env("INTERVAL", "5s"), ["STDIN", "INTERVAL"]),
        (command().args(["--topic", "a b"]), ["--topic", "ARN"]),
        (command().env("TOPIC", "arn:aws:sqs:us-east-1:000000000000:messages"), ["--topic", "arn:aws:sns:"]),
        (command().args(["--interval", "often"]), ["--interval", "500ms"]),
        (command().args(["--retry-for", "long"]), ["--retry-for", "forever"]),
        (command().args(["--file", "/no/such/file"]), ["--file", "No such file"]),
        (command().env("BUFFER", "1kB"), ["--buffer", "64KiB"]),
        (command().args(["--open", "--token-file", "x"]), ["--open (OPEN)", "--token-file (TOKEN_FILE)"]),
        (command().args(["--token-file", "/no/such/file"]), ["--token-file (TOKEN_FILE)", "No such file"]),
        (command().args(["--spool", "/dev/null/spool"]), ["--spool (SPOOL)", "give a folder"]),
        (command().args(["--spool", "x", "--spool-limit", "1kB"]), ["--spool-limit", "4MiB"]),
        (command().args(["--rate", "0"]), ["--rate", "zero"]),
        (command().args(["--no-such-flag"]), ["--no-such-flag", "unexpected"]),
    ] {
        let service = command.spawn().await;
        assert_eq!(service.wait_exit(SOON).await, 2, "{service:?}");
        let [line] = &service.errors().lines()[..] else { panic!("not one line: {service:?}") };
        assert!(told.iter().all(|told| line.contains(told)), "{line}");
        assert!(service.lines().is_empty(), "{service:?}");
    }
}

#[tokio::test]
async fn the_healthcheck_command_asks_the_process_that_listens_there() {
    let (_resources, command) = producer(Options::default()).await;
    let service = command.start().await;
    let listen = service.wait_listening().await.to_string();
    for (listen, code, told) in [(&*listen, 0, "UP!"), ("127.0.0.1:1", 1, "cannot reach")] {
        let check = ServiceCommand::new("producer", "").env("LISTEN", listen).arg("healthcheck").spawn().await;
        assert_eq!(check.wait_exit(SOON).await, code, "{check:?}");
        let printed = [check.lines(), check.errors().lines()].concat().join("\n");
        assert!(printed.contains(told), "{printed}");
    }
}

#[tokio::test]
async fn help_and_version_are_printed_and_every_setting_has_a_flag_and_a_variable() {
    let version = ServiceCommand::new("producer", "").arg("--version").spawn().await;
    assert_eq!(version.wait_exit(SOON).await, 0);
    assert_eq!(version.lines(), [format!("producer {}", env!("CARGO_PKG_VERSION"))]);
    let help = ServiceCommand::new("producer", "").arg("--help").spawn().await;
    assert_eq!(help.wait_exit(SOON).await, 0);
    let lines = help.lines();
    let flags = lines.iter().filter(|line| line.trim_start().starts_with("--")).count();
    let variables = lines.iter().filter(|line| line.trim_start().starts_with("[env: ")).count();
    assert!(flags >= 13 && flags == variables, "{flags} flags, {variables} variables:\n{}", lines.join("\n"));
}
