//! A server in the middle and agents on hosts, all of them real, and what their engines say was running when.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use upbeat_testkit::{Service, ServiceCommand, eventually};

use super::{Hosts, IMAGE, Place, SOON, STEADY};

/// Where the server listens in the middle: for the test, and for agents.
const PLAIN: &str = "127.0.0.1:8080";
pub(crate) const SECURE: &str = "10.77.0.1:8443";

/// How often it is looked what runs: every look is a process a host.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The longest that an answer takes.
const ANSWER: Duration = Duration::from_secs(10);

/// A server and its agents; those that were killed are not there.
pub(crate) struct Cluster {
    server: Option<Service>,
    agents: BTreeMap<usize, Service>,
    with: Box<dyn Fn(ServiceCommand) -> ServiceCommand + Send + Sync>,
    // They end last: the others' folders are in it.
    pub(crate) hosts: Hosts,
}

/// A container began or ended.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    /// When, by the engine, in seconds since 1970.
    pub(crate) at: f64,
    pub(crate) host: usize,
    pub(crate) name: String,
    pub(crate) began: bool,
}

impl Cluster {
    /// A server, and so many hosts with an agent each.
    pub(crate) async fn start(count: usize) -> Option<Self> {
        let mut cluster = Self::without_agents(count).await?;
        for host in cluster.hosts.all() {
            cluster.start_agent(host).await;
        }
        cluster.wait_nodes(count, "up").await;
        Some(cluster)
    }

    /// A server, and so many hosts that it does not know.
    pub(crate) async fn without_agents(count: usize) -> Option<Self> {
        Some(Self::on(Hosts::start(count).await?, |command| command).await)
    }

    /// A server with these settings besides, and hosts that it does not know.
    pub(crate) async fn on(
        hosts: Hosts,
        with: impl Fn(ServiceCommand) -> ServiceCommand + Send + Sync + 'static,
    ) -> Self {
        let mut cluster = Self { server: None, agents: BTreeMap::new(), with: Box::new(with), hosts };
        cluster.start_server().await;
        cluster
    }

    // The server.

    pub(crate) async fn start_server(&mut self) {
        let command = self.hosts.orchestrator(Place::Middle).await.env("LISTEN", PLAIN);
        let command = command.env("TLS_LISTEN", SECURE).env("TLS_NAME", "10.77.0.1");
        self.server = Some((self.with)(command.arg("server")).start().await);
        let token = self.token();
        eventually("first token", SOON, async || fs::read(&token).map_err(|error| error.to_string())).await;
        eventually("ready server", SOON, async || {
            let answer = self.hosts.request(Place::Middle, "GET", &format!("http://{PLAIN}/ready"), "").await?;
            if answer.status == 200 { Ok(()) } else { Err(answer.body) }
        })
        .await;
    }

    pub(crate) fn server(&self) -> &Service {
        self.server.as_ref().unwrap()
    }

    /// The server's process, to be killed.
    pub(crate) fn take_server(&mut self) -> Service {
        self.server.take().unwrap()
    }

    fn token(&self) -> PathBuf {
        self.hosts.shared("state").join("admin-token")
    }

    /// What the server answers; an error says why there is no answer.
    pub(crate) async fn try_ask(&self, method: &str, path: &str, body: Value) -> Result<(StatusCode, Value), String> {
        let token = fs::read_to_string(self.token()).map_err(|error| error.to_string())?;
        let request = Request::builder().method(method).uri(format!("http://{PLAIN}{path}"));
        let request = request.header("authorization", format!("Bearer {}", token.trim()));
        let request = request.header("content-type", "application/json");
        let request = request.body(Full::<Bytes>::from(body.to_string())).unwrap();
        let ask = async move || {
            let client = Client::builder(TokioExecutor::new()).build_http();
            let answer = timeout(ANSWER, client.request(request)).await.map_err(|_| "no answer".to_owned())?;
            let (head, body) = answer.map_err(|error| format!("{error:?}"))?.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            Ok((head.status, serde_json::from_slice(&body).unwrap_or_default()))
        };
        self.hosts.inside(Place::Middle, ask).await
    }

    /// What the server answers, which must be a yes.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.try_ask(method, path, body).await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// Waits until so many nodes are like this, and no others.
    pub(crate) async fn wait_nodes(&self, count: usize, status: &str) {
        eventually(&format!("{count} nodes that are {status}"), SOON, async || {
            let (_, nodes) = self.try_ask("GET", "/v1/nodes", json!({})).await?;
            let all = nodes.as_array().cloned().unwrap_or_default();
            let like = all.iter().filter(|node| node["status"] == status).count();
            if (like, all.len()) == (count, count) { Ok(()) } else { Err(nodes.to_string()) }
        })
        .await;
    }

    // Agents.

    /// Starts the agent of a host, which becomes a node, n1 and so on, if it is none.
    pub(crate) async fn start_agent(&mut self, host: usize) {
        self.start_agent_as(host, |command| command).await;
    }

