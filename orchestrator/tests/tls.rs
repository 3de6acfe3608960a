//! The secure door: real TLS over loopback, roles, and how a host becomes a node. What a node is refused, and why.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use upbeat_orchestrator::ask::Servers;
use upbeat_orchestrator::credentials::{Credentials, first_token};
use upbeat_orchestrator::http::{Access, Guard, join};
use upbeat_orchestrator::join::{Identity, Ticket, join as join_as, renew};
use upbeat_orchestrator::pki::Authority;
use upbeat_orchestrator::store::memory::MemoryStore;
use upbeat_orchestrator::tls::listener::{TlsListener, serve};
use upbeat_orchestrator::tls::{Files, server};
use upbeat_testkit::ServiceCommand;

const SOON: Duration = Duration::from_mins(1);

/// A server with its authority, its store, and where it is.
struct Scene {
    folder: TempDir,
    authority: Arc<Authority>,
    store: MemoryStore,
    address: String,
    stop: CancellationToken,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn scene(others: Option<&Files>) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::open(folder.path()).unwrap());
    let store = MemoryStore::default();
    first_token(&store, folder.path(), 1).await.unwrap();
    let access = Access::new(false, None, "127.0.0.1:0".parse().unwrap()).unwrap();
    let guard = Guard::new(access, Arc::new(store.clone()));
    let routes = guard.clone().routes().merge(join::routes(guard, Arc::clone(&authority)));
    let config = server(Arc::clone(&authority), Vec::new(), others).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = TlsListener::new(listener, config).unwrap();
    let address = listener.address().to_string();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, routes, stop.clone()));
    Scene { folder, authority, store, address, stop }
}

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that trusts this authority, and shows nothing.
fn trusting(authority: CertificateDer<'static>) -> Https {
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let tls = ClientConfig::builder_with_provider(default_provider().into()).with_safe_default_protocol_versions();
    let mut tls = tls.unwrap().with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    Client::builder(TokioExecutor::new()).build(HttpsConnector::from((tcp, tls)))
}

