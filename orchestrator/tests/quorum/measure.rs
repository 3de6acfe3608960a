//! What docs/CLUSTER.md gives as figures of several servers. `make measure-orchestrator` runs it, with the others.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::servers::Servers;
use super::service;

/// So many of each kind.
const KILLED: usize = 10;
const WRITTEN: usize = 200;

#[tokio::test]
#[ignore = "it measures, for two minutes"]
async fn measure_leader_killed_to_another_leads_and_what_a_write_takes() {
    let mut servers = Servers::of(3).await;
    let leader = servers.leader().await;
    let mut times = Vec::new();
    for number in 0..WRITTEN {
        let began = Instant::now();
        servers.try_ask(leader, "POST", "/create", service(&format!("s{number}"), 0, "keep")).await.unwrap();
        times.push(began.elapsed());
    }
    told("a write, by three servers", times);
    let mut times = Vec::new();
    for _ in 0..KILLED {
        let leader = servers.leader().await;
        // The heartbeat is at any point of its own.
        sleep(Duration::from_millis(fastrand::u64(..1000))).await;
        servers.kill(leader).await;
        let killed = Instant::now();
        servers.ask("GET", "/status", json!({})).await;
        times.push(killed.elapsed());
        servers.start(leader, None).await;
        servers.wait_voters(3).await;
    }
    told("leader killed to another one leads", times);
}

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64();
    println!("{what}: p50 {:.3} s, p95 {:.3} s, of {}", at(50), at(95), times.len());
}
