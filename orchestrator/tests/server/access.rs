//! Who may ask what of a server, route by route, as its own description has them.

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use upbeat_orchestrator::credentials::Role;
use upbeat_service::{Health, Readiness};

use super::{From, Scene, scene};

/// Whoever has the right token may use it, and the service's own are for all.
const OPEN: [&str; 5] = ["/health", "/ready", "/openapi.json", "/v1/join", "/v1/join/renew"];

/// Every route that takes a token.
async fn guarded(scene: &Scene) -> Vec<(String, String)> {
    let described = scene.ask("GET", "/openapi.json", None).await.json;
    let paths = described["paths"].as_object().unwrap().iter();
    let paths = paths.filter(|(path, _)| !OPEN.contains(&path.as_str()));
    let of = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        let path = path.replace("{name}", "nothing");
        methods.into_iter().map(move |method| (method, path.clone()))
    };
    paths.flat_map(of).collect()
}

/// The least role that may.
fn needed(method: &str, path: &str) -> Role {
    let is_of_admin = path.starts_with("/v1/tokens")
        || path == "/v1/join-tokens"
        || (method == "POST" && path == "/v1/nodes")
        || (method == "DELETE" && path == "/v1/nodes/nothing");
    match method {
        _ if is_of_admin => Role::Admin,
        "GET" => Role::Read,
        _ => Role::Write,
    }
}

#[tokio::test(start_paused = true)]
async fn every_route_is_for_who_has_a_token_of_its_role() {
    let scene = scene(&[]).await;
    let peer = scene.peer("n");
    let mut tokens = Vec::new();
    for role in [Role::Read, Role::Write, Role::Admin] {
        tokens.push((role, scene.token(role).await));
    }
    let routes = guarded(&scene).await;
    assert!(routes.len() > 20, "{routes:?}");
    for (method, path) in routes {
        let ask = async |token| scene.ask_as(From::Afar(token), &method, &path, &[], None).await.status;
        assert_eq!(ask(None).await, 401, "{method} {path}");
        assert_eq!(ask(Some("0123456789abcdef")).await, 401, "{method} {path}");
        assert_eq!(
            scene.ask_as(From::Node(&peer), &method, &path, &[], None).await.status,
            401,
            "a node is no client: {method} {path}"
        );
        for (role, token) in &tokens {
            if path == "/v1/events" {
                // It has no end; what it says is another test's.
                continue;
            }
            let status = ask(Some(token.as_str())).await;
            if *role < needed(&method, &path) {
                assert_eq!(status, 403, "{role} {method} {path}");
            } else {
                assert!(![401, 403].contains(&status) && status < 500, "{role} {method} {path}: {status}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_route_is_described_those_of_joining_too() {
    let scene = scene(&[]).await;
    let described = scene.ask("GET", "/openapi.json", None).await.json;
    let paths: Vec<_> = described["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "/",
        "/create",
        "/health",
        "/openapi.json",
        "/ready",
        "/status",
        "/v1/events",
        "/v1/join",
        "/v1/join-tokens",
        "/v1/join/renew",
        "/v1/logs/{name}",
        "/v1/nodes",
        "/v1/nodes/{name}",
        "/v1/nodes/{name}/cordon",
        "/v1/nodes/{name}/drain",
        "/v1/nodes/{name}/uncordon",
        "/v1/plan",
        "/v1/replicas",
        "/v1/services",
        "/v1/services/{name}",
        "/v1/services/{name}/hold",
        "/v1/services/{name}/restart",
        "/v1/services/{name}/scale",
        "/v1/tokens",
        "/v1/tokens/{name}",
    ];
    assert_eq!(paths, expected);
    let docs = include_str!("../../../docs/CLUSTER.md");
    for path in paths.iter().filter(|path| path.len() > 1 && !["/health", "/ready"].contains(path)) {
        assert!(docs.contains(&format!(" {path}")) || docs.contains(&format!("`{path}`")), "{path} is not in the docs");
    }
    let refusal = |status: &str| &described["paths"]["/v1/join"]["post"]["responses"][status]["description"];
    assert_eq!(refusal("413"), "too large");
    assert_eq!(refusal("401"), "the token does not count, or not any more", "what is special is said");
}

#[tokio::test]
async fn whatever_is_sent_to_a_server_is_answered_as_described_and_never_by_a_5xx() {
    let scene = scene(&["n1"]).await;
    let token = scene.token(Role::Admin).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (health, readiness) = (Health::default(), Readiness::default());
    let serving =
        upbeat_service::http::serve(listener, health, readiness, scene.routes.clone(), CancellationToken::new());
    tokio::spawn(serving);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/schemathesis");
    let mut run = tokio::process::Command::new(script);
    // A stream of events has no end.
    run.arg(format!("http://{address}/openapi.json")).args(["--exclude-path", "/v1/events"]);
    run.args(["--header", &format!("Authorization: Bearer {token}")]);
    let run = run.stdin(std::process::Stdio::null()).kill_on_drop(true).output();
    // The tool is installed once; then it takes seconds.
    let run = tokio::time::timeout(std::time::Duration::from_mins(10), run).await.unwrap().unwrap();
    let [out, errors] = [&run.stdout, &run.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(run.status.success(), "{out}\n{errors}");
    let placed = scene.server.read(|view| view.cluster.epoch).await.unwrap();
    assert!(placed > 0, "some of it was good");
}