/// The status, and the answer.
async fn ask(client: &Https, to: &str, method: &str, token: Option<&str>, body: Option<Value>) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(format!("https://{to}"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let answer = tokio::time::timeout(SOON, client.request(request.body(Full::from(body)).unwrap())).await;
    let answer = answer.unwrap().unwrap();
    let status = answer.status().as_u16();
    let is_problem = answer.headers().get("content-type").is_some_and(|kind| kind == "application/problem+json");
    assert_eq!(is_problem, status >= 400, "{status}");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

impl Scene {
    fn admin(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("admin-token")).unwrap().trim().to_owned()
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> (u16, Value) {
        let client = trusting(self.authority.certificate().clone());
        ask(&client, &format!("{}{path}", self.address), method, token, body).await
    }

    async fn ticket(&self, wanted: Value) -> Ticket {
        let (status, made) = self.ask("POST", "/v1/join-tokens", Some(&self.admin()), Some(wanted)).await;
        assert_eq!(status, 201, "{made}");
        Ticket::parse(made["token"].as_str().unwrap()).unwrap()
    }

    async fn join(&self, ticket: &Ticket, name: &str, folder: &Path) -> Result<Identity, String> {
        join_as(&Servers::new(vec![self.url()]), ticket, name, folder).await.map_err(|error| format!("{error:#}"))
    }
}

#[tokio::test]
async fn a_host_joins_once_with_its_token_and_is_a_node_by_its_certificate_from_then_on() {
    let scene = scene(None).await;
    let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ticket = scene.ticket(json!({"capacity": 7, "labels": {"disk": "ssd"}})).await;
    let identity = scene.join(&ticket, "n-1", one.path()).await.unwrap();
    let member = scene.store.member("n-1").await.unwrap().unwrap();
    assert_eq!((member.admitted.capacity, member.admitted.labels["disk"].as_str()), (Some(7), "ssd"));
    for file in ["node-key.pem", "node.pem"] {
        let mode = std::fs::metadata(one.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }

    let why = scene.join(&ticket, "n-2", two.path()).await.unwrap_err();
    assert!(why.contains("409") && why.contains("used"), "{why}");
    assert!(scene.store.member("n-2").await.unwrap().is_none());
    // The answer may have been lost: the same key asks again.
    scene.join(&ticket, "n-1", one.path()).await.unwrap();

    let loaded = Identity::load(one.path()).unwrap().unwrap();
    assert_eq!((loaded.name.as_str(), identity.name.as_str()), ("n-1", "n-1"));
    let next = renew(&Servers::new(vec![scene.url()]), &loaded, one.path()).await.unwrap();
    assert_eq!(next.name, "n-1");
    scene.store.forget_member("n-1").await.unwrap();
    let why = format!("{:#}", renew(&Servers::new(vec![scene.url()]), &next, one.path()).await.unwrap_err());
    assert!(why.contains("403") && why.contains("taken out"), "{why}");
}

#[tokio::test]
async fn a_join_token_is_for_its_node_alone_and_for_its_time() {
    let scene = scene(None).await;
    let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let named = scene.ticket(json!({"node": "n-1", "ttl": "10m"})).await;
    let why = scene.join(&named, "n-2", one.path()).await.unwrap_err();
    assert!(why.contains("403"), "{why}");
    scene.join(&named, "n-1", one.path()).await.unwrap();
    let unnamed = scene.ticket(json!({})).await;
    let why = scene.join(&unnamed, "n-1", two.path()).await.unwrap_err();
    assert!(why.contains("409") && why.contains("there is a node"), "{why}");

    // A token that names the node replaces it, and what it was does not count any more.
    let old = Identity::load(one.path()).unwrap().unwrap();
    let replacing = scene.ticket(json!({"node": "n-1"})).await;
    scene.join(&replacing, "n-1", two.path()).await.unwrap();
    assert!(renew(&Servers::new(vec![scene.url()]), &old, one.path()).await.is_err());

    let short = scene.ticket(json!({"ttl": "1s"})).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let late = tempfile::tempdir().unwrap();
    let why = scene.join(&short, "n-3", late.path()).await.unwrap_err();
    assert!(why.contains("401") && why.contains("expired"), "{why}");
    for wanted in [json!({"ttl": "8d"}), json!({"ttl": "x"}), json!({"node": "a b"}), json!({"capacity": 0})] {
        let (status, _) = scene.ask("POST", "/v1/join-tokens", Some(&scene.admin()), Some(wanted)).await;
        assert_eq!(status, 422);
    }
}

#[tokio::test]
async fn who_is_not_the_server_of_the_token_is_not_talked_to() {
    let [scene, other] = [scene(None).await, scene(None).await];
    let folder = tempfile::tempdir().unwrap();
    let ticket = other.ticket(json!({})).await;
    let why = scene.join(&ticket, "n-1", folder.path()).await.unwrap_err();
    assert!(why.contains("certificate"), "{why}");
    assert!(Identity::load(folder.path()).unwrap().is_none());

    // Nor does a node of the other cluster come in here.
    other.join(&ticket, "n-1", folder.path()).await.unwrap();
    let client = Identity::load(folder.path()).unwrap().unwrap().client().unwrap();
    let request = Request::post(format!("{}/v1/join/renew", scene.url())).body(Full::default()).unwrap();
    assert!(client.request(request).await.is_err(), "it does not trust this server");
    let stolen = folder.path().join("server-ca.pem");
    std::fs::write(&stolen, scene.authority.pem()).unwrap();
    let client = Identity::load(folder.path()).unwrap().unwrap().client().unwrap();
    let request = Request::post(format!("{}/v1/join/renew", scene.url())).body(Full::default()).unwrap();
    assert!(client.request(request).await.is_err(), "and this server does not trust it");
}

#[tokio::test]
async fn without_a_certificate_or_a_token_nothing_is_answered_but_by_a_401() {
    let scene = scene(None).await;
    let join = json!({"token": format!("{0}.{0}", "0".repeat(64)), "name": "n", "csr": "x"});
    for (method, path, body, status) in [
        ("POST", "/v1/join/renew", None, 401),
        ("POST", "/v1/join-tokens", Some(json!({})), 401),
        ("GET", "/v1/tokens", None, 401),
        ("POST", "/v1/tokens", Some(json!({"name": "x", "role": "admin"})), 401),
        ("DELETE", "/v1/tokens/first", None, 401),
        ("POST", "/v1/join", Some(join), 422),
        ("POST", "/v1/join", Some(json!({"token": "x", "name": "n", "csr": "x"})), 401),
    ] {
        assert_eq!(scene.ask(method, path, None, body).await.0, status, "{method} {path}");
    }
    let folder = tempfile::tempdir().unwrap();
    let forged = Ticket::parse(&format!("{}.{}", "0".repeat(64), scene.authority.fingerprint())).unwrap();
    let why = scene.join(&forged, "n", folder.path()).await.unwrap_err();
    assert!(why.contains("401"), "{why}");
}

#[tokio::test]
async fn a_nodes_certificate_is_no_token_and_a_token_is_no_certificate() {
    let scene = scene(None).await;
    let folder = tempfile::tempdir().unwrap();
    let identity = scene.join(&scene.ticket(json!({})).await, "n-1", folder.path()).await.unwrap();
    let node = identity.client().unwrap();
    for (method, path) in [("GET", "/v1/tokens"), ("POST", "/v1/tokens"), ("POST", "/v1/join-tokens")] {
        assert_eq!(ask(&node, &format!("{}{path}", scene.address), method, None, None).await.0, 401, "{method} {path}");
    }
    assert_eq!(scene.ask("POST", "/v1/join/renew", Some(&scene.admin()), None).await.0, 401);
}

#[tokio::test]
async fn tokens_are_shown_once_and_count_until_they_are_taken_back() {
    let scene = scene(None).await;
    let admin = scene.admin();
    let make = async |name: &str, role: &str| {
        scene.ask("POST", "/v1/tokens", Some(&admin), Some(json!({"name": name, "role": role}))).await
    };
    let (status, token) = make("reader", "read").await;
    let reader = token["token"].as_str().unwrap().to_owned();
    assert_eq!((status, token["role"].as_str(), reader.len()), (201, Some("read"), 64));
    assert_eq!(make("reader", "admin").await.0, 409);
    assert_eq!(make("a b", "read").await.0, 422);
    assert_eq!(make("x", "root").await.0, 422);
    assert_eq!(scene.ask("GET", "/v1/tokens", Some(&reader), None).await.0, 403);
    let (_, listed) = scene.ask("GET", "/v1/tokens", Some(&admin), None).await;
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "reader"]);
    assert!(!listed.to_string().contains(&reader) && !listed.to_string().contains("hash"), "{listed}");
    assert_eq!(scene.ask("DELETE", "/v1/tokens/first", Some(&admin), None).await.0, 409, "the last admin's");
    assert_eq!(scene.ask("DELETE", "/v1/tokens/reader", Some(&admin), None).await.0, 204);
    assert_eq!(scene.ask("DELETE", "/v1/tokens/reader", Some(&admin), None).await.0, 404);
    assert_eq!(scene.ask("GET", "/v1/tokens", Some(&reader), None).await.0, 401);
}

#[tokio::test]
async fn who_says_nothing_keeps_nobody_out_and_plain_http_gets_no_answer() {
    let scene = scene(None).await;
    // More than the accepting would do one after the other; fewer than one address may have.
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(&scene.address).await.unwrap());
    }
    assert_eq!(scene.ask("GET", "/v1/tokens", Some(&scene.admin()), None).await.0, 200);
    let mut plain = TcpStream::connect(&scene.address).await.unwrap();
    plain.write_all(b"GET /v1/tokens HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Closed, or reset: no matter which.
    drop(plain.read_to_end(&mut answer).await);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    // The others give back their places when they go.
    let crowd = 200;
    for _ in 0..crowd {
        silent.push(TcpStream::connect(&scene.address).await.unwrap());
    }
    drop(silent);
    upbeat_testkit::eventually("a place", SOON, async || {
        let request = Request::get(format!("{}/v1/tokens", scene.url())).body(Full::default()).unwrap();
        let answer = trusting(scene.authority.certificate().clone()).request(request).await;
        answer.map(drop).map_err(|error| format!("{error:?}"))
    })
    .await;
}

