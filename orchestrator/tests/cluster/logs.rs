//! What real replicas printed, asked of the server: by way of their agent, and of their engine where there is none.

use serde_json::json;
use upbeat_testkit::eventually;

use super::cluster::Cluster;
use super::{IMAGE, Place, SOON, STEADY};

#[tokio::test]
async fn the_server_tells_what_replicas_printed_wherever_they_run() {
    let Some(mut cluster) = Cluster::without_agents(2).await else { return };
    cluster.start_agent(1).await;
    cluster.add_agentless(2).await;
    cluster.wait_nodes(2, "up").await;
    let script = format!("echo one; echo two; echo three; {STEADY}");
    let web = json!({
        "name": "web", "image": IMAGE, "command": ["sh", "-c", script], "networks": ["none"], "replicas": 2,
        "stop_grace_period": "1s",
    });
    cluster.ask("POST", "/create", web).await;
    cluster.settle("web", 2).await;
    let replicas = cluster.ask("GET", "/v1/replicas", json!({})).await;
    let names: Vec<_> = replicas.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let mut nodes: Vec<_> = replicas.as_array().unwrap().iter().map(|one| one["node"].as_str().unwrap()).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["n1", "n2"]);
    let get = async |path: &str| {
        let url = format!("http://127.0.0.1:8080/v1/logs/{path}");
        cluster.hosts.request(Place::Middle, "GET", &url, "").await.unwrap()
    };
    for name in &names {
        eventually("the lines", SOON, async || {
            let answer = get(name).await;
            if answer.body == "one\ntwo\nthree\n" { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        assert_eq!(get(&format!("{name}?tail=1")).await.body, "three\n");
    }
}
