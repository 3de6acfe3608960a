//! What must hold when the server is killed, clocks are wrong, and nodes leave for good.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;
use upbeat_orchestrator::ask::Servers;
use upbeat_orchestrator::join::{Identity, renew};
use upbeat_testkit::eventually;

use super::cluster::{Cluster, SECURE, service};
use super::{Place, SOON};

/// So many are asked for; each fifth has two containers, the others none.
const CREATES: usize = 100;
const WITH_CONTAINERS: usize = 5;

/// The server is killed within so much of its start, in milliseconds: after ten creates or so.
const KILLED_WITHIN: u64 = 400;

/// Longer than a node that is not heard of takes to be lost.
const WOULD_BE_LOST: Duration = Duration::from_secs(12);

#[tokio::test]
async fn a_server_that_is_killed_again_and_again_forgets_nothing_it_acknowledged_and_doubles_nothing() {
    let Some(mut cluster) = Cluster::start(2).await else { return };
    let mut missing: Vec<usize> = (0..CREATES).rev().collect();
    let mut acknowledged = BTreeSet::new();
    let mut kills = Vec::new();
    while !missing.is_empty() {
        let server = cluster.take_server();
        let after = fastrand::u64(..KILLED_WITHIN);
        let creates = async {
            while let Some(number) = missing.last() {
                let replicas = if number % WITH_CONTAINERS == 0 { 2 } else { 0 };
                let (name, partition) = (format!("s{number}"), if number % 2 == 0 { "keep" } else { "stop" });
                // No answer, or that it is stopping: it may have been kept, or not.
                match cluster.try_ask("POST", "/create", service(&name, replicas, partition)).await {
                    Ok((StatusCode::ACCEPTED | StatusCode::OK, _)) => acknowledged.insert(name),
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => break,
                };
                missing.pop();
            }
        };
        tokio::join!(creates, async {
            sleep(Duration::from_millis(after)).await;
            server.kill().await;
        });
        kills.push((after, acknowledged.len()));
        cluster.start_server().await;
        let services = cluster.ask("GET", "/v1/services", json!({})).await;
        let kept: BTreeSet<_> = services.as_array().unwrap().iter().map(|one| name(one, "name")).collect();
        assert!(acknowledged.is_subset(&kept), "{:?}", acknowledged.difference(&kept));
    }
    println!("killed {} times, after milliseconds, with so many acknowledged: {kills:?}", kills.len());
    let wanted: BTreeSet<_> =
        (0..CREATES).step_by(WITH_CONTAINERS).flat_map(|n| [(format!("s{n}"), 0), (format!("s{n}"), 1)]).collect();
    eventually("all replicas, each once", SOON, async || {
        let mut running: BTreeMap<(String, u32), usize> = BTreeMap::new();
        for host in cluster.hosts.all() {
            for container in cluster.hosts.running(host).await {
                let mut parts = container.split('.');
                let slot = (parts.next().unwrap().to_owned(), parts.next().unwrap().parse().unwrap());
                *running.entry(slot).or_default() += 1;
            }
        }
        // What is not there yet may come; what is there twice of a slot may not, since no node was lost.
        assert!(running.values().all(|count| *count == 1), "{running:?}");
        if running.keys().eq(&wanted) { Ok(()) } else { Err(format!("{running:?}")) }
    })
    .await;
    let replicas = cluster.ask("GET", "/v1/replicas", json!({})).await;
    let names: BTreeSet<_> = replicas.as_array().unwrap().iter().map(|one| name(one, "name")).collect();
    let mut there = Vec::new();
    for host in cluster.hosts.all() {
        let all = cluster.hosts.docker(host, &["ps", "--all", "--format", "{{.Names}}"]).await;
        there.extend(all.lines().map(str::to_owned));
    }
    assert_eq!(there.len(), wanted.len(), "nothing is left over");
    assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), names, "and the server knows all of it");
}

/// Debian's libfaketime; `None`, which is said, where it is not installed.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut paths = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let found = paths.find(|path| path.is_file());
    if found.is_none() {
        println!("SKIPPED: libfaketime is not there");
    }
    found
}

