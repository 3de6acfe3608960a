//! The tools.

use upbeat_testkit::{LocalStack, Options, Resources, ServiceCommand};

use super::{SOON, producer};

/// What a tool printed, and its exit code.
async fn ran(command: ServiceCommand) -> (i32, String) {
    let service = command.spawn().await;
    let code = service.wait_exit(SOON * 2).await;
    let lines: Vec<_> = service.lines().into_iter().chain(service.errors().lines()).collect();
    (code, lines.join("\n"))
}

#[track_caller]
fn assert_line(out: &str, level: &str, parts: &[&str]) {
    let line = out.lines().find(|line| parts.iter().all(|part| line.contains(part)));
    let line = line.unwrap_or_else(|| panic!("no line with {parts:?}: {out}"));
    assert!(line.starts_with(&format!("{level:<4}  ")), "{level}: {line}");
    assert_eq!(level != "ok", line.contains(" → "), "advice where it is needed: {line}");
}

#[tokio::test]
async fn doctor_finds_no_fault_with_what_is_in_order() {
    for fifo in [false, true] {
        let (resources, command) = producer(Options { fifo, ..Options::default() }).await;
        let folder = tempfile::tempdir().unwrap();
        let (code, out) = ran(command.args(["doctor", "--spool", folder.path().to_str().unwrap()])).await;
        assert_eq!(code, 0, "{out}");
        for parts in [
            ["region", "us-east-1"],
            ["credentials", "from environment variables"],
            ["endpoint", "http://"],
            ["clock", "agrees"],
            ["topic", &*resources.topic_arn],
            ["size limit", "256.0 KiB"],
            ["subscriptions", "1"],
            ["spool", "no messages"],
        ] {
            assert_line(&out, "ok", &parts);
        }
        assert_eq!(out.contains("FIFO"), fifo);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "it leaves nothing behind");
    }
}

#[tokio::test]
async fn doctor_tells_each_thing_that_is_wrong() {
    let localstack = LocalStack::shared().await;
    let command =
        |arguments: &[&str]| ServiceCommand::new("producer", localstack).arg("doctor").args(arguments.iter().copied());
    let (code, out) = ran(command(&["--topic", "absent", "--spool", "/no/such/folder"])).await;
    assert_eq!(code, 1, "{out}");
    assert_line(&out, "FAIL", &["topic", "no topic is named absent", "--topic"]);
    assert_line(&out, "FAIL", &["spool", "/no/such/folder", "write to it"]);

    let resources = Resources::make(localstack, Options::default()).await;
    let name = format!("{}-bare", resources.topic);
    resources.sns.create_topic().name(&name).send().await.unwrap();
    let (code, out) = ran(command(&["--topic", &name])).await;
    assert_eq!(code, 0, "{out}");
    assert_line(&out, "warn", &["subscriptions", "none", "subscribe a queue"]);
    assert_line(&out, "warn", &["spool", "none", "--spool"]);

    let nowhere = ServiceCommand::new("producer", "http://127.0.0.1:1").arg("doctor").env_remove("AWS_REGION");
    let (code, out) = ran(nowhere).await;
    assert_eq!(code, 1, "{out}");
    assert_line(&out, "FAIL", &["region", "AWS_REGION"]);
    let (code, out) = ran(ServiceCommand::new("producer", "http://127.0.0.1:1").arg("doctor")).await;
    assert_eq!(code, 1, "{out}");
    assert_line(&out, "FAIL", &["topic", "AWS_ENDPOINT_URL"]);
}
