//! Probes of real containers: of an agent's by their own addresses, of a host without one by their published ports.

use serde_json::{Value, json};
use upbeat_testkit::eventually;

use super::SOON;
use super::cluster::Cluster;
use super::pair::make_image;

/// A service that answers by HTTP, here and in its container: the orchestrator's own.
fn web(name: &str, path: &str, ports: &[&str]) -> Value {
    json!({
        "name": name, "image": "orchestrator:0.1.0", "command": ["server"], "replicas": 2, "ports": ports,
        "env": {"LISTEN": "0.0.0.0:8080", "PUBLIC_STATUS": "true", "STATE": "/tmp"}, "networks": ["front"],
        "health": {"test": ["NONE"]}, "stop_grace_period": "1s",
        "probe": {"port": 8080, "path": path, "interval": "1s"},
    })
}

/// Waits until all replicas are like this; gives their names.
async fn wait_replicas(cluster: &Cluster, what: &str, like: impl Fn(&Value) -> bool) -> Vec<String> {
    eventually(what, SOON, async || {
        let replicas = cluster.ask("GET", "/v1/replicas", json!({})).await;
        let all = replicas.as_array().unwrap();
        let names = all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        if all.len() == 2 && all.iter().all(&like) { Ok(names) } else { Err(replicas.to_string()) }
    })
    .await
}

#[tokio::test]
async fn replicas_are_asked_by_an_agent_and_by_the_server_and_restarted_where_they_do_not_answer_well() {
    let Some(mut cluster) = Cluster::without_agents(2).await else { return };
    make_image(&cluster.hosts, "orchestrator").await;
    cluster.start_agent(1).await;
    cluster.add_agentless(2).await;
    cluster.wait_nodes(2, "up").await;
    cluster.ask("POST", "/create", web("web", "/health", &["8090:8080"])).await;
    let names = wait_replicas(&cluster, "well", |one| one["ready"] == true).await;

    // What it is asked for is not there.
    cluster.ask("PUT", "/v1/services/web", web("web", "/nothing", &["8090:8080"])).await;
    let ill = |one: &Value| {
        let is_known = one["problem"].as_str().is_some_and(|why| why.contains("its probe fails: it answers 404"));
        one["restarts"].as_u64() >= Some(1) && is_known && one["ready"] == false
    };
    assert_eq!(wait_replicas(&cluster, "restarts", ill).await, names, "another probe replaces nothing");
    cluster.ask("PUT", "/v1/services/web", web("web", "/health", &["8090:8080"])).await;
    assert_eq!(wait_replicas(&cluster, "well again", |one| one["ready"] == true).await, names);

    // Without a published port, only the agent's can be asked.
    assert!(cluster.server().events("not probed").is_empty());
    cluster.ask("DELETE", "/v1/services/web", json!({})).await;
    cluster.settle("web", 0).await;
    cluster.ask("POST", "/create", web("bare", "/nothing", &[])).await;
    let told = cluster.server().wait_events("not probed", 1, SOON).await;
    assert!(told[0].text("why").contains("port 8080 is not published"), "{told:?}");
    eventually("one that is asked, and one that is not", SOON, async || {
        let replicas = cluster.ask("GET", "/v1/replicas", json!({})).await;
        let ready: Vec<_> = replicas.as_array().unwrap().iter().filter(|one| one["ready"] == true).collect();
        let asked = replicas.as_array().unwrap().iter().any(|one| one["node"] == "n1" && ill(one));
        if asked && ready.len() == 1 && ready[0]["node"] == "n2" { Ok(()) } else { Err(replicas.to_string()) }
    })
    .await;
    assert_eq!(cluster.server().events("not probed").len(), 1, "it is said once");
}
