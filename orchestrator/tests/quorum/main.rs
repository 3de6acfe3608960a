//! Several servers, each a process of its own, of which some are killed, stopped for a while, taken out and replaced.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod measure;
mod servers;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use axum::http::StatusCode;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use upbeat_testkit::eventually;

use servers::{Host, SOON, Servers};

/// How many services are asked for while a leader is killed, and how often one is.
const SERVICES: usize = 30;
const ROUNDS: usize = 3;

/// What containers there are on these hosts.
fn running(hosts: &[Host]) -> Vec<String> {
    hosts.iter().flat_map(|host| host.engine.running()).collect()
}

fn service(name: &str, replicas: usize, partition: &str) -> Value {
    json!({"name": name, "image": "app:1", "replicas": replicas, "partition": partition})
}

#[tokio::test]
async fn what_was_answered_is_kept_whichever_server_is_killed_and_no_slot_is_given_twice() {
    let mut servers = Servers::of(3).await;
    let hosts = [servers.node("n1").await, servers.node("n2").await];
    servers.ask("POST", "/create", service("one", 2, "stop")).await;
    eventually("one", SOON, async || {
        let running = running(&hosts);
        if running.len() == 2 { Ok(()) } else { Err(format!("{running:?}")) }
    })
    .await;
    let first = running(&hosts);

    let mut answered = BTreeSet::new();
    for round in 0..ROUNDS {
        let leader = servers.leader().await;
        for number in 0..SERVICES {
            let name = format!("s{round}-{number}");
            if number == SERVICES / 2 {
                servers.kill(leader).await;
            }
            // Of the one that is killed on; whoever asks finds the next.
            let (began, mut asked) = (Instant::now(), leader);
            loop {
                match servers.try_ask(asked, "POST", "/create", service(&name, 1, "keep")).await {
                    Ok((StatusCode::ACCEPTED | StatusCode::OK, _)) => {
                        answered.insert(name);
                        break;
                    }
                    Ok((StatusCode::SERVICE_UNAVAILABLE | StatusCode::TEMPORARY_REDIRECT, _)) | Err(_) => {}
                    Ok(other) => panic!("{other:?}"),
                }
                assert!(began.elapsed() < SOON, "nobody takes {name}");
                asked = servers.leader().await;
            }
        }
        servers.start(leader, None).await;
        servers.wait_voters(3).await;
    }

    let wanted = ROUNDS * SERVICES + 2;
    let known = servers.ask("GET", "/v1/services", json!({})).await;
    let known: BTreeSet<_> =
        known.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    assert!(answered.is_subset(&known), "{answered:?} {known:?}");
    eventually("all of them", SOON, async || {
        let count = running(&hosts).len();
        if count == wanted { Ok(()) } else { Err(format!("{count} of {wanted}")) }
    })
    .await;
    sleep(Duration::from_secs(5)).await;
    let last = running(&hosts);
    let slots: BTreeSet<_> = last.iter().map(|name| name.rsplit_once('.').unwrap().0).collect();
    assert_eq!((last.len(), slots.len()), (wanted, wanted), "one in each slot: {last:?}");
    assert!(first.iter().all(|one| last.contains(one)), "leases outlive a leader: {first:?} {last:?}");
    let deeds = hosts.iter().flat_map(|host| host.engine.calls());
    assert!(deeds.into_iter().all(|call| !["stop", "restart"].contains(&call.what)));
}

#[tokio::test]
async fn a_leader_that_was_stopped_for_a_while_does_not_act_when_it_goes_on() {
    let mut servers = Servers::of(3).await;
    let before = servers.leader().await;
    let process = servers.process(before);
    process.signal(Signal::SIGSTOP);
    // It is asked by a connection that waits for it.
    let others: Vec<_> = (0..3).filter(|server| *server != before).collect();
    let next = eventually("another leader", SOON, async || {
        for server in &others {
            if let Ok((StatusCode::OK, _)) = servers.try_ask(*server, "GET", "/status", json!({})).await {
                return Ok(*server);
            }
        }
        Err("none".to_owned())
    })
    .await;
    let asked = async {
        let read = servers.try_ask(before, "GET", "/status", json!({}));
        let write = servers.try_ask(before, "POST", "/create", service("web", 1, "keep"));
        tokio::join!(read, write)
    };
    let goes_on = async {
        sleep(Duration::from_millis(300)).await;
        process.signal(Signal::SIGCONT);
    };
    let ((read, write), ()) = tokio::join!(asked, goes_on);
    for answer in [read, write] {
        let (status, why) = answer.unwrap();
        assert!([307, 503].contains(&status.as_u16()), "{status} {why}");
    }
    servers.wait_voters(3).await;
    assert_eq!(servers.leader().await, next);
    // Of the one that leads no more, nothing is counted.
    eventually("no figures", SOON, async || {
        let metrics = servers.process(before).get("/metrics").await.body;
        let none = metrics.contains("orchestrator_leads 0\n") && !metrics.contains("orchestrator_nodes{");
        if none { Ok(()) } else { Err(metrics) }
    })
    .await;
    servers.kill(next).await;
}

