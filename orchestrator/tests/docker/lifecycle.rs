//! What may run, and what must.

use std::time::Duration;

use serde_json::{Value, json};
use upbeat_testkit::eventually;

use super::{Engine, SOON, STEADY};

const SECRET: &str = "hunter2hunter2";

#[tokio::test]
async fn originals_that_end_or_are_taken_away_come_back_as_they_were_and_newcomers_are_stopped() {
    let Some(engine) = Engine::start(&[]).await else { return };
    let password = format!("PASSWORD={SECRET}");
    let options = ["--env", password.as_str(), "--label", "role=web", "--volume", "/data", "--memory", "64m"];
    engine.run("web", &options, STEADY).await;
    engine.run("db", &[], STEADY).await;
    let before = engine.inspect("web").await;
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;

    engine.docker(&["kill", "db"]).await;
    orchestrator.wait_events("started", 1, SOON).await;
    engine.wait_running(&["db", "web"]).await;

    engine.run("newcomer", &[], STEADY).await;
    let stopped = orchestrator.wait_events("stopped", 1, SOON).await;
    assert_eq!(stopped[0].text("container"), "newcomer");

    engine.docker(&["rm", "--force", "web"]).await;
    orchestrator.wait_events("created", 1, SOON).await;
    engine.wait_running(&["db", "web"]).await;
    let after = engine.inspect("web").await;
    assert_ne!(before["Id"], after["Id"]);
    for kept in ["/Config/Env", "/Config/Cmd", "/Config/Image", "/HostConfig/Memory", "/HostConfig/NetworkMode"] {
        assert_eq!(before.pointer(kept).unwrap(), after.pointer(kept).unwrap(), "{kept}");
    }
    assert_eq!(after["Config"]["Labels"]["role"], "web");
    assert_eq!(before["Mounts"][0]["Name"], after["Mounts"][0]["Name"], "the volume is the same");

    for path in ["/", "/containers", "/v1/plan", "/v1/snapshot", "/metrics", "/ui", "/openapi.json"] {
        let answer = orchestrator.get(path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.body.contains(SECRET), "{answer:?}");
    }
    assert!(orchestrator.lines().iter().all(|line| !line.contains(SECRET)), "{orchestrator:?}");
    let inventory = orchestrator.get("/").await.json();
    let names: Vec<_> = inventory.as_array().unwrap().iter().map(|row| row["Names"].as_str().unwrap()).collect();
    assert_eq!(names, ["db", "web"]);
    let snapshot = orchestrator.get("/v1/snapshot").await.json();
    assert_eq!(snapshot["containers"]["web"]["environment"], json!(["PASSWORD"]));
}

#[tokio::test]
async fn the_last_lines_that_a_container_printed_are_told_of_both_its_outputs_and_after_its_end() {
    let Some(engine) = Engine::start(&[]).await else { return };
    engine.run("web", &[], "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); echo $i; done").await;
    let orchestrator = engine.watcher().start().await;
    orchestrator.wait_ready().await;
    let last = async |path: &str| {
        let answer = orchestrator.get(path).await;
        if answer.status == 200 && answer.body.ends_with("20000\n") {
            Ok(answer.body)
        } else {
            Err(answer.status.to_string())
        }
    };
    eventually("all of it", SOON, async || last("/v1/logs/web").await.map(drop)).await;
    assert_eq!(last("/v1/logs/web?tail=2").await, Ok("19999\n20000\n".to_owned()));
    assert_eq!(last("/v1/logs/web?tail=10000").await.unwrap().lines().next(), Some("10001"));
    assert_eq!(orchestrator.get("/v1/logs/none").await.status, 404);
    engine.run("words", &[], "echo one; echo two >&2").await;
    let words = async || {
        let body = orchestrator.get("/v1/logs/words").await.body;
        let mut words: Vec<_> = body.lines().map(ToOwned::to_owned).collect();
        words.sort();
        if words == ["one", "two"] { Ok(()) } else { Err(body) }
    };
    eventually("both outputs", SOON, words).await;
}

#[tokio::test]
async fn a_container_on_networks_of_its_own_comes_back_on_all_of_them_by_its_names_there() {
    let Some(engine) = Engine::start(&[]).await else { return };
    for network in ["front", "back"] {
        engine.docker(&["network", "create", network]).await;
    }
    engine
        .docker(&[
            "create",
            "--name",
            "web",
            "--network",
            "front",
            "--network-alias",
            "www",
            super::IMAGE,
            "sh",
            "-c",
            STEADY,
        ])
        .await;
    engine.docker(&["network", "connect", "--alias", "api", "back", "web"]).await;
    engine.docker(&["start", "web"]).await;
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    engine.docker(&["rm", "--force", "web"]).await;
    orchestrator.wait_events("created", 1, SOON).await;
    let found = engine.inspect("web").await;
    let networks = &found["NetworkSettings"]["Networks"];
    for (network, alias) in [("front", "www"), ("back", "api")] {
        let aliases = networks[network]["Aliases"].as_array().unwrap_or_else(|| panic!("{network}: {networks}"));
        assert!(aliases.contains(&json!(alias)), "{aliases:?}");
    }
}

