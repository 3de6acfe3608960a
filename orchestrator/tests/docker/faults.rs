//! Crashes: of the orchestrator, of the engine, of everything that runs on it, and of the disk.

use std::fs;
use std::time::Duration;

use upbeat_testkit::eventually;

use super::{Engine, IMAGE, SOON, STEADY};

#[tokio::test]
async fn killed_between_create_and_start_the_next_one_adopts_what_is_there() {
    let Some(engine) = Engine::start(&[]).await else { return };
    engine.run("web", &[], STEADY).await;
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    let snapshot = eventually("a snapshot", SOON, async || match orchestrator.get("/v1/snapshot").await {
        answer if answer.status == 200 => Ok(answer.json()),
        answer => Err(answer.body),
    })
    .await;
    orchestrator.kill().await;
    engine.docker(&["rm", "--force", "web"]).await;
    // What is there after a kill between the two.
    let label = format!("io.upbeat.orchestrator.spec={}", snapshot["containers"]["web"]["hash"].as_str().unwrap());
    let create = ["create", "--name", "web", "--network", "none", "--label", &label, IMAGE, "sh", "-c", STEADY];
    let id = engine.docker(&create).await;

    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_events("started", 1, SOON).await;
    assert_eq!(engine.docker(&["ps", "--all", "--quiet", "--no-trunc"]).await, id, "the same one, and no other");
    assert!(orchestrator.events("created").is_empty());
}

#[tokio::test]
async fn killed_again_and_again_while_it_creates_there_is_one_container_of_each_name_in_the_end() {
    let Some(engine) = Engine::start(&[]).await else { return };
    for name in ["app", "db", "web"] {
        engine.run(name, &[], STEADY).await;
    }
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    engine.docker(&["rm", "--force", "app", "db", "web"]).await;
    let mut orchestrator = Some(orchestrator);
    for round in 0..4_u64 {
        if let Some(running) = orchestrator.take() {
            // Around the time at which it creates them, five seconds after they are gone.
            tokio::time::sleep(Duration::from_millis(4950 + round * 60)).await;
            running.kill().await;
        }
        orchestrator = Some(engine.orchestrator().start().await);
        if engine.docker(&["ps", "--all", "--quiet"]).await.lines().count() == 3 {
            break;
        }
    }
    engine.wait_running(&["app", "db", "web"]).await;
    assert_eq!(engine.docker(&["ps", "--all", "--quiet"]).await.lines().count(), 3);
}

#[tokio::test]
async fn after_a_crash_of_the_engine_all_originals_are_started_again() {
    let Some(mut engine) = Engine::start(&[]).await else { return };
    for name in ["app", "db", "web"] {
        engine.run(name, &[], STEADY).await;
    }
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    engine.crash().await;
    engine.wait_running(&["app", "db", "web"]).await;
    orchestrator.wait_events("started", 3, SOON).await;
    orchestrator.wait_ready_within(SOON).await;
}

#[tokio::test]
async fn with_live_restore_a_crash_of_the_engine_restarts_nothing() {
    let Some(mut engine) = Engine::start(&["--live-restore"]).await else { return };
    engine.run("web", &[], STEADY).await;
    let orchestrator = engine.orchestrator().arg("--resync").arg("2s").start().await;
    orchestrator.wait_ready().await;
    let before = engine.inspect("web").await;
    engine.crash().await;
    let answers_again = |event: &upbeat_testkit::Event| event.name() == "the engine answers";
    let mut times = 0;
    orchestrator
        .wait_for("second connection", SOON, |event| {
            times += usize::from(answers_again(event));
            times == 2
        })
        .await;
    // It is still looked after.
    engine.run("newcomer", &[], STEADY).await;
    orchestrator.wait_events("stopped", 1, SOON).await;
    let after = engine.inspect("web").await;
    assert_eq!(before["State"]["StartedAt"], after["State"]["StartedAt"]);
    assert!(orchestrator.events("started").is_empty(), "{orchestrator:?}");
}

