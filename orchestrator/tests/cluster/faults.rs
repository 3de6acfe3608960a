//! What must hold when hosts, networks, agents and the server fail. The same on simulated engines, in more ways and
//! exact to the millisecond, is in `tests/fleet`.

use std::time::Duration;

use tokio::time::sleep;
use upbeat_testkit::eventually;

use super::SOON;
use super::cluster::{Cluster, most, now};

/// A replacement comes after 10 s (`keep`) or 16 s (`stop`, with a second to stop). Waits that would hide a failure of
/// that are longer by far.
const LATE: f64 = 40.0;

/// What is done at once is done by then.
const AT_ONCE: f64 = 20.0;

/// How long a cut is. Any longer one is the same to everybody, which takes a minute to be seen.
fn cut_for() -> Duration {
    let long = std::env::var_os("UPBEAT_LONG").is_some_and(|long| long == "1");
    Duration::from_secs(if long { 60 } else { 20 })
}

#[tokio::test]
async fn while_a_host_is_cut_off_there_are_enough_that_are_kept_and_never_too_many_of_those_that_are_stopped() {
    let Some(cluster) = Cluster::start(2).await else { return };
    cluster.create("web", 2, "keep").await;
    cluster.create("one", 2, "stop").await;
    let before = cluster.settle("web", 2).await;
    cluster.settle("one", 2).await;
    for service in ["web", "one"] {
        assert_eq!(cluster.on_host(service, 1).await.len(), 1, "they are on different hosts");
    }
    cluster.hosts.cut(1).await;
    let cut = now();
    cluster.wait_on(2, "web", 2).await;
    cluster.wait_on(2, "one", 2).await;
    assert_eq!(cluster.on_host("web", 1).await.len(), 1, "it goes on there");
    assert!(cluster.on_host("one", 1).await.is_empty());
    let whole = Duration::from_secs_f64((cut_for().as_secs_f64() - (now() - cut)).max(0.0));
    sleep(whole).await;
    cluster.hosts.mend(1).await;
    let mended = now();
    let after = cluster.settle("web", 2).await;
    cluster.wait_nodes(2, "up").await;
    cluster.settle("one", 2).await;

    let turns = cluster.turns("web").await;
    let replaced = turns.iter().find(|turn| turn.began && turn.at > cut).unwrap();
    let ended = turns.iter().find(|turn| !turn.began && turn.at > mended).unwrap();
    println!("keep: replaced after {:.1} s, back to two {:.1} s after mending", replaced.at - cut, ended.at - mended);
    assert!(replaced.at - cut < LATE && ended.at - mended < LATE, "{turns:?}");
    assert_eq!(replaced.host, 2);
    assert_eq!(most(&turns), 3, "the one that is cut off goes on: {turns:?}");
    for (slot, epochs) in &after {
        assert!(epochs >= &before[slot], "the highest stays: {before:?}, {after:?}");
    }
    assert!(after.values().any(|epochs| before.values().all(|known| known < epochs)), "{before:?}, {after:?}");

    let turns = cluster.turns("one").await;
    let ended = turns.iter().find(|turn| !turn.began && turn.at > cut).unwrap();
    let replaced = turns.iter().find(|turn| turn.began && turn.at > cut).unwrap();
    println!("stop: ended after {:.1} s, replaced after {:.1} s", ended.at - cut, replaced.at - cut);
    assert!((ended.host, replaced.host) == (1, 2) && ended.at < replaced.at, "{turns:?}");
    assert!(replaced.at - cut < LATE && most(&turns) == 2, "{turns:?}");
}

