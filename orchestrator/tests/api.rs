//! The HTTP interface, and the binary without an engine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use upbeat_orchestrator::allow::AllowList;
use upbeat_orchestrator::control::{Control, Options, Shared};
use upbeat_orchestrator::credentials::{Credentials, Role, new_token};
use upbeat_orchestrator::desired::Protected;
use upbeat_orchestrator::http::{Access, Gateway, Guard, routes};
use upbeat_orchestrator::readers::Readers;
use upbeat_orchestrator::runtime::simulator::{Behaviour, Faults, Simulator};
use upbeat_orchestrator::store::memory::MemoryStore;
use upbeat_orchestrator::watch::watch;
use upbeat_service::{Health, Readiness};
use upbeat_testkit::{Service, ServiceCommand};

const SOON: Duration = Duration::from_secs(30);

/// The tool is installed once; then it takes seconds.
const INSTALLED_WITHIN: Duration = Duration::from_mins(10);

/// An orchestrator of a simulated engine that runs these, and what is asked.
struct Scene {
    engine: Simulator,
    store: MemoryStore,
    shared: Shared,
    routes: Router,
}

async fn scene(allow: Option<&[&str]>) -> Scene {
    let (engine, store) = (Simulator::new(), MemoryStore::default());
    for name in ["db", "web"] {
        engine.run(name, Behaviour::default());
    }
    let allow = allow.map(|list| AllowList::parse(list.iter().copied()).unwrap());
    let resync = Duration::from_secs(30);
    let options =
        Options { enforce: true, allow: allow.clone(), assigned: None, protected: Protected::default(), resync };
    let runtime = Arc::new(engine.clone());
    let control = Control::new(options, runtime.clone(), Arc::new(store.clone()), Readers::default());
    let shared = control.shared();
    let access = Access::new(false, None, "127.0.0.1:0".parse().unwrap()).unwrap();
    let stop = CancellationToken::new();
    let guard = Guard::new(access, Arc::new(store.clone()));
    let gateway = Gateway::new(guard, shared.clone(), Arc::new(store.clone()), allow, runtime.clone(), stop.clone());
    tokio::spawn(watch(runtime, Arc::clone(&shared.marks), Health::default()));
    tokio::spawn(control.run(Health::default(), stop));
    let mut picture = shared.picture.clone();
    let seen = picture.wait_for(|picture| picture.seen);
    drop(tokio::time::timeout(SOON, seen).await.unwrap().unwrap());
    Scene { engine, store, shared, routes: routes(gateway) }
}

impl Scene {
    async fn ask(&self, method: &str, path: &str, body: Option<&str>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Body::from(body.unwrap_or_default().to_owned())).unwrap();
        json_of(self.routes.clone().oneshot(request).await.unwrap()).await
    }
}