#[tokio::test]
async fn nodes_whose_clocks_are_an_hour_off_join_are_never_lost_and_keep_what_they_have() {
    let Some(library) = faketime() else { return };
    let Some(mut cluster) = Cluster::without_agents(2).await else { return };
    for (host, shift) in [(1, "+1h"), (2, "-1h")] {
        let set = |command: upbeat_testkit::ServiceCommand| {
            let command = command.env("LD_PRELOAD", library.display().to_string()).env("FAKETIME", shift);
            // A clock that is wrong runs as any other does.
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DISABLE_SHM", "1")
        };
        cluster.start_agent_as(host, set).await;
        let listens =
            cluster.agent(host).wait_for("listening", SOON, |event| !event.text("listening").is_empty()).await;
        let told = chrono::DateTime::parse_from_rfc3339(listens.text("timestamp")).unwrap();
        let off = told.signed_duration_since(chrono::Utc::now()).num_minutes();
        assert!((55..=65).contains(&off.abs()) && (off > 0) == (host == 1), "it is {off} minutes off");
    }
    cluster.wait_nodes(2, "up").await;
    cluster.create("web", 2, "keep").await;
    cluster.create("one", 2, "stop").await;
    cluster.settle("web", 2).await;
    cluster.settle("one", 2).await;
    sleep(WOULD_BE_LOST).await;
    assert_eq!(cluster.server().events("lost").len(), 0, "{:?}", cluster.server());
    cluster.take_server().kill().await;
    cluster.start_server().await;
    cluster.wait_nodes(2, "up").await;
    for service in ["web", "one"] {
        let turns = cluster.turns(service).await;
        assert!(turns.len() == 2 && turns.iter().all(|turn| turn.began), "{turns:?}");
    }
}

#[tokio::test]
async fn a_node_that_drains_loses_nothing_meanwhile_and_once_it_is_taken_out_its_certificate_is_refused() {
    let Some(mut cluster) = Cluster::start(2).await else { return };
    cluster.create("web", 4, "keep").await;
    cluster.create("one", 2, "stop").await;
    cluster.settle("web", 4).await;
    cluster.settle("one", 2).await;
    assert!(!cluster.on_host("web", 1).await.is_empty() && !cluster.on_host("one", 1).await.is_empty());
    let (status, problem) = cluster.try_ask("DELETE", "/v1/nodes/n1", json!({})).await.unwrap();
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    cluster.ask("POST", "/v1/nodes/n1/drain", json!({})).await;
    cluster.wait_on(2, "web", 4).await;
    cluster.wait_on(2, "one", 2).await;
    eventually("removal", SOON, async || {
        let (status, problem) = cluster.try_ask("DELETE", "/v1/nodes/n1", json!({})).await?;
        if status == StatusCode::NO_CONTENT { Ok(()) } else { Err(problem.to_string()) }
    })
    .await;
    assert!(cluster.hosts.running(1).await.is_empty());
    let (mut running, mut began) = (0, 0);
    for turn in cluster.turns("web").await {
        running = if turn.began { running + 1 } else { running - 1 };
        began += usize::from(turn.began);
        assert!(began < 4 || running >= 4, "another one first, and then it goes");
    }

    // Neither the agent that runs, nor one that is started, nor whoever else has its certificate.
    cluster.agent(1).wait_for("refusal", SOON, |event| event.name().contains("has been taken out")).await;
    cluster.kill_agent(1).await;
    cluster.start_agent(1).await;
    let folder = cluster.hosts.path(1, "state");
    let refused = cluster.hosts.inside(Place::Host(1), async move || {
        let identity = Identity::load(&folder).unwrap().unwrap();
        renew(&Servers::new(vec![format!("https://{SECURE}")]), &identity, &folder).await.map(drop).unwrap_err()
    });
    let refused = refused.await;
    assert!(format!("{refused:#}").contains("403"), "{refused:#}");
    let nodes = cluster.ask("GET", "/v1/nodes", json!({})).await;
    assert_eq!(nodes.as_array().unwrap().iter().map(|one| name(one, "name")).collect::<Vec<_>>(), ["n2"]);
}

fn name(of: &Value, field: &str) -> String {
    of[field].as_str().unwrap().to_owned()
}