#[tokio::test]
async fn an_agentless_host_that_is_cut_off_is_replaced_and_what_may_run_once_is_not_begun_elsewhere() {
    let Some(mut cluster) = Cluster::without_agents(2).await else { return };
    cluster.add_agentless(1).await;
    cluster.start_agent(2).await;
    cluster.wait_nodes(2, "up").await;
    cluster.create("web", 2, "keep").await;
    cluster.create("one", 2, "stop").await;
    let before = cluster.settle("web", 2).await;
    cluster.settle("one", 2).await;
    assert_eq!(cluster.on_host("web", 1).await.len(), 1);
    cluster.hosts.cut(1).await;
    let cut = now();
    cluster.wait_on(2, "web", 2).await;
    // Nobody there stops it, so it may not run here, however long that takes.
    sleep(cut_for().saturating_sub(Duration::from_secs_f64(now() - cut))).await;
    cluster.hosts.mend(1).await;
    let mended = now();
    let after = cluster.settle("web", 2).await;
    cluster.wait_nodes(2, "up").await;
    let turns = cluster.turns("web").await;
    let replaced = turns.iter().find(|turn| turn.began && turn.at > cut).unwrap();
    let ended = turns.iter().find(|turn| !turn.began && turn.at > mended).unwrap();
    println!("keep: replaced after {:.1} s, back to two {:.1} s after mending", replaced.at - cut, ended.at - mended);
    assert!(replaced.at - cut < LATE && ended.at - mended < LATE, "{turns:?}");
    assert!(after.values().any(|epochs| before.values().all(|known| known < epochs)), "{before:?}, {after:?}");
    let turns = cluster.turns("one").await;
    assert!(turns.len() == 2 && turns.iter().all(|turn| turn.began), "nothing has become of them: {turns:?}");
}

#[tokio::test]
async fn an_agent_that_is_started_while_cut_off_stops_first_what_its_lease_was_for() {
    let Some(mut cluster) = Cluster::start(2).await else { return };
    cluster.create("web", 2, "keep").await;
    cluster.create("one", 2, "stop").await;
    cluster.settle("web", 2).await;
    cluster.settle("one", 2).await;
    cluster.hosts.cut(1).await;
    cluster.kill_agent(1).await;
    // Its lease was of ten seconds. Nobody has ended anything by then.
    cluster.server().wait_events("lost", 1, SOON).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.on_host("one", 1).await.len(), 1);
    let started = now();
    cluster.start_agent(1).await;
    cluster.wait_on(1, "one", 0).await;
    let turns = cluster.turns("one").await;
    let ended = turns.iter().find(|turn| turn.host == 1 && !turn.began).unwrap();
    assert!((0.0..AT_ONCE).contains(&(ended.at - started)), "started at {started}: {turns:?}");
    assert_eq!(cluster.on_host("web", 1).await.len(), 1, "it stops that alone");
    let (_, node) = cluster.try_ask("GET", "/v1/nodes/n1", serde_json::json!({})).await.unwrap();
    assert_eq!(node["status"], "lost", "all that without the server");
    cluster.wait_on(2, "one", 2).await;
    cluster.hosts.mend(1).await;
    cluster.wait_nodes(2, "up").await;
    cluster.settle("web", 2).await;
    cluster.settle("one", 2).await;
}

#[tokio::test]
async fn a_host_that_crashes_is_replaced_and_when_it_is_back_there_are_as_many_as_are_wanted() {
    let Some(mut cluster) = Cluster::start(2).await else { return };
    cluster.create("web", 3, "keep").await;
    cluster.create("one", 1, "stop").await;
    cluster.settle("web", 3).await;
    cluster.settle("one", 1).await;
    let host = if cluster.on_host("one", 1).await.is_empty() { 2 } else { 1 };
    let other = 3 - host;
    cluster.kill_agent(host).await;
    cluster.hosts.kill_engine(host).await;
    cluster.wait_on(other, "web", 3).await;
    cluster.wait_on(other, "one", 1).await;
    cluster.hosts.start_engine(host).await;
    cluster.start_agent(host).await;
    cluster.wait_nodes(2, "up").await;
    cluster.settle("web", 3).await;
    cluster.settle("one", 1).await;
    // What it had is taken away there, ended as it is.
    eventually("no leftovers", SOON, async || {
        let wanted = cluster.on_host("web", host).await.len() + cluster.on_host("one", host).await.len();
        let all = cluster.hosts.docker(host, &["ps", "--all", "--format", "{{.Names}}"]).await;
        if all.lines().count() == wanted { Ok(()) } else { Err(all) }
    })
    .await;
}
