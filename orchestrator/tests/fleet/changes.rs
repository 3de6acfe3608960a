//! Services and nodes that come, change and go.

use std::time::Duration;

use tokio::time::sleep;
use upbeat_orchestrator::cluster::commands::Put;
use upbeat_orchestrator::cluster::model::{Admission, HostPort, Partition, Service};
use upbeat_orchestrator::cluster::server::Refusal;

use super::{Fleet, SOON, other, service};

#[tokio::test(start_paused = true)]
async fn replicas_are_spread_over_the_nodes_and_removed_without_a_trace() {
    let fleet = Fleet::of(3).await;
    fleet.put(service("web", 7)).await;
    fleet.settle("web", 7, SOON).await;
    let mut counts: Vec<_> = fleet.running().iter().map(Vec::len).collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 3]);
    fleet.server().scale("web", 2).await.unwrap();
    fleet.settle("web", 2, SOON).await;
    fleet.server().remove_service("web").await.unwrap();
    fleet.settle("web", 0, SOON).await;
    sleep(SOON).await;
    let server = fleet.server();
    assert!(server.read(|view| view.cluster.services.is_empty() && view.cluster.slots.is_empty()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_same_again_changes_nothing_and_an_older_revision_is_refused() {
    let fleet = Fleet::of(1).await;
    let server = fleet.server();
    assert_eq!(server.put_service(service("web", 1), Some(0)).await, Ok((Put::Created, 1)));
    assert_eq!(server.put_service(service("web", 1), None).await, Ok((Put::Unchanged, 1)));
    assert!(matches!(server.put_service(service("web", 2), Some(0)).await, Err(Refusal::Precondition(_))));
    assert_eq!(server.put_service(service("web", 2), Some(1)).await, Ok((Put::Updated, 2)));
    assert!(matches!(server.scale("app", 2).await, Err(Refusal::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_replaces_one_replica_after_the_other_and_never_leaves_fewer() {
    let fleet = Fleet::of(3).await;
    let web = service("web", 4);
    fleet.put(web.clone()).await;
    fleet.settle("web", 4, SOON).await;
    let before = fleet.slots("web");
    fleet.put(other(&web, "second")).await;
    fleet.stays("web", 4, 5, Duration::from_mins(1)).await;
    fleet.settle("web", 4, SOON).await;
    let after = fleet.slots("web");
    assert!(before.iter().all(|(slot, epochs)| after[slot] > *epochs), "{before:?} {after:?}");
}

#[tokio::test(start_paused = true)]
async fn what_may_run_in_one_place_only_is_stopped_before_it_is_replaced() {
    let fleet = Fleet::of(2).await;
    let web = Service { partition: Partition::Stop, ..service("web", 2) };
    fleet.put(web.clone()).await;
    fleet.settle("web", 2, SOON).await;
    fleet.put(other(&web, "second")).await;
    fleet.stays("web", 1, 2, Duration::from_mins(1)).await;
    assert!(fleet.slots("web").values().flatten().all(|epoch| *epoch > 2), "{:?}", fleet.slots("web"));
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_does_not_work_stops_at_its_first_replica() {
    let fleet = Fleet::of(2).await;
    let web = service("web", 3);
    fleet.put(web.clone()).await;
    fleet.settle("web", 3, SOON).await;
    let before = fleet.slots("web");
    for host in &fleet.hosts {
        host.engine
            .set_faults(upbeat_orchestrator::runtime::simulator::Faults { refusals: 1000, ..Default::default() });
    }
    fleet.put(other(&web, "second")).await;
    fleet.stays("web", 3, 3, Duration::from_mins(2)).await;
    assert_eq!(fleet.slots("web"), before);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_loses_everything_and_is_given_nothing() {
    let mut fleet = Fleet::of(2).await;
    fleet.put(service("web", 4)).await;
    fleet.put(Service { partition: Partition::Stop, ..service("one", 2) }).await;
    fleet.settle("web", 4, SOON).await;
    fleet.settle("one", 2, SOON).await;
    assert!(matches!(fleet.server().remove_node("n1", false).await, Err(Refusal::Conflict(_))));
    fleet.server().admit("n1", Admission::Draining).await.unwrap();
    fleet.stays("web", 4, 8, Duration::from_secs(20)).await;
    fleet.settle("one", 2, SOON).await;
    fleet.settle("web", 4, SOON).await;
    assert!(fleet.hosts[0].engine.running().is_empty());
    fleet.server().remove_node("n1", false).await.unwrap();
    fleet.put(service("app", 2)).await;
    fleet.settle("app", 2, SOON).await;
    assert!(fleet.hosts[0].engine.running().is_empty());
    // One that comes later takes its share, once it has been there for a while.
    fleet.add("n3", &[]).await;
    sleep(Duration::from_secs(90)).await;
    fleet.settle("web", 4, SOON).await;
    assert_eq!(fleet.hosts[2].engine.running().iter().filter(|name| name.starts_with("web")).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn replicas_go_only_where_labels_ports_and_room_allow_and_the_rest_waits() {
    let mut fleet = Fleet::of(2).await;
    fleet.add("ssd", &[("disk", "ssd")]).await;
    let db = Service { placement: [("disk".to_owned(), "ssd".to_owned())].into(), ..service("db", 2) };
    fleet.put(db).await;
    fleet.settle("db", 2, SOON).await;
    assert_eq!(fleet.nodes_of("db"), ["ssd".to_owned()].into());
    let port = HostPort { port: 80, udp: false };
    fleet.put(Service { host_ports: vec![port], ..service("web", 5) }).await;
    fleet.settle("web", 3, SOON).await;
    let waiting = fleet.server().read(|view| view.waiting.values().cloned().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(waiting, ["no node takes it: 3 one whose port is taken"; 2]);
    fleet.put(service("big", 100)).await;
    sleep(SOON).await;
    assert_eq!(fleet.running().iter().map(Vec::len).sum::<usize>(), 30, "as much as there is room for");
    fleet.server().remove_service("big").await.unwrap();
    fleet.settle("big", 0, SOON).await;
    fleet.add("n4", &[]).await;
    fleet.settle("web", 4, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_with_ports_is_replaced_where_it_is_if_there_is_nowhere_else() {
    let fleet = Fleet::of(1).await;
    let web = Service { host_ports: vec![HostPort { port: 80, udp: false }], ..service("web", 1) };
    fleet.put(web.clone()).await;
    fleet.settle("web", 1, SOON).await;
    fleet.put(other(&web, "second")).await;
    sleep(SOON).await;
    assert_eq!(fleet.slots("web"), [(0, vec![2])].into());
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_left_alone_until_it_is_released() {
    let fleet = Fleet::of(1).await;
    fleet.put(service("web", 1)).await;
    fleet.settle("web", 1, SOON).await;
    let hold = upbeat_orchestrator::store::Hold { reason: "a look inside".to_owned(), since: 0 };
    fleet.server().hold("web", Some(hold)).await.unwrap();
    sleep(SOON).await;
    fleet.hosts[0].engine.kill("web.0.1");
    fleet.stays("web", 0, 0, Duration::from_mins(1)).await;
    fleet.server().hold("web", None).await.unwrap();
    fleet.settle("web", 1, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn containers_of_others_are_never_touched() {
    let mut fleet = Fleet::of(1).await;
    let engine = fleet.hosts[0].engine.clone();
    engine.run("theirs", upbeat_orchestrator::runtime::simulator::Behaviour::default());
    engine.run("web.0.1", upbeat_orchestrator::runtime::simulator::Behaviour::default());
    fleet.put(service("web", 1)).await;
    sleep(SOON).await;
    assert!(engine.calls().is_empty(), "{:?}", engine.calls());
    // The name is taken: another node takes it.
    fleet.add("n2", &[]).await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(fleet.hosts[0].engine.running(), ["theirs", "web.0.1"]);
}