    /// The same, with other settings.
    pub(crate) async fn start_agent_as(&mut self, host: usize, with: impl FnOnce(ServiceCommand) -> ServiceCommand) {
        let file = self.hosts.path(host, "join-token");
        if !file.exists() {
            let made = self.ask("POST", "/v1/join-tokens", json!({})).await;
            fs::write(&file, made["token"].as_str().unwrap()).unwrap();
        }
        let command = self.hosts.orchestrator(Place::Host(host)).await.arg("agent");
        let command = command.env("SERVER", format!("https://{SECURE}")).env("NODE", format!("n{host}"));
        let agent = with(command.env("JOIN_TOKEN_FILE", file.display().to_string())).start().await;
        assert!(self.agents.insert(host, agent).is_none());
    }

    pub(crate) async fn kill_agent(&mut self, host: usize) {
        self.agents.remove(&host).unwrap().kill().await;
    }

    pub(crate) fn agent(&self, host: usize) -> &Service {
        &self.agents[&host]
    }

    /// Has a host be a node, n1 and so on, without an agent.
    pub(crate) async fn add_agentless(&self, host: usize) {
        let engine = format!("tcp://{}", Hosts::address(host, 2375));
        self.ask("POST", "/v1/nodes", json!({"name": format!("n{host}"), "engine": engine})).await;
    }

    // Services.

    /// Has there be a service of that many containers.
    pub(crate) async fn create(&self, name: &str, replicas: usize, partition: &str) {
        self.ask("POST", "/create", service(name, replicas, partition)).await;
    }

    /// The epochs of a service that run, by slot; hosts whose engines do not answer have none.
    pub(crate) async fn slots(&self, service: &str) -> BTreeMap<u32, Vec<u64>> {
        let mut slots: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for host in self.hosts.all() {
            for (slot, epoch) in self.on_host(service, host).await {
                slots.entry(slot).or_default().push(epoch);
            }
        }
        slots
    }

    /// Slot and epoch of a service's containers that run on this host.
    pub(crate) async fn on_host(&self, service: &str, host: usize) -> Vec<(u32, u64)> {
        let filter = format!("label=io.upbeat.orchestrator.service={service}");
        let names = self.hosts.try_docker(host, &["ps", "--filter", &filter, "--format", "{{.Names}}"]).await;
        names.unwrap_or_default().lines().map(place).collect()
    }

    /// Waits until exactly so many of a service run, one in each slot; gives them.
    pub(crate) async fn settle(&self, service: &str, count: usize) -> BTreeMap<u32, Vec<u64>> {
        eventually(&format!("{count} of {service}"), SOON, async || {
            let slots = self.slots(service).await;
            if slots.len() == count && slots.values().all(|epochs| epochs.len() == 1) {
                return Ok(slots);
            }
            sleep(LOOK_EVERY).await;
            Err(format!("{slots:?}"))
        })
        .await
    }

    /// Waits until so many of a service run on this host.
    pub(crate) async fn wait_on(&self, host: usize, service: &str, count: usize) {
        eventually(&format!("{count} of {service} on host {host}"), SOON, async || {
            let there = self.on_host(service, host).await;
            if there.len() == count {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
            Err(format!("{there:?}"))
        })
        .await;
    }

    /// All that began and ended of a service, on engines that have not been started anew since, in order.
    pub(crate) async fn turns(&self, service: &str) -> Vec<Turn> {
        let mut turns = Vec::new();
        let now = (now() + 1.0).to_string();
        let filter = format!("label=io.upbeat.orchestrator.service={service}");
        for host in self.hosts.all() {
            let told = ["events", "--since", "0", "--until", &now, "--format", "{{json .}}"];
            let told = [&told[..], &["--filter", &filter, "--filter", "event=start", "--filter", "event=die"]].concat();
            for event in self.hosts.docker(host, &told).await.lines() {
                let event: Value = serde_json::from_str(event).unwrap();
                let nanos = event["timeNano"].as_i64().unwrap();
                let name = event["Actor"]["Attributes"]["name"].as_str().unwrap().to_owned();
                turns.push(Turn { at: seconds(nanos), host, name, began: event["Action"] == "start" });
            }
        }
        turns.sort_by(|one, other| one.at.total_cmp(&other.at));
        turns
    }
}

/// The most containers that there were at any instant.
pub(crate) fn most(turns: &[Turn]) -> usize {
    let mut running = std::collections::BTreeSet::new();
    let mut most = 0;
    for turn in turns {
        if turn.began {
            running.insert((turn.host, &turn.name));
        } else {
            running.remove(&(turn.host, &turn.name));
        }
        most = most.max(running.len());
    }
    most
}

/// A service of containers that do nothing, and stop at once.
pub(crate) fn service(name: &str, replicas: usize, partition: &str) -> Value {
    json!({
        "name": name, "image": IMAGE, "command": ["sh", "-c", STEADY], "networks": ["none"], "replicas": replicas,
        "partition": partition, "stop_grace_period": "1s",
    })
}

/// Slot and epoch in the name of a container.
fn place(name: &str) -> (u32, u64) {
    let mut parts = name.split('.').skip(1);
    (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap())
}

/// What time it is, in seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a microsecond is enough")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}
