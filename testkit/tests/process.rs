//! Services are started, watched, signalled and ended; shell scripts stand in for them here.

use std::time::Duration;

use upbeat_testkit::pids::is_running;
use upbeat_testkit::process::Input;
use upbeat_testkit::{Service, ServiceCommand, Signal};

const LIMIT: Duration = Duration::from_secs(5);

async fn script(text: &str) -> Service {
    command(text).spawn().await
}

fn command(text: &str) -> ServiceCommand {
    ServiceCommand::new("/bin/sh", "http://127.0.0.1:1").args(["-c", text])
}

#[tokio::test]
async fn events_are_read_as_they_come_among_lines_that_are_none() {
    let service = script(
        r#"
        echo '{"level":"INFO","message":"started","listening":"127.0.0.1:4321"}'
        echo '127.0.0.1 - - [01/Jan/2030 00:00:00] "GET /health HTTP/1.1" 200 -'
        echo '{"level":"INFO","message":"received","id":"a","attempt":1}'
        sleep 0.2
        echo '{"level":"INFO","message":"received","id":"b","attempt":2}'
        echo 'oh dear' >&2
        "#,
    )
    .await;
    assert_eq!(service.wait_listening().await.port(), 4321);
    let second = service.wait_for("a second attempt", LIMIT, |event| event.number("attempt") == Some(2)).await;
    assert_eq!((second.name(), second.text("id")), ("received", "b"));
    assert_eq!(service.wait_events("received", 2, LIMIT).await.len(), 2);
    assert_eq!(service.wait_exit(LIMIT).await, 0);
    assert_eq!((service.lines().len(), service.errors().lines()), (4, vec!["oh dear".to_owned()]));
}

#[tokio::test]
async fn the_listening_address_is_read_from_text_logs_too() {
    let service =
        script("echo '2030-01-01T00:00:00Z  INFO consumer started version=0.1.0 listening=127.0.0.1:9'").await;
    assert_eq!(service.wait_listening().await.port(), 9);
}

#[tokio::test]
#[should_panic(expected = "the last thing it said")]
async fn a_wait_in_vain_shows_what_was_printed_last() {
    let service = script("echo 'the last thing it said'").await;
    service.wait_events("received", 1, LIMIT).await;
}

#[tokio::test]
async fn an_exit_code_is_given_and_a_signal_is_128_and_its_number() {
    assert_eq!(script("exit 2").await.wait_exit(LIMIT).await, 2);
    let service = script("exec sleep 1000").await;
    assert!(service.is_running());
    service.signal(Signal::SIGKILL);
    assert_eq!(service.wait_exit(LIMIT).await, 137);
    assert!(!service.is_running());
}

#[tokio::test]
async fn a_stopped_process_goes_on_when_told_to() {
    let service = script("while :; do echo '{\"message\":\"alive\"}'; sleep 0.05; done").await;
    service.wait_events("alive", 1, LIMIT).await;
    service.signal(Signal::SIGSTOP);
    // What was printed before the stop may still arrive.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopped_at = service.events("alive").len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(service.events("alive").len(), stopped_at);
    service.signal(Signal::SIGCONT);
    service.wait_events("alive", stopped_at + 1, LIMIT).await;
    service.signal(Signal::SIGSTOP);
    service.kill().await;
}

#[tokio::test]
async fn a_dropped_service_is_killed() {
    let service = script("exec sleep 1000").await;
    let pid = service.pid();
    assert!(is_running(pid));
    drop(service);
    assert!(!is_running(pid));
}

#[tokio::test]
async fn the_environment_holds_nothing_of_ours_but_the_path() {
    let service = command("env").env("QUEUE", "mine").env_remove("AWS_REGION").spawn().await;
    assert_eq!(service.wait_exit(LIMIT).await, 0);
    let lines = service.lines();
    let mut names: Vec<&str> = lines.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    names.sort_unstable();
    let set_by_the_shell = ["PWD", "OLDPWD", "SHLVL", "_"];
    names.retain(|name| !set_by_the_shell.contains(name));
    let expected = "AWS_ACCESS_KEY_ID AWS_EC2_METADATA_DISABLED AWS_ENDPOINT_URL AWS_SECRET_ACCESS_KEY HOME LISTEN \
                    LOG_FORMAT PATH QUEUE RUST_BACKTRACE";
    assert_eq!(names.join(" "), expected);
}

#[tokio::test]
async fn standard_input_comes_from_the_test_line_by_line_or_from_a_file() {
    let service = command("cat").input(Input::Pipe).spawn().await;
    service.write_line("one");
    service.write_line("two");
    service.close_input();
    assert_eq!(service.wait_exit(LIMIT).await, 0);
    assert_eq!(service.lines(), ["one", "two"]);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "three\n").unwrap();
    let service = command("cat").input(Input::File(file.path().to_owned())).spawn().await;
    assert_eq!(service.wait_exit(LIMIT).await, 0);
    assert_eq!(service.lines(), ["three"]);
}

#[tokio::test]
async fn a_services_cost_is_measured() {
    let service = command("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo '{\"message\":\"done\"}'; read x");
    let service = service.input(Input::Pipe).spawn().await;
    service.wait_events("done", 1, LIMIT).await;
    let usage = service.usage();
    assert!(usage.cpu > Duration::ZERO && usage.resident_peak >= usage.resident, "{usage:?}");
}
