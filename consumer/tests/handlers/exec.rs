//! The handler that runs a command. In real time: processes know no other.

use std::path::Path;
use std::time::{Duration, Instant};

use upbeat_consumer::handler::Exec;
use upbeat_consumer::message::Attribute;
use upbeat_consumer::queue::memory::{MemoryQueue, NewMessage};
use upbeat_consumer::{Options, Outcome};

use crate::scene::{Running, options, outcome_of, queue, queue_of, until};

async fn outcome(queue: &MemoryQueue, command: &str) -> Outcome {
    outcome_of(queue, options(), Exec::new(command)).await
}

async fn failure(command: &str) -> String {
    match outcome(&queue_of(["x"]), command).await {
        Outcome::Failed { error } => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_exit_code_says_what_becomes_of_the_message() {
    assert_eq!(outcome(&queue_of(["x"]), "exit 0").await, Outcome::Done);
    let rejected = outcome(&queue_of(["x"]), "echo first >&2; echo 'no such order' >&2; exit 65").await;
    let reason = "the command ended with exit status: 65: no such order".to_owned();
    assert_eq!(rejected, Outcome::Reject { reason });
    assert_eq!(failure("exit 75").await, "the command asked for another try by exit status: 75");
    assert_eq!(failure("echo oops >&2; exit 1").await, "the command ended with exit status: 1: oops");
    assert!(failure("kill -9 $$").await.contains("signal: 9"));
    assert!(failure("no-such-command").await.contains("not found"));
}

#[tokio::test]
async fn a_command_that_asks_for_another_try_gets_it_after_a_growing_wait() {
    let queue = queue_of(["x"]);
    let options = Options { retry_first: Duration::from_secs(1), ..options() };
    let started = Instant::now();
    let running = Running::start(&queue, options, Exec::new("[ $MESSAGE_ATTEMPT = 2 ] || exit 75"));
    until("the queue is empty", || queue.is_empty()).await;
    assert!(started.elapsed() > Duration::from_millis(500), "{:?}", started.elapsed());
    assert_eq!(running.stop().await.failed, 1);
}

#[tokio::test]
async fn the_environment_tells_of_the_message_in_names_that_a_shell_can_say() {
    let (queue, folder) = (queue(), tempfile::tempdir().unwrap());
    let message = NewMessage::new("a body")
        .group("seven")
        .attribute("id", Attribute::string("0190"))
        .attribute("content-type", Attribute::string("text/plain"))
        .attribute("a.b", Attribute::string("made so"))
        .attribute("a_b", Attribute::string("$(two) 'words'"))
        .attribute("raw", Attribute::binary([0, 1, 255]));
    queue.send(message).unwrap();
    let names = "$MESSAGE_ID|$MESSAGE_ATTEMPT|$MESSAGE_GROUP|$ATTRIBUTE_content_type|$ATTRIBUTE_a_b|$ATTRIBUTE_raw";
    let told = folder.path().join("told");
    let command = format!("{{ cat; echo \"|{names}\"; }} > {}", told.display());
    assert_eq!(outcome(&queue, &command).await, Outcome::Done);
    assert_eq!(std::fs::read_to_string(told).unwrap(), "a body|0190|1|seven|text/plain|$(two) 'words'|AAH/\n");
}

#[tokio::test]
async fn an_attribute_that_is_too_long_for_the_environment_is_a_failure_that_says_so() {
    let queue = queue();
    queue.send(NewMessage::new("x").attribute("long", Attribute::string("x".repeat(200 << 10)))).unwrap();
    match outcome(&queue, "true").await {
        Outcome::Failed { error } => assert!(error.contains("rgument list too long"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_large_body_is_read_or_not_as_the_command_likes() {
    let large = "x".repeat(1 << 20);
    assert_eq!(outcome(&queue_of([&large]), "[ $(wc -c) = 1048576 ]").await, Outcome::Done);
    assert_eq!(outcome(&queue_of([&large]), "true").await, Outcome::Done);
    assert_eq!(outcome(&queue_of([&large]), "sleep 0.2; head -c 10").await, Outcome::Done);
    assert_eq!(outcome(&queue_of([&large]), "exec <&-; sleep 0.2").await, Outcome::Done);
}

#[tokio::test]
async fn a_command_that_writes_much_is_not_held_up() {
    let much = "cat; head -c 20000000 /dev/zero; yes | head -n 100000 >&2; echo 'last words' >&2; exit 1";
    let error = failure(much).await;
    assert_eq!(error, "the command ended with exit status: 1: last words");
}

#[tokio::test]
async fn what_a_command_leaves_running_is_not_waited_for() {
    let started = Instant::now();
    assert_eq!(outcome(&queue_of(["x"]), "sleep 20 & exit 0").await, Outcome::Done);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

/// Whether a process with this id, from a file that it wrote, is there.
fn runs(file: &Path) -> bool {
    let id = std::fs::read_to_string(file).unwrap();
    std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn when_the_message_is_cancelled_the_command_and_its_children_are_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    // One ends by SIGTERM, one does not care for it, and one is a child of its own.
    for command in [
        format!("echo $$ > {0}/shell; sleep 60 & echo $! > {0}/child; wait", folder.path().display()),
        format!(
            "trap '' TERM; echo $$ > {0}/shell; sleep 60 & echo $! > {0}/child; wait; wait; sleep 60",
            folder.path().display()
        ),
    ] {
        let options = Options { handler_timeout: Duration::from_millis(500), ..options() };
        let queue = queue_of(["x"]);
        let running = Running::start(&queue, options, Exec::new(&command));
        until("it runs", || file("child").exists() && std::fs::read(file("child")).unwrap().ends_with(b"\n")).await;
        assert!(runs(&file("shell")) && runs(&file("child")));
        running.stop.cancel();
        let started = Instant::now();
        until("both are gone", || !runs(&file("shell")) && !runs(&file("child"))).await;
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        running.stop().await;
        std::fs::remove_file(file("child")).unwrap();
    }
}

#[tokio::test]
async fn a_command_that_ends_well_when_asked_to_has_handled_its_message() {
    let queue = queue_of(["x"]);
    let options = Options { handler_timeout: Duration::from_millis(300), ..options() };
    let obedient = Exec::new("trap 'exit 0' TERM; sleep 60 & wait");
    assert_eq!(outcome_of(&queue, options, obedient).await, Outcome::Done);
}
