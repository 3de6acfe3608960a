//! Several servers, each a process, and nodes on simulated engines, which ask them by TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use upbeat_orchestrator::ask::Servers as Addresses;
use upbeat_orchestrator::cluster::lease::{Lease, since_boot};
use upbeat_orchestrator::cluster::link::ServerLink;
use upbeat_orchestrator::cluster::node::Node;
use upbeat_orchestrator::control::{Control, Options};
use upbeat_orchestrator::desired::Protected;
use upbeat_orchestrator::http::cluster::Hello;
use upbeat_orchestrator::join::{Ticket, join};
use upbeat_orchestrator::readers::Readers;
use upbeat_orchestrator::runtime::simulator::Simulator;
use upbeat_orchestrator::store::memory::MemoryStore;
use upbeat_orchestrator::watch::watch as watch_engine;
use upbeat_service::Health;
use upbeat_testkit::port::ReservedPort;
use upbeat_testkit::{Service, ServiceCommand, eventually};

/// Whatever is to happen has happened by then; most of it takes five seconds.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// The longest that an answer takes.
const ANSWER: Duration = Duration::from_secs(10);

/// The servers; those that were killed are not there.
pub(crate) struct Servers {
    pub(crate) folder: TempDir,
    places: Vec<[ReservedPort; 2]>,
    running: Vec<Option<Service>>,
}

