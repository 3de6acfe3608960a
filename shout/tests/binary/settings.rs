//! Settings that can't be right, and what is told of those that can.

use upbeat_testkit::Service;

use crate::SOON;

#[tokio::test]
async fn a_setting_that_can_not_be_right_ends_the_process_with_one_line_that_says_what_would_do() {
    for (arguments, hint) in [
        (&["--upstream", "localhost:80"][..], "http://127.0.0.1:8080"),
        (&["--upstream", "http://localhost/?a=b"], "without a query"),
        (&["--cache", "disk"], "redis://127.0.0.1:6379"),
        (&["--cache", "http://localhost"], "redis://127.0.0.1:6379"),
        (&["--max-body", "0"], "64MiB"),
        (&["--max-body", "1GiB"], "64MiB"),
        (&["--cache-ttl", "0"], "more than 0"),
        (&["--upstream-tries", "0"], "1..=100"),
        (&["--upstream-concurrency", "0"], "1..=10000"),
        (&["--upstream", "http://localhost", "--upstream-timeout", "20s"], "--deadline (DEADLINE)"),
        (&["--listen", "here"], "--listen"),
    ] {
        let refused = Service::shout().args(arguments.iter().copied()).spawn().await;
        assert_eq!(refused.wait_exit(SOON).await, 2, "{arguments:?}");
        let told = refused.errors().lines();
        assert!(told.len() == 1 && told[0].starts_with("error: ") && told[0].contains(hint), "{told:?}");
    }
    let secret = Service::shout().args(["--cache", "redis://:hunter2@[", "--log-format", "text"]).spawn().await;
    assert_eq!(secret.wait_exit(SOON).await, 2);
}

#[tokio::test]
async fn help_version_and_healthcheck_are_as_every_services() {
    let help = Service::shout().arg("--help").spawn().await;
    assert_eq!(help.wait_exit(SOON).await, 0);
    let text = help.lines().join("\n");
    for wanted in ["--upstream <URL>", "[env: UPSTREAM=]", "[env: CACHE=]", "healthcheck", "--listen"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let version = Service::shout().arg("--version").spawn().await;
    assert_eq!(version.wait_exit(SOON).await, 0);
    assert_eq!(version.lines(), [format!("shout {}", env!("CARGO_PKG_VERSION"))]);

    let service = Service::shout().start().await;
    let address = service.wait_listening().await.to_string();
    let asked = Service::shout().args(["healthcheck", "--listen", &address]).spawn().await;
    assert_eq!(asked.wait_exit(SOON).await, 0);
    assert_eq!(asked.lines(), [r#"{"status":"UP!"}"#]);
    service.kill().await;
    let asked = Service::shout().args(["healthcheck", "--listen", &address]).spawn().await;
    assert_eq!(asked.wait_exit(SOON).await, 1);
}
