//! What docs/ORCHESTRATOR.md gives as figures. `make measure-orchestrator` runs it, with the others.
//!
//! Times are the engine's own, of its events.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;
use upbeat_testkit::eventually;

use super::{Engine, SOON};

/// Runs until it is told to stop, or crashes when it is told to.
const STEADY: &str = "trap 'exit 0' TERM; trap 'exit 1' USR1; sleep 100000 & wait";

/// So many of each kind.
const EACH: usize = 20;
const ILL: usize = 10;

/// A crash is given so long to be over.
const APART: Duration = Duration::from_secs(2);

/// So long nothing happens.
const IDLE: Duration = Duration::from_mins(1);

#[tokio::test]
#[ignore = "it measures, for four minutes"]
async fn measure() {
    let Some(engine) = Engine::start(&[]).await else { return };
    let names = |kind: &str, count: usize| (0..count).map(|n| format!("{kind}{n:02}")).collect::<Vec<_>>();
    let (ours, dockers, ill) = (names("ours", EACH), names("dockers", EACH), names("ill", ILL));
    for name in &ours {
        engine.run(name, &[], STEADY).await;
    }
    for name in &dockers {
        engine.run(name, &["--restart", "always"], STEADY).await;
    }
    let check = ["--health-cmd", "sh -c '! test -s /tmp/ill'", "--health-interval", "1s", "--health-retries", "1"];
    for name in &ill {
        engine.run(name, &check, &format!(": >/tmp/ill; {STEADY}")).await;
    }
    let _recorder = engine.record_events();
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    sleep(Duration::from_secs(10)).await;
    let before = orchestrator.usage();
    sleep(IDLE).await;
    let after = orchestrator.usage();
    let share = after.cpu.saturating_sub(before.cpu).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let mebibytes = after.resident / 1024 / 1024;
    println!("idle, {} containers: {share:.2} % of a core, {mebibytes} MiB", EACH * 2 + ILL);

    for (one, other) in ours.iter().zip(&dockers) {
        for name in [one, other] {
            // Docker takes its own kill for somebody's wish, and does not restart after it.
            // It takes what was run in it along, which docker then calls a failure.
            drop(engine.try_docker(&["exec", name, "sh", "-c", "kill -USR1 1"]).await);
            sleep(APART).await;
        }
    }
    for name in &ill {
        engine.docker(&["exec", name, "sh", "-c", "echo x >/tmp/ill"]).await;
        eventually("restart", SOON, async || {
            let restarted = orchestrator.events("restarted");
            if restarted.iter().any(|event| event.text("container") == name) { Ok(()) } else { Err(String::new()) }
        })
        .await;
        sleep(APART).await;
    }
    let version = engine.docker(&["version", "--format", "{{.Server.Version}}"]).await;
    println!("engine {version}");
    let events = std::fs::read_to_string(engine.path("events")).unwrap();
    let events: Vec<Value> = events.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let between = |name: &String, from: &str, to: &str| {
        let of = |event: &&Value| event["Actor"]["Attributes"]["name"] == name.as_str();
        let from = events.iter().filter(of).find(|event| event["status"] == from)?["timeNano"].as_i64()?;
        let later =
            |event: &&Value| event["status"] == to && event["timeNano"].as_i64().is_some_and(|time| time > from);
        let to = events.iter().filter(of).find(later)?["timeNano"].as_i64()?;
        #[expect(clippy::cast_precision_loss, reason = "of seconds")]
        Some((to - from) as f64 / 1e9)
    };
    let told = |what: &str, mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        println!("{what}: p50 {:.2} s, p95 {:.2} s, of {}", at(50), at(95), times.len());
    };
    told("crashed to running, ours", ours.iter().filter_map(|name| between(name, "die", "start")).collect());
    told("crashed to running, Docker's", dockers.iter().filter_map(|name| between(name, "die", "start")).collect());
    let unhealthy = "health_status: unhealthy";
    told("unhealthy to restart issued", ill.iter().filter_map(|name| between(name, unhealthy, "kill")).collect());
}
