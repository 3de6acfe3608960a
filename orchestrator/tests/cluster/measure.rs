//! What docs/CLUSTER.md gives as figures. `make measure-orchestrator` runs it, with the others.
//!
//! Times are from when a host's network was taken away, or was given back, to the engines' own events.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use upbeat_testkit::eventually;

use super::SOON;
use super::cluster::{Cluster, now, service};

/// So many of each kind.
const KEPT: usize = 10;
const STOPPED: usize = 5;
const DIED: usize = 10;

/// Long enough for the connection to an engine to be given up.
const CUT: Duration = Duration::from_secs(15);

/// The heartbeat, a resync and others are at any point of theirs when a round begins.
fn some_time() -> Duration {
    Duration::from_millis(fastrand::u64(..3000))
}

#[tokio::test]
#[ignore = "it measures, for three minutes"]
async fn measure_lost_to_replaced_with_keep() {
    if let Some(times) = lost_to_replaced("keep", KEPT).await {
        told("lost to replaced, keep", times);
    }
}

#[tokio::test]
#[ignore = "it measures, for three minutes"]
async fn measure_lost_to_replaced_with_stop() {
    if let Some(times) = lost_to_replaced("stop", STOPPED).await {
        told("lost to replaced, stop, with ten seconds to stop", times);
    }
}

/// There is one container. Its host is cut off, until it runs on the other one, which is the next to be cut off.
async fn lost_to_replaced(partition: &str, rounds: usize) -> Option<Vec<f64>> {
    let cluster = Cluster::start(2).await?;
    let mut wanted = service("web", 1, partition);
    wanted["stop_grace_period"] = json!("10s");
    cluster.ask("POST", "/create", wanted).await;
    let mut times = Vec::new();
    for _ in 0..rounds {
        cluster.settle("web", 1).await;
        cluster.wait_nodes(2, "up").await;
        sleep(some_time()).await;
        let host = if cluster.on_host("web", 1).await.is_empty() { 2 } else { 1 };
        cluster.hosts.cut(host).await;
        let cut = now();
        cluster.wait_on(3 - host, "web", 1).await;
        let turns = cluster.turns("web").await;
        times.push(turns.iter().find(|turn| turn.began && turn.at > cut).unwrap().at - cut);
        cluster.hosts.mend(host).await;
    }
    Some(times)
}

#[tokio::test]
#[ignore = "it measures, for five minutes"]
async fn measure_healed_to_restarted() {
    let Some(cluster) = Cluster::without_agents(1).await else { return };
    cluster.add_agentless(1).await;
    cluster.wait_nodes(1, "up").await;
    for number in 0..DIED {
        cluster.create(&format!("s{number}"), 1, "hold").await;
        cluster.settle(&format!("s{number}"), 1).await;
    }
    let mut times = Vec::new();
    for number in 0..DIED {
        let service = format!("s{number}");
        // One that has run for ten seconds is started again at once.
        sleep(Duration::from_secs(10) + some_time()).await;
        cluster.hosts.cut(1).await;
        let name = cluster.hosts.running(1).await.into_iter().find(|name| name.starts_with(&format!("{service}.")));
        cluster.hosts.docker(1, &["kill", &name.unwrap()]).await;
        sleep(CUT + some_time()).await;
        cluster.hosts.mend(1).await;
        let mended = now();
        let started = eventually("restart", SOON, async || {
            let turns = cluster.turns(&service).await;
            turns.iter().find(|turn| turn.began && turn.at > mended).map(|turn| turn.at).ok_or_else(String::new)
        });
        times.push(started.await - mended);
        cluster.wait_nodes(1, "up").await;
    }
    told("died while the engine could not be reached, to restarted after it could", times);
}

fn told(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!("{what}: p50 {:.2} s, p95 {:.2} s, of {}", at(50), at(95), times.len());
}