#[tokio::test]
async fn without_enforce_it_is_said_what_would_be_done_and_nothing_is() {
    let Some(engine) = Engine::start(&[]).await else { return };
    engine.run("web", &[], STEADY).await;
    let watcher = engine.watcher().start().await;
    watcher.wait_ready().await;
    engine.docker(&["kill", "web"]).await;
    engine.run("newcomer", &[], STEADY).await;
    let would = |what: &'static str, name: &'static str| {
        let (watcher, message) = (&watcher, format!("would {what}"));
        async move {
            watcher.wait_for(&message, SOON, |event| event.name() == message && event.text("container") == name).await
        }
    };
    would("stop", "newcomer").await;
    let start = would("start", "web").await;
    assert!(start.text("why").contains("137"), "{start:?}");
    assert_eq!(engine.running().await, ["newcomer"]);

    let plan = engine.watcher().arg("plan").spawn().await;
    assert_eq!(plan.wait_exit(SOON).await, 3, "{plan:?}");
    let lines = plan.lines();
    assert!(lines[0].starts_with("newcomer: stop: ") && lines[1].starts_with("web: start: "), "{lines:?}");
    assert_eq!(engine.running().await, ["newcomer"]);
}

#[tokio::test]
async fn under_an_allow_list_what_is_not_on_it_is_stopped_until_it_is_put_there_and_a_restart_keeps_that() {
    let Some(engine) = Engine::start(&[]).await else { return };
    for name in ["web", "other", "broker"] {
        engine.run(name, &[], STEADY).await;
    }
    let command = engine.orchestrator().args(["--allow", "web", "--protect", "broker"]);
    let orchestrator = command.start().await;
    orchestrator.wait_ready().await;
    engine.wait_running(&["broker", "web"]).await;
    let standing = async |name: &str| {
        let containers = orchestrator.get("/containers").await.json();
        let found = containers.as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
        found.map_or(Value::Null, |found| found["standing"].clone())
    };
    assert_eq!(standing("web").await, "allowed");
    assert_eq!(standing("broker").await, "protected");
    assert_eq!(standing("other").await, "unlisted");

    let url = orchestrator.url("/v1/allow").await;
    let put =
        upbeat_testkit::http::request("PUT", &url, "application/json", r#"{"allow": ["web", "other"]}"#.into()).await;
    assert_eq!(put.unwrap().status, 200);
    engine.docker(&["start", "other"]).await;
    assert_eq!(standing("other").await, "allowed");
    orchestrator.kill().await;
    let orchestrator = command.start().await;
    orchestrator.wait_ready().await;
    assert_eq!(orchestrator.get("/v1/allow").await.json(), json!({"allow": ["web", "other"]}));
    assert_eq!(engine.running().await, ["broker", "other", "web"]);
}

#[tokio::test]
async fn what_is_held_stays_down_over_a_restart_and_comes_back_when_it_is_released() {
    let Some(engine) = Engine::start(&[]).await else { return };
    engine.run("web", &[], STEADY).await;
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    let hold = orchestrator.post("/v1/containers/web/hold", r#"{"reason": "maintenance"}"#).await;
    assert_eq!(hold.status, 200, "{hold:?}");
    engine.docker(&["stop", "web"]).await;
    orchestrator.kill().await;
    let orchestrator = engine.orchestrator().start().await;
    let down = orchestrator.wait_for("down", SOON, |event| event.name() == "down").await;
    assert!(down.text("why").ends_with("but it is held"), "{down:?}");
    assert!(engine.running().await.is_empty());
    let url = orchestrator.url("/v1/containers/web/hold").await;
    let delete = async || upbeat_testkit::http::request("DELETE", &url, "", "".into()).await.unwrap().status;
    assert_eq!(delete().await, 204);
    engine.wait_running(&["web"]).await;
    assert_eq!(delete().await, 404);
    let taken = orchestrator.post("/v1/snapshot", "{}").await;
    assert_eq!((taken.status, taken.json()), (200, json!({"containers": 1})));
}

#[tokio::test]
async fn what_happens_is_streamed_as_it_happens() {
    let Some(engine) = Engine::start(&[]).await else { return };
    engine.run("web", &[], STEADY).await;
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    let mut listener = tokio::process::Command::new("curl")
        .args(["--silent", "--no-buffer", &orchestrator.url("/v1/events").await])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(listener.stdout.take().unwrap()));
    let mut next = async || tokio::time::timeout(SOON, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(next().await.starts_with(':'));
    engine.docker(&["kill", "web"]).await;
    let mut seen = Vec::new();
    while !seen.iter().any(|line: &String| line == "event: started") {
        seen.push(next().await);
    }
    assert!(seen.contains(&"event: down".to_owned()), "{seen:?}");
    eventually("the counter", Duration::from_secs(30), async || {
        let metrics = orchestrator.get("/metrics").await.body;
        let counted = metrics.contains(r#"orchestrator_actions_total{action="start",outcome="ok"} 1"#);
        if counted { Ok(()) } else { Err(metrics) }
    })
    .await;
}