impl Servers {
    /// None yet.
    pub(crate) fn none() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), places: Vec::new(), running: Vec::new() }
    }

    /// So many, which have found each other.
    pub(crate) async fn of(count: usize) -> Self {
        let mut servers = Self::none();
        for server in 0..count {
            servers.add(if server == 0 { None } else { Some(0) }).await;
        }
        servers.wait_voters(count).await;
        servers
    }

    /// One more, which joins by that one, if any; its number.
    pub(crate) async fn add(&mut self, by: Option<usize>) -> usize {
        let server = self.place();
        if let Some(by) = by {
            fs::create_dir(self.state(server)).unwrap();
            fs::copy(self.state(by).join("authority.pem"), self.state(server).join("authority.pem")).unwrap();
        }
        let join = by.map(|by| self.url(by));
        self.start(server, join.as_deref()).await;
        self.wait_token().await;
        server
    }

    /// One that is not one of several.
    pub(crate) async fn add_single(&mut self) -> usize {
        let server = self.place();
        self.running[server] = Some(self.command(server).start().await);
        self.wait_token().await;
        server
    }

    /// One with an authority of its own, which would join that one.
    pub(crate) async fn add_stranger(&mut self, by: usize) -> usize {
        let (server, join) = (self.place(), self.url(by));
        self.start(server, Some(&join)).await;
        server
    }

    /// The first token: the one that this server has made, or the first of all servers.
    fn token(&self, server: usize) -> String {
        let tokens = [server, 0].map(|server| fs::read_to_string(self.state(server).join("admin-token")));
        tokens.into_iter().find_map(Result::ok).unwrap_or_default()
    }

    /// Waits until there is a first token, and it counts.
    async fn wait_token(&self) {
        eventually("first token", SOON, async || {
            let leader = self.leader().await;
            let token = self.token(leader);
            match self.try_ask(leader, "GET", "/v1/tokens", json!({})).await? {
                (StatusCode::OK, tokens) if tokens != json!([]) && !token.is_empty() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    fn place(&mut self) -> usize {
        self.places.push([ReservedPort::take(), ReservedPort::take()]);
        self.running.push(None);
        self.running.len() - 1
    }

    /// What starts this server, if it is not one of several.
    pub(crate) fn command(&self, server: usize) -> ServiceCommand {
        let [plain, secure] = &self.places[server];
        let command = ServiceCommand::new("orchestrator", "")
            .arg("server")
            .env("STATE", self.state(server).display().to_string());
        command.env("LISTEN", plain.address().to_string()).env("TLS_LISTEN", secure.address().to_string())
    }

    pub(crate) async fn start(&mut self, server: usize, join: Option<&str>) {
        let command = self.command(server).env("ADVERTISE", self.url(server));
        let command = if let Some(join) = join { command.env("JOIN", join) } else { command };
        self.running[server] = Some(command.start().await);
    }

    pub(crate) async fn kill(&mut self, server: usize) {
        self.running[server].take().unwrap().kill().await;
    }

    pub(crate) fn process(&self, server: usize) -> &Service {
        self.running[server].as_ref().unwrap()
    }

    pub(crate) fn state(&self, server: usize) -> PathBuf {
        self.folder.path().join(format!("s{server}"))
    }

    pub(crate) fn url(&self, server: usize) -> String {
        format!("https://localhost:{}", self.places[server][1].number())
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        (0..self.places.len()).map(|server| self.url(server)).collect()
    }

    fn up(&self) -> impl Iterator<Item = usize> {
        (0..self.running.len()).filter(|server| self.running[*server].is_some())
    }

    /// What this server answers; an error says why there is no answer.
    pub(crate) async fn try_ask(
        &self,
        server: usize,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<(StatusCode, Value), String> {
        let token = self.token(server);
        let request =
            Request::builder().method(method).uri(format!("http://{}{path}", self.places[server][0].address()));
        let request = request.header("authorization", format!("Bearer {}", token.trim()));
        let request = request.header("content-type", "application/json");
        let request = request.body(Full::<Bytes>::from(body.to_string())).unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = timeout(ANSWER, client.request(request)).await.map_err(|_| "no answer".to_owned())?;
        let (head, body) = answer.map_err(|error| format!("{error:?}"))?.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok((head.status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// The one that leads.
    pub(crate) async fn leader(&self) -> usize {
        eventually("leader", SOON, async || {
            let mut told = Vec::new();
            for server in self.up() {
                match self.try_ask(server, "GET", "/status", json!({})).await {
                    Ok((StatusCode::OK, _)) => return Ok(server),
                    other => told.push(other),
                }
            }
            Err(format!("{told:?}"))
        })
        .await
    }

    /// What the one that leads answers, which must be a yes.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        eventually(&format!("{method} {path}"), SOON, async || {
            let leader = self.leader().await;
            match self.try_ask(leader, method, path, body.clone()).await? {
                (status, answer) if status.is_success() => Ok(answer),
                (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TEMPORARY_REDIRECT, why) => Err(why.to_string()),
                (status, why) => panic!("{method} {path}: {status} {why}"),
            }
        })
        .await
    }

    /// Waits until so many servers count for a majority, and each of them has all that there is.
    pub(crate) async fn wait_voters(&self, count: usize) {
        eventually(&format!("{count} servers"), SOON, async || {
            let servers = self.ask("GET", "/v1/servers", json!({})).await;
            let all = servers.as_array().cloned().unwrap_or_default();
            let is_in = |server: &&Value| server["votes"] == true && server["behind"].as_u64().unwrap_or_default() == 0;
            let leads = all.iter().filter(|server| server["leads"] == true).count();
            if (all.len(), all.iter().filter(is_in).count(), leads) == (count, count, 1) {
                Ok(())
            } else {
                Err(servers.to_string())
            }
        })
        .await;
    }

    /// A node with a simulated engine.
    pub(crate) async fn node(&self, name: &str) -> Host {
        let token = self.ask("POST", "/v1/join-tokens", json!({})).await;
        let ticket = Ticket::parse(token["token"].as_str().unwrap()).unwrap();
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        Host::start(name, Addresses::new(self.urls()), &ticket, &folder).await
    }
}

/// A machine that is a node until this is dropped.
pub(crate) struct Host {
    pub(crate) engine: Simulator,
    agent: CancellationToken,
}

impl Host {
    async fn start(name: &str, servers: Addresses, ticket: &Ticket, folder: &Path) -> Self {
        let identity = join(&servers, ticket, name, folder).await.unwrap();
        let hello = Hello { capacity: 1000, labels: std::collections::BTreeMap::new() };
        let link = Arc::new(
            ServerLink::new(Arc::new(servers), identity, hello, folder.to_owned(), mpsc::channel(1).0).unwrap(),
        );
        let (engine, agent) = (Simulator::new(), CancellationToken::new());
        let (assigned, orders) = watch::channel(None);
        let options = Options {
            enforce: true,
            allow: None,
            assigned: Some(orders),
            protected: Protected::default(),
            resync: Duration::from_secs(30),
        };
        let runtime = Arc::new(engine.clone());
        let control = Control::new(options, runtime.clone(), Arc::new(MemoryStore::default()), Readers::default());
        let shared = control.shared();
        let lease = Lease::new(since_boot);
        let node = Node::new(link, runtime.clone(), shared.clone(), assigned, lease, None);
        let watching = watch_engine(runtime, Arc::clone(&shared.marks), Health::default());
        tokio::spawn(agent.clone().run_until_cancelled_owned(watching));
        tokio::spawn(agent.clone().run_until_cancelled_owned(node.run(Health::default())));
        tokio::spawn(agent.clone().run_until_cancelled_owned(control.run(Health::default(), CancellationToken::new())));
        Self { engine, agent }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.agent.cancel();
    }
}
