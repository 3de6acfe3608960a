//! A server's HTTP interface, with nodes that do as they are told at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod docs;
mod logs;
mod nodes;
mod refusals;
mod secrets;
mod services;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use upbeat_orchestrator::cluster::model::{Admission, Node, Reach};
use upbeat_orchestrator::cluster::records::memory::MemoryRecords;
use upbeat_orchestrator::cluster::remote::Engines;
use upbeat_orchestrator::cluster::server::Server;
use upbeat_orchestrator::cluster::wire::{Report, Seen};
use upbeat_orchestrator::container::State;
use upbeat_orchestrator::credentials::{Credentials, Role, new_token};
use upbeat_orchestrator::http::cluster::{ClusterGateway, routes};
use upbeat_orchestrator::http::{Access, Guard};
use upbeat_orchestrator::pki::{self, Authority, Peer};
use upbeat_orchestrator::runtime::Runtime;
use upbeat_orchestrator::runtime::simulator::Simulator;
use upbeat_orchestrator::store::memory::MemoryStore;
use upbeat_orchestrator::tls::listener::Caller;
use upbeat_service::Health;
use upbeat_service::http::Quiet;

/// A server and what is asked of it.
struct Scene {
    server: Server,
    records: MemoryRecords,
    store: MemoryStore,
    routes: Router,
    stop: CancellationToken,
    authority: Arc<Authority>,
    /// That of all nodes without an agent.
    engine: Simulator,
    _folder: TempDir,
}

/// An answer.
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
    json: Value,
    /// It has no access line.
    quiet: bool,
}

/// Who asks.
#[derive(Clone, Copy)]
enum From<'a> {
    /// Somebody on this machine.
    Here,
    /// Somebody by TLS, with this token.
    Afar(Option<&'a str>),
    /// A node by TLS.
    Node(&'a Arc<Peer>),
}

/// A server with these nodes, which run what they are told to.
async fn scene(nodes: &[&str]) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::open(folder.path()).unwrap());
    let (records, store, stop) = (MemoryRecords::default(), MemoryStore::default(), CancellationToken::new());
    let (server, brain) = Server::new(Arc::new(records.clone()), None);
    tokio::spawn(brain.run(Health::default(), stop.clone()));
    let access = Access::new(false, None, "127.0.0.1:0".parse().unwrap()).unwrap();
    let guard = Guard::new(access, Arc::new(store.clone()));
    let simulator = Simulator::new();
    let engine = simulator.clone();
    let engines: Engines = Arc::new(move |_| Arc::new(engine.clone()) as Arc<dyn Runtime>);
    let routes =
        routes(ClusterGateway::new(guard, server.clone(), engines, stop.clone()), Some(Arc::clone(&authority)));
    let scene = Scene { server, records, store, routes, stop, authority, engine: simulator, _folder: folder };
    for name in nodes {
        scene.puppet(name).await;
    }
    scene.until("/status", |status| status["nodes"]["up"] == nodes.len()).await;
    scene
}

impl Scene {
    /// One more node.
    async fn puppet(&self, name: &str) {
        self.node(name, Reach::Agent).await;
    }

    /// One more node that is reached in this way, and does as it is told.
    async fn node(&self, name: &str, reach: Reach) {
        let node =
            Node { name: name.to_owned(), reach, capacity: 10, labels: BTreeMap::new(), admission: Admission::Open };
        self.server.put_node(node).await.unwrap();
        let (server, name) = (self.server.clone(), name.to_owned());
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(async move {
            let mut report = Report::default();
            loop {
                if let Ok(orders) = server.exchange(&name, report.clone(), true).await {
                    let seen = Seen { id: "1".to_owned(), state: Some(State::Running), ..Seen::default() };
                    let replicas = orders.replicas.iter().map(|order| (order.name.to_string(), seen.clone()));
                    report = Report { stamp: Some(orders.stamp), engine: None, replicas: replicas.collect() };
                }
                sleep(Duration::from_millis(50)).await;
            }
        }));
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask_as(From::Here, method, path, &[], body.map(|body| body.to_string())).await
    }

    async fn ask_as(
        &self,
        from: From<'_>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let remote = "10.0.0.9:1000".parse().unwrap();
        if let From::Afar(Some(token)) = from {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let peer = if let From::Node(peer) = from { Some(Arc::clone(peer)) } else { None };
        if !matches!(from, From::Here) {
            request = request.extension(Caller { remote, peer });
        }
        let request = request.body(Body::from(body.unwrap_or_default())).unwrap();
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let quiet = answer.extensions().get::<Quiet>().is_some();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        if status >= 400 {
            let kind = headers.get("content-type").map(|kind| kind.to_str().unwrap());
            assert_eq!(kind, Some("application/problem+json"), "{method} {path}: {status} {text}");
        }
        Answer { status, headers, json: serde_json::from_str(&text).unwrap_or_default(), text, quiet }
    }

    /// Asks again until the answer is as it should be: in paused time, so that this takes no time where it works.
    async fn until(&self, path: &str, what: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.ask("GET", path, None).await.json;
            if what(&last) {
                return last;
            }
            sleep(Duration::from_millis(500)).await;
        }
        panic!("{path} stays {last}");
    }

    /// What a host of this name shows that has been let in.
    fn peer(&self, name: &str) -> Arc<Peer> {
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let (certificate, _) = self.authority.admit(name, &request).unwrap();
        Arc::new(pki::peer(&CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap())
    }

    async fn token(&self, role: Role) -> String {
        let (token, kept) = new_token(&role.to_string(), role, 1).unwrap();
        assert!(self.store.keep_token(&kept).await.unwrap());
        token
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// So many of `web:1`.
fn web(replicas: u32) -> Value {
    json!({"name": "web", "image": "web:1", "replicas": replicas})
}