async fn json_of(answer: Response<Body>) -> (StatusCode, Value) {
    let status = answer.status();
    let content_type = answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    if !status.is_success() {
        assert_eq!(content_type.as_deref(), Some("application/problem+json"), "{body:?}");
    }
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_is_refused_by_its_status_and_says_why() {
    let scene = scene(None).await;
    let hold = "/v1/containers/web/hold";
    let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(1001));
    let huge = format!(r#"{{"reason": "{}"}}"#, "x".repeat(300 * 1024));
    for (method, path, body, expected) in [
        ("GET", "/nothing", None, 404),
        ("DELETE", "/containers", None, 405),
        ("POST", hold, None, 415),
        ("POST", hold, Some("{"), 400),
        ("POST", hold, Some("[]"), 422),
        ("POST", hold, Some(r#"{"reasons": "x"}"#), 422),
        ("POST", hold, Some(long.as_str()), 422),
        ("POST", hold, Some(huge.as_str()), 413),
        ("POST", "/v1/containers/a%20b/hold", Some("{}"), 422),
        ("DELETE", hold, None, 404),
        ("GET", "/v1/allow", None, 404),
        ("PUT", "/v1/allow", Some(r#"{"allow": ["web"]}"#), 409),
        ("PUT", "/v1/allow", Some(r#"{"allow": ["a b"]}"#), 422),
        ("POST", "/v1/snapshot", Some("[]"), 422),
    ] {
        let (status, problem) = scene.ask(method, path, body).await;
        assert_eq!((status.as_u16(), &problem["status"]), (expected, &expected.into()), "{method} {path}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    }
    let allowing = self::scene(Some(&["web"])).await;
    assert_eq!(allowing.ask("GET", "/v1/snapshot", None).await.0, 404);
    assert_eq!(allowing.ask("POST", "/v1/snapshot", Some("{}")).await.0, 409);
    assert_eq!(allowing.ask("PUT", "/v1/allow", Some(r#"{"allow": []}"#)).await.0, 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(allowing.engine.running().is_empty(), "nothing may run");
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_is_answered_counts_and_one_that_can_not_be_kept_is_503() {
    let scene = scene(None).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(scene.ask("POST", "/v1/containers/web/hold", Some(r#"{"reason": "x"}"#)).await.0, 200);
    assert!(scene.shared.picture.borrow().desired.held.contains("web"));
    scene.engine.kill("web");
    tokio::time::sleep(Duration::from_mins(2)).await;
    let (_, containers) = scene.ask("GET", "/containers", None).await;
    assert_eq!((&containers[1]["hold"]["reason"], &containers[1]["state"]), (&"x".into(), &"exited".into()));
    scene.store.set_broken(true);
    assert_eq!(scene.ask("POST", "/v1/containers/db/hold", Some("{}")).await.0, 503);
    assert_eq!(scene.ask("DELETE", "/v1/containers/web/hold", None).await.0, 503);
    assert_eq!(scene.ask("POST", "/v1/snapshot", Some("{}")).await.0, 503);
    assert_eq!(scene.ask("GET", "/", None).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn the_last_lines_that_a_container_printed_are_told_as_they_are() {
    let scene = scene(None).await;
    for line in ["one", "two <b>", "three"] {
        scene.engine.print("web", line);
    }
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = scene.routes.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        answer.into_body().collect().await.unwrap().to_bytes()
    };
    assert_eq!(get("/v1/logs/web").await, "one\ntwo <b>\nthree\n");
    assert_eq!(get("/v1/logs/web?tail=2").await, "two <b>\nthree\n");
    assert_eq!(get("/v1/logs/db").await, "");
    for (path, status) in [("none", 404), ("a%20b", 422), ("web?tail=0", 400), ("web?tail=x", 400)] {
        assert_eq!(scene.ask("GET", &format!("/v1/logs/{path}"), None).await.0, status, "{path}");
    }
    scene.engine.set_faults(Faults { hangs: true, ..Faults::default() });
    assert_eq!(scene.ask("GET", "/v1/logs/web", None).await.0, 503);
}

#[tokio::test]
async fn whatever_is_sent_is_answered_as_described_and_never_by_a_5xx() {
    let scene = scene(None).await;
    // One of the tokens that it has made itself would else be the one that it had needed.
    let (token, kept) = new_token("first", Role::Admin, 1).unwrap();
    scene.store.keep_token(&kept).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (health, readiness) = (Health::default(), Readiness::default());
    tokio::spawn(upbeat_service::http::serve(listener, health, readiness, scene.routes, CancellationToken::new()));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/schemathesis");
    let mut run = tokio::process::Command::new(script);
    // A stream of events has no end.
    run.arg(format!("http://{address}/openapi.json")).args(["--exclude-path", "/v1/events"]);
    run.args(["--header", &format!("Authorization: Bearer {token}")]);
    let run = run.stdin(Stdio::null()).kill_on_drop(true).output();
    let run = tokio::time::timeout(INSTALLED_WITHIN, run).await.unwrap().unwrap();
    let [out, errors] = [&run.stdout, &run.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(run.status.success(), "{out}\n{errors}");
    assert!(!scene.shared.picture.borrow().holds.is_empty(), "some of it was good");
}

/// The binary, with an engine that is not there.
fn lonely(folder: &tempfile::TempDir) -> ServiceCommand {
    let path = folder.path().display();
    ServiceCommand::new("orchestrator", "")
        .env("DOCKER_HOST", format!("unix://{path}/none.sock"))
        .env("STATE", format!("{path}/state"))
}

#[tokio::test]
async fn without_an_engine_it_is_alive_and_not_ready_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let orchestrator = lonely(&folder).arg("--enforce").start().await;
    orchestrator.wait_for("the reason", SOON, |event| event.text("reason").contains("none.sock")).await;
    let ready = orchestrator.ready().await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("none.sock"), "{ready:?}");
    assert_eq!(orchestrator.health().await.status, 200);
    for path in ["/", "/containers", "/v1/plan", "/v1/snapshot"] {
        let answer = orchestrator.get(path).await;
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (503, "application/problem+json"));
    }
    let plan = lonely(&folder).arg("plan").spawn().await;
    assert_eq!(plan.wait_exit(SOON).await, 1);
    assert!(plan.errors().lines().concat().contains("none.sock"), "{plan:?}");
    orchestrator.signal(upbeat_testkit::Signal::SIGTERM);
    assert_eq!(orchestrator.wait_exit(SOON).await, 0);
}

#[tokio::test]
async fn beyond_loopback_it_does_not_listen_until_somebody_says_who_may_ask() {
    let folder = tempfile::tempdir().unwrap();
    let refused = lonely(&folder).env("LISTEN", "0.0.0.0:0").spawn().await;
    assert_eq!(refused.wait_exit(SOON).await, 2);
    assert!(refused.errors().lines().concat().contains("--public-status"), "{refused:?}");

    let public = lonely(&folder).env("LISTEN", "0.0.0.0:0").arg("--public-status").start().await;
    assert_eq!(public.get("/v1/plan").await.status, 503, "read, though there is nothing to read");
    assert_eq!(public.post("/v1/containers/web/hold", "{}").await.status, 403);
    assert_eq!(public.get("/v1/logs/web").await.status, 403, "what is printed is not for all");

    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "0123456789abcdef").unwrap();
    let tokens = tokens.display().to_string();
    let refused = lonely(&folder).env("LISTEN", "0.0.0.0:0").env("TOKEN_FILE", tokens.clone()).spawn().await;
    assert_eq!(refused.wait_exit(SOON).await, 2, "a token is not for all to read on its way");
    assert!(refused.errors().lines().concat().contains("--tls-listen"), "{refused:?}");

    let guarded = lonely(&folder).env("TOKEN_FILE", tokens).start().await;
    let answer = guarded.post("/v1/containers/web/hold", "{}").await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.headers["www-authenticate"].starts_with("Bearer"));
}

#[tokio::test]
async fn the_metrics_are_those_of_the_docs_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let names = async |orchestrator: &Service| -> BTreeSet<String> {
        let text = orchestrator.get("/metrics").await.body;
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE orchestrator_"));
        types.map(|line| format!("orchestrator_{}", line.split(' ').next().unwrap())).collect()
    };
    let documented = |docs: &str| -> BTreeSet<String> {
        let rows = docs.lines().filter_map(|line| line.strip_prefix("| `orchestrator_"));
        rows.map(|row| format!("orchestrator_{}", row.split('`').next().unwrap())).collect()
    };
    let orchestrator = lonely(&folder).start().await;
    assert_eq!(names(&orchestrator).await, documented(include_str!("../../docs/ORCHESTRATOR.md")));
    orchestrator.signal(upbeat_testkit::Signal::SIGTERM);
    assert_eq!(orchestrator.wait_exit(SOON).await, 0);

    let state = folder.path().join("server").display().to_string();
    let server = ServiceCommand::new("orchestrator", "").arg("server").env("STATE", state).start().await;
    let documented = documented(include_str!("../../docs/CLUSTER.md"));
    // Gauges are there once they have been set.
    upbeat_testkit::eventually("all of them", SOON, async || {
        let names = names(&server).await;
        if names == documented { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_route_is_described() {
    let scene = scene(None).await;
    let (_, described) = scene.ask("GET", "/openapi.json", None).await;
    let paths: Vec<_> = described["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "/",
        "/containers",
        "/health",
        "/openapi.json",
        "/ready",
        "/v1/allow",
        "/v1/containers/{name}/hold",
        "/v1/events",
        "/v1/logs/{name}",
        "/v1/plan",
        "/v1/snapshot",
        "/v1/tokens",
        "/v1/tokens/{name}",
    ];
    assert_eq!(paths, expected);
}