#[tokio::test]
async fn a_large_change_reaches_all_servers_also_one_that_comes_later() {
    let mut servers = Servers::of(2).await;
    let hosts = [servers.node("n1").await, servers.node("n2").await];
    servers.ask("POST", "/create", service("web", 600, "keep")).await;
    eventually("600 replicas", SOON, async || {
        let count = running(&hosts).len();
        if count == 600 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
    servers.wait_voters(2).await;
    servers.add(Some(0)).await;
    servers.wait_voters(3).await;
    let leader = servers.leader().await;
    servers.kill(leader).await;
    let web = servers.ask("GET", "/v1/services/web", json!({})).await;
    assert_eq!(web["replicas"], 600, "{web}");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(running(&hosts).len(), 600);
}

#[tokio::test]
async fn without_a_majority_nothing_is_answered_and_with_one_it_goes_on() {
    let mut servers = Servers::of(3).await;
    servers.ask("POST", "/create", service("web", 1, "keep")).await;
    let leader = servers.leader().await;
    let others: Vec<_> = (0..3).filter(|server| *server != leader).collect();
    for server in &others {
        servers.kill(*server).await;
    }
    eventually("no leader", SOON, async || match servers.try_ask(leader, "GET", "/status", json!({})).await? {
        (StatusCode::SERVICE_UNAVAILABLE, _) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let (status, why) = servers.try_ask(leader, "POST", "/create", service("app", 1, "keep")).await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{why}");
    eventually("not ready", SOON, async || {
        let ready = servers.process(leader).ready().await;
        if ready.status == 503 && ready.body.contains("majority") { Ok(()) } else { Err(ready.body) }
    })
    .await;
    assert_eq!(servers.process(leader).health().await.status, 200, "to start it again would not help");
    let (status, known) = servers.try_ask(leader, "GET", "/v1/servers", json!({})).await.unwrap();
    assert_eq!((status, known.as_array().unwrap().len()), (StatusCode::OK, 3), "{known}");
    servers.start(others[0], None).await;
    let services = servers.ask("GET", "/v1/services", json!({})).await;
    assert_eq!(services.as_array().unwrap()[0]["name"], "web", "{services}");
}

#[tokio::test]
async fn a_single_server_becomes_the_first_of_several_and_all_of_them_can_be_replaced() {
    let mut servers = Servers::none();
    let first = servers.add_single().await;
    servers.ask("POST", "/create", service("web", 1, "keep")).await;
    servers.kill(first).await;
    servers.start(first, None).await;
    for server in 1..3 {
        servers.add(Some(first)).await;
        servers.wait_voters(server + 1).await;
    }
    servers.ask("POST", "/create", service("app", 1, "keep")).await;

    // What was there before there was a log has reached those that came later.
    servers.kill(first).await;
    let lead = servers.leader().await;
    let of = |servers: &Value, url: &str| {
        let all = servers.as_array().unwrap();
        all.iter().find(|server| server["url"] == url).map(|server| server["id"].as_str().unwrap().to_owned())
    };
    let known = servers.ask("GET", "/v1/servers", json!({})).await;
    let (status, why) = servers
        .try_ask(lead, "DELETE", &format!("/v1/servers/{}", of(&known, &servers.url(lead)).unwrap()), json!({}))
        .await
        .unwrap();
    assert_eq!(status, StatusCode::CONFLICT, "{why}");
    servers.ask("DELETE", &format!("/v1/servers/{}", of(&known, &servers.url(first)).unwrap()), json!({})).await;
    servers.wait_voters(2).await;
    let fourth = servers.add(Some(lead)).await;
    servers.wait_voters(3).await;
    servers.kill(lead).await;
    let left = servers.leader().await;
    assert!(left != first && left != lead && left <= fourth);
    let services = servers.ask("GET", "/v1/services", json!({})).await;
    let names: Vec<_> = services.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["app", "web"]);
    let (status, why) = servers.try_ask(left, "DELETE", "/v1/servers/1", json!({})).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND, "{why}");
    let (status, why) = servers.try_ask(left, "DELETE", "/v1/servers/x-y", json!({})).await.unwrap();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{why}");
}

#[tokio::test]
async fn what_would_lose_a_cluster_or_split_it_is_refused() {
    let mut servers = Servers::of(1).await;
    servers.leader().await;
    servers.kill(0).await;
    let refused = async |servers: &Servers, server: usize, variables: &[(&str, String)], because: &str| {
        let command = servers.command(server);
        let command = variables.iter().fold(command, |command, (name, value)| command.env(name, value.clone()));
        let process = command.spawn().await;
        assert_ne!(process.wait_exit(SOON).await, 0);
        eventually(because, SOON, async || {
            let lines = process.lines().join("\n");
            if lines.contains(because) { Ok(()) } else { Err(lines) }
        })
        .await;
    };
    refused(&servers, 0, &[], "--advertise (ADVERTISE)").await;
    let other = || ("ADVERTISE", "https://localhost:1".to_owned());
    refused(&servers, 0, &[other()], "the others know this server as").await;
    let join = || ("JOIN", "https://localhost:1".to_owned());
    refused(&servers, 0, &[("ADVERTISE", servers.url(0)), join()], "one of those to be joined").await;

    // A single server's own.
    let single = servers.add_single().await;
    servers.kill(single).await;
    refused(&servers, single, &[("ADVERTISE", servers.url(single)), join()], "there is a cluster in --state").await;

    // One of another authority is none of them.
    servers.start(0, None).await;
    servers.wait_voters(1).await;
    let stranger = servers.add_stranger(0).await;
    servers.process(stranger).wait_for("refusal", SOON, |event| event.name().contains("cannot join yet")).await;
    assert_eq!(servers.ask("GET", "/v1/servers", json!({})).await.as_array().unwrap().len(), 1);
    for path in ["append", "vote", "snapshot"] {
        let (status, why) = servers.try_ask(0, "POST", &format!("/v1/quorum/{path}"), json!({})).await.unwrap();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{why}");
    }
    let new = json!({"id": "1", "url": "https://localhost:1"});
    let (status, why) = servers.try_ask(0, "POST", "/v1/servers", new).await.unwrap();
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{why}");
    let log = fs::read_to_string(servers.state(0).join("admin-token")).unwrap();
    assert!(!servers.process(0).lines().join("\n").contains(log.trim()));
}
