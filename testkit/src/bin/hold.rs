//! Starts a LocalStack and a service, says what runs, and waits to be killed (or for the end of its input): for the tests of the testkit itself.

#![allow(clippy::unwrap_used, reason = "test code")]

use upbeat_testkit::pids::descendants;
use upbeat_testkit::{LocalStack, ServiceCommand};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let localstack = LocalStack::shared().await;
    let service = ServiceCommand::new("/bin/sh", localstack).args(["-c", "exec sleep 1000"]).spawn().await;
    let ended = ServiceCommand::new("/bin/sh", localstack).args(["-c", "exit"]).spawn().await;
    ended.kill().await;
    assert!((0..1000).all(|_| !ended.is_running()));
    let running = descendants(std::process::id());
    assert!(running.contains(&service.pid()), "{running:?} is without {service:?}");
    println!("{}", running.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
