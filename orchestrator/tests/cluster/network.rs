//! The hosts themselves: that what the other tests break is broken, and whole again.

use std::time::Duration;

use upbeat_testkit::eventually;

use super::{Hosts, IMAGE, Place, SOON, STEADY};

/// Long enough to hear of a connection on this machine, if it comes.
const A_WHILE: Duration = Duration::from_secs(3);

async fn wait_reached(hosts: &Hosts, place: Place, host: usize) {
    eventually(&format!("way to host {host}"), SOON, async || {
        hosts.connect(place, Hosts::address(host, 2375), A_WHILE).await
    })
    .await;
}

#[tokio::test]
async fn a_host_that_is_cut_off_is_reached_by_nobody_and_again_when_it_is_mended() {
    let Some(hosts) = Hosts::start(2).await else { return };
    for (place, host) in [(Place::Middle, 1), (Place::Middle, 2), (Place::Host(1), 2), (Place::Host(2), 1)] {
        wait_reached(&hosts, place, host).await;
    }
    hosts.cut(1).await;
    for (place, host) in [(Place::Middle, 1), (Place::Host(2), 1), (Place::Host(1), 2)] {
        assert!(hosts.connect(place, Hosts::address(host, 2375), A_WHILE).await.is_err(), "{place:?} to {host}");
    }
    // The others are as they were, and so is what the host has itself.
    wait_reached(&hosts, Place::Middle, 2).await;
    hosts.docker(1, &["version"]).await;
    hosts.mend(1).await;
    for (place, host) in [(Place::Middle, 1), (Place::Host(2), 1), (Place::Host(1), 2)] {
        wait_reached(&hosts, place, host).await;
    }
    let answer = hosts.request(Place::Middle, "GET", "http://10.77.0.11:2375/_ping", "").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "OK"));
}

#[tokio::test]
async fn an_engine_that_was_killed_comes_back_with_what_it_had_ended() {
    let Some(mut hosts) = Hosts::start(2).await else { return };
    for host in hosts.all() {
        hosts.docker(host, &["run", "--detach", "--name", "web", IMAGE, "sh", "-c", STEADY]).await;
    }
    hosts.kill_engine(1).await;
    assert_eq!(hosts.running(2).await, ["web"]);
    hosts.start_engine(1).await;
    eventually("end of the container", SOON, async || {
        let state = hosts.docker(1, &["inspect", "--format", "{{.State.Status}}", "web"]).await;
        if state == "exited" { Ok(()) } else { Err(state) }
    })
    .await;
    hosts.docker(1, &["start", "web"]).await;
    assert_eq!(hosts.running(1).await, ["web"]);
    assert_eq!(hosts.running(2).await, ["web"], "of another host nothing is known here");
}

#[tokio::test]
async fn an_orchestrator_runs_on_its_host_and_is_asked_there() {
    let Some(hosts) = Hosts::start(2).await else { return };
    hosts.docker(2, &["run", "--detach", "--name", "web", IMAGE, "sh", "-c", STEADY]).await;
    let address = Hosts::address(2, 8080).to_string();
    let command = hosts.orchestrator(Place::Host(2)).await.env("LISTEN", &address).arg("--public-status");
    let orchestrator = command.start().await;
    assert_eq!(orchestrator.wait_listening().await.to_string(), address);
    let url = format!("http://{address}/containers");
    let told = eventually("containers", SOON, async || {
        let answer = hosts.request(Place::Host(1), "GET", &url, "").await?;
        if answer.body.contains("web") { Ok(answer.body) } else { Err(answer.body) }
    })
    .await;
    assert!(told.contains("running"), "{told}");
}