#[tokio::test]
async fn many_that_die_at_once_are_all_running_again_each_started_once() {
    const MANY: usize = 40;
    let Some(engine) = Engine::start(&[]).await else { return };
    let names: Vec<String> = (0..MANY).map(|n| format!("c{n:02}")).collect();
    for some in names.chunks(4) {
        futures_util::future::join_all(some.iter().map(|name| engine.run(name, &[], STEADY))).await;
    }
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    // Those that have not run for ten seconds would wait for one.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut kill = vec!["kill"];
    kill.extend(names.iter().map(String::as_str));
    engine.docker(&kill).await;
    orchestrator.wait_events("started", MANY, SOON).await;
    engine.wait_running(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(orchestrator.events("started").len(), MANY);
}

#[tokio::test]
async fn a_crash_loop_is_slowed_down_step_by_step() {
    let Some(engine) = Engine::start(&[]).await else { return };
    engine.run("web", &[], "sleep 3; exit 7").await;
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    let downs = orchestrator.wait_events("down", 4, SOON).await;
    for (down, expected) in downs.iter().zip([1.0, 2.0, 4.0, 8.0]) {
        let why = down.text("why");
        assert!(why.starts_with("ended with 7"), "{why}");
        let wait: f64 = why.split("due in ").nth(1).unwrap().trim_end_matches(" s").parse().unwrap();
        assert!((expected * 0.74..=expected * 1.26).contains(&wait), "{why}, and not about {expected}");
    }
    assert_eq!(orchestrator.events("started").len(), 3, "no start before its time");
}

#[tokio::test]
async fn a_damaged_store_stops_nothing_answers_writes_with_503_and_a_good_one_is_taken_up_again() {
    let Some(engine) = Engine::start(&[]).await else { return };
    engine.run("web", &[], STEADY).await;
    let orchestrator = engine.orchestrator().start().await;
    orchestrator.wait_ready().await;
    eventually("a snapshot", SOON, async || match orchestrator.get("/v1/snapshot").await.status {
        200 => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    orchestrator.signal(upbeat_testkit::Signal::SIGTERM);
    assert_eq!(orchestrator.wait_exit(SOON).await, 0);
    let (file, good) = (engine.path("state/orchestrator.sqlite"), engine.path("good"));
    fs::copy(&file, &good).unwrap();
    fs::write(&file, "x".repeat(8192)).unwrap();
    engine.run("newcomer", &[], STEADY).await;

    let orchestrator = engine.orchestrator().start().await;
    let unready = orchestrator.wait_for("a reason", SOON, |event| event.text("condition") == "store").await;
    assert!(unready.text("reason").contains("the store does not work"), "{unready:?}");
    let hold = orchestrator.post("/v1/containers/web/hold", "{}").await;
    assert_eq!(hold.status, 503, "{hold:?}");
    assert!(hold.headers.contains_key("retry-after"));
    let plan = eventually("a plan", SOON, async || match orchestrator.get("/v1/plan").await {
        answer if answer.status == 200 => Ok(answer.json()),
        answer => Err(answer.body),
    })
    .await;
    assert_eq!((&plan["mode"], &plan["steps"]), (&"unknown".into(), &serde_json::json!([])));
    assert_eq!(orchestrator.health().await.status, 200);
    assert_eq!(engine.running().await, ["newcomer", "web"]);

    fs::copy(&good, &file).unwrap();
    engine.wait_running(&["web"]).await;
    orchestrator.wait_ready_within(SOON).await;
}

#[tokio::test]
async fn on_a_full_disk_writes_are_answered_with_503_and_containers_are_kept_all_the_same() {
    let Some(engine) = Engine::start(&[]).await else { return };
    engine.run("web", &[], STEADY).await;
    // Its folder is a disk of its own, of a quarter of a megabyte, which only it sees.
    let state = engine.path("state");
    fs::create_dir(&state).unwrap();
    let script = r#"mount -t tmpfs -o size=256k tmpfs "$STATE" && exec "$0" "$@""#;
    let binary = env!("CARGO_BIN_EXE_orchestrator");
    let mounted = upbeat_testkit::ServiceCommand::new("/usr/bin/unshare", "")
        .args(["--mount", "sh", "-c", script, binary, "--enforce"])
        .env("DOCKER_HOST", engine.address())
        .env("STATE", state.display().to_string());
    let orchestrator = mounted.start().await;
    orchestrator.wait_ready().await;
    let filler = format!("/proc/{}/root{}/filler", orchestrator.pid(), state.display());
    let mut size = 0;
    for block in [64 * 1024, 4096] {
        while fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&filler)
            .and_then(|mut file| std::io::Write::write_all(&mut file, &vec![0; block]))
            .is_ok()
        {
            size += block;
        }
    }
    assert!(size > 0);
    let reason = "x".repeat(900);
    let hold = async |name: &str| {
        let body = format!(r#"{{"reason": "{reason}"}}"#);
        orchestrator.post(&format!("/v1/containers/{name}/hold"), body).await
    };
    // What is written fits into what is written already, for a while.
    let mut refused = None;
    for n in 0..200 {
        let answer = hold(&format!("c{n}")).await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    engine.docker(&["kill", "web"]).await;
    orchestrator.wait_events("started", 1, SOON).await;
    engine.wait_running(&["web"]).await;
    fs::remove_file(&filler).unwrap();
    assert_eq!(hold("later").await.status, 200, "{orchestrator:?}");
}
