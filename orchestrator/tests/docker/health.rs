//! Containers that run and are ill.

use std::time::Duration;

use upbeat_testkit::eventually;

use super::{Engine, SOON, STEADY};

#[tokio::test]
async fn when_all_are_ill_a_quarter_is_restarted_at_a_time_and_each_three_times_at_most() {
    let Some(engine) = Engine::start(&[]).await else { return };
    let names: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
    let options = ["--health-cmd", "sh -c 'exit 1'", "--health-interval", "2s", "--health-retries", "1"];
    for name in &names {
        engine.run(name, &options, STEADY).await;
    }
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    let mut most = 0;
    eventually("three rounds of restarts", SOON, async || {
        let containers = orchestrator.get("/containers").await.json();
        let containers = containers.as_array().unwrap();
        let doing = containers.iter().filter(|one| one["doing"] == "restart").count();
        most = most.max(doing);
        let restarts: Vec<_> = containers.iter().map(|one| one["restarts"].as_u64().unwrap()).collect();
        assert!(restarts.iter().all(|restarts| *restarts <= 3), "{restarts:?}");
        if restarts.iter().sum::<u64>() >= 6 { Ok(()) } else { Err(format!("{restarts:?}")) }
    })
    .await;
    assert!((1..=2).contains(&most), "{most} of 8 restarted at a time");
}

#[tokio::test]
async fn grave_lines_restart_a_container_and_those_of_before_the_restart_count_no_more() {
    let Some(engine) = Engine::start(&[]).await else { return };
    let script =
        r#"sleep 2; for n in 1 2 3; do echo "level=error msg=\"failed $n\" password=hunter2"; done; sleep 100000"#;
    engine.run("web", &["--stop-signal", "SIGKILL"], script).await;
    let command =
        engine.orchestrator().args(["--restart-on-log", "error", "--log-lines", "3", "--log-cool-down", "1h"]);
    let orchestrator = command.start().await;
    let restarted = orchestrator.wait_events("restarted", 1, SOON).await;
    let why = restarted[0].text("why");
    assert!(why.contains("3 lines at error") && why.contains("failed 3") && !why.contains("hunter2"), "{why}");
    // Its lines come again two seconds after the restart, in the time to cool down.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(orchestrator.events("restarted").len(), 1);
}

#[tokio::test]
async fn a_container_that_does_not_answer_its_probe_is_restarted() {
    let Some(engine) = Engine::start(&[]).await else { return };
    engine.run("web", &[], STEADY).await;
    // Nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let probe = format!("web=http://127.0.0.1:{port}/health");
    let orchestrator = engine.orchestrator().args(["--probe", &probe, "--probe-interval", "500ms"]).start().await;
    let restarted = orchestrator.wait_events("restarted", 1, SOON).await;
    assert!(restarted[0].text("why").contains("cannot be reached"), "{restarted:?}");
}