#[tokio::test]
async fn another_certificate_is_for_others_and_nodes_are_shown_the_one_they_have_pinned() {
    let files = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let own = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let [certificate, key_file] = ["cert.pem", "key.pem"].map(|name| files.path().join(name));
    std::fs::write(&certificate, own.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let scene = scene(Some(&Files { certificate: certificate.clone(), key: key_file })).await;
    let to = format!("{}/v1/tokens", scene.address);
    let admin = scene.admin();
    assert_eq!(ask(&trusting(own.der().clone()), &to, "GET", Some(&admin), None).await.0, 200);
    let refused = Request::get(format!("https://{to}")).body(Full::default()).unwrap();
    assert!(trusting(scene.authority.certificate().clone()).request(refused).await.is_err());

    let (client, to) = (trusting(own.der().clone()), format!("{}/v1/join-tokens", scene.address));
    let (_, made) = ask(&client, &to, "POST", Some(&admin), Some(json!({}))).await;
    let ticket = Ticket::parse(made["token"].as_str().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    scene.join(&ticket, "n-1", folder.path()).await.unwrap();
    let unfit = Files { certificate, key: files.path().join("none.pem") };
    assert!(server(Arc::clone(&scene.authority), Vec::new(), Some(&unfit)).is_err());
}

#[tokio::test]
async fn the_binary_listens_by_tls_for_who_has_a_token_and_never_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let orchestrator = ServiceCommand::new("orchestrator", "")
        .env("DOCKER_HOST", format!("unix://{}/none.sock", folder.path().display()))
        .env("STATE", state.display().to_string())
        .env("TLS_LISTEN", "127.0.0.1:0")
        .start()
        .await;
    let is_listening = |event: &upbeat_testkit::Event| event.text("message").contains("listening by TLS");
    let event = orchestrator.wait_for("the secure door", SOON, is_listening).await;
    let address = event.text("listening").to_owned();
    let told = |event: &upbeat_testkit::Event| event.text("message").contains("first admin token");
    orchestrator.wait_for("where the token is", SOON, told).await;
    let admin = std::fs::read_to_string(state.join("admin-token")).unwrap().trim().to_owned();
    let authority = CertificateDer::from_pem_file(state.join("ca.pem")).unwrap();
    for file in ["admin-token", "authority.pem", "orchestrator.sqlite"] {
        assert_eq!(std::fs::metadata(state.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }

    let client = trusting(authority);
    assert_eq!(ask(&client, &format!("{address}/v1/snapshot"), "GET", None, None).await.0, 401);
    assert_eq!(ask(&client, &format!("{address}/health"), "GET", None, None).await.0, 200);
    let hold = format!("{address}/v1/containers/web/hold");
    assert_eq!(ask(&client, &hold, "POST", Some(&admin), Some(json!({}))).await.0, 200);
    let reader = json!({"name": "reader", "role": "read"});
    let (_, made) = ask(&client, &format!("{address}/v1/tokens"), "POST", Some(&admin), Some(reader)).await;
    let reader = made["token"].as_str().unwrap();
    assert_eq!(ask(&client, &hold, "DELETE", Some(reader), None).await.0, 403);
    // On this machine it takes a token as well, now that there are some.
    assert_eq!(orchestrator.post("/v1/containers/web/hold", "{}").await.status, 401);
    let is_there = |event: &upbeat_testkit::Event| event.text("path").contains("/v1/tokens");
    orchestrator.wait_for("the access line", SOON, is_there).await;

    orchestrator.signal(upbeat_testkit::Signal::SIGTERM);
    assert_eq!(orchestrator.wait_exit(SOON).await, 0);
    let printed = format!("{:?} {:?}", orchestrator.output().lines(), orchestrator.errors().lines());
    assert!(!printed.contains(&admin) && !printed.contains(reader), "{printed}");
}
