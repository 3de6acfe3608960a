//! The HTTP interface against its own description.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;
use upbeat_testkit::Service;

use crate::metric;

/// The tool is installed once; then it takes seconds.
const LIMIT: Duration = Duration::from_mins(10);

#[tokio::test]
async fn whatever_is_sent_is_answered_as_described_and_never_by_a_5xx() {
    let service = Service::shout().start().await;
    service.wait_ready().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/schemathesis");
    let run =
        Command::new(script).arg(service.url("/openapi.json").await).stdin(Stdio::null()).kill_on_drop(true).output();
    let run = timeout(LIMIT, run).await.unwrap().unwrap();
    let [out, errors] = [&run.stdout, &run.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(run.status.success(), "{out}\n{errors}");
    // It did send texts, and what is none.
    for code in ["200", "400", "422"] {
        assert!(metric(&service, "shout_http_requests_total", &[&format!("\"{code}\"")]).await > 0, "{code}: {out}");
    }
    assert_eq!(service.health().await.status, 200);
}
