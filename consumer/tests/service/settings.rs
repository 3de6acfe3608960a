//! Settings that can't be right.

use std::process::{Command, Output};

use upbeat_testkit::process::binary;

/// Arguments, environment, and what the refusal must say.
type Case = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str);

async fn refusal(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary("consumer").await);
    command.args(arguments).env_clear().envs(environment.iter().copied()).output().unwrap()
}

#[tokio::test]
async fn a_setting_that_can_not_be_right_ends_the_process_with_one_line_that_says_what_would_do() {
    let cases: [Case; 12] = [
        (&["--queue", "no spaces please"], &[], "name"),
        (&["--wait-time", "21s"], &[], "20s"),
        (&["--drain-timeout", "soon"], &[], "20s"),
        (&["--listen", "here"], &[], "--listen"),
        (&["--poll-grace", "40s"], &[], "--drain-timeout"),
        (&["--log-format", "xml"], &[], "text, json"),
        (&["--exec", "true"], &[("HANDLER", "log")], "--handler log"),
        (&["--http", "http://localhost"], &[("EXEC", "true")], "--exec and --http"),
        (&["--http", "localhost:80"], &[], "http://127.0.0.1:8080/messages"),
        (&["--http", "http://localhost", "--handler-timeout", "5s"], &[], "--http-timeout"),
        (&[], &[("CONCURRENCY", "many")], "--concurrency"),
        (&[], &[("RUST_LOG", "a=b=c")], "RUST_LOG"),
    ];
    for (arguments, environment, hint) in cases {
        let refused = refusal(arguments, environment).await;
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.starts_with("error: ") && told.contains(hint), "{arguments:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[tokio::test]
async fn help_and_version_are_told_on_standard_output() {
    let help = refusal(&["--help"], &[]).await;
    let text = String::from_utf8(help.stdout).unwrap();
    assert_eq!(help.status.code(), Some(0));
    for setting in [
        "--queue",
        "--handler <HANDLER>",
        "[env: HTTP=]",
        "--concurrency",
        "[env: QUEUE=]",
        "healthcheck",
        "AWS_ENDPOINT_URL",
    ] {
        assert!(text.contains(setting), "{setting}: {text}");
    }
    let version = refusal(&["--version"], &[]).await;
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("consumer {}\n", env!("CARGO_PKG_VERSION")));
}
