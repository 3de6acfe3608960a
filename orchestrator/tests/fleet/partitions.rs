//! Nodes that can't be reached.

use std::time::Duration;

use tokio::time::sleep;
use upbeat_orchestrator::cluster::model::{Partition, Service};
use upbeat_orchestrator::runtime::simulator::Faults;

use super::{Fleet, SOON, service};

#[tokio::test(start_paused = true)]
async fn with_keep_a_lost_node_is_replaced_within_twelve_seconds_and_on_its_return_the_highest_epoch_stays() {
    let fleet = Fleet::of(3).await;
    fleet.put(service("web", 3)).await;
    fleet.settle("web", 3, SOON).await;
    let lost = fleet.hosts[0].engine.running();
    fleet.cut(0);
    sleep(Duration::from_secs(12)).await;
    assert_eq!(fleet.hosts[0].engine.running(), lost, "it goes on");
    assert_eq!(fleet.count("web"), 4, "and its replica runs elsewhere");
    fleet.stays("web", 3, 4, Duration::from_secs(48)).await;
    fleet.mend(0);
    fleet.settle("web", 3, Duration::from_secs(15)).await;
    assert!(fleet.slots("web").values().flatten().any(|epoch| *epoch == 4), "{:?}", fleet.slots("web"));
    assert!(fleet.hosts[0].engine.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_stop_there_are_never_more_and_a_lost_node_is_replaced_within_27_seconds() {
    let fleet = Fleet::of(3).await;
    fleet.put(Service { partition: Partition::Stop, ..service("one", 3) }).await;
    fleet.settle("one", 3, SOON).await;
    fleet.cut(0);
    fleet.stays("one", 2, 3, Duration::from_secs(27)).await;
    assert_eq!(fleet.count("one"), 3);
    assert!(fleet.hosts[0].engine.running().is_empty());
    fleet.stays("one", 3, 3, Duration::from_secs(33)).await;
    fleet.mend(0);
    fleet.stays("one", 3, 3, Duration::from_mins(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_may_run_in_one_place_only_is_not_begun_after_its_lease_however_long_its_creation_took() {
    let fleet = Fleet::of(2).await;
    for host in &fleet.hosts {
        // As a large image that is pulled over a slow line.
        host.engine.set_faults(Faults { creates_in: Duration::from_secs(20), ..Faults::default() });
    }
    fleet.put(Service { partition: Partition::Stop, ..service("one", 1) }).await;
    sleep(Duration::from_secs(1)).await;
    fleet.cut(0);
    fleet.stays("one", 0, 1, Duration::from_mins(2)).await;
    fleet.settle("one", 1, SOON).await;
    assert_eq!(fleet.nodes_of("one"), ["n2".to_owned()].into());
    assert!(fleet.hosts[0].engine.calls().iter().all(|call| call.what != "start"));
}

#[tokio::test(start_paused = true)]
async fn many_that_take_their_time_to_stop_have_stopped_when_others_are_begun() {
    let mut fleet = Fleet::of(1).await;
    fleet.put(Service { partition: Partition::Stop, ..service("one", 9) }).await;
    fleet.settle("one", 9, SOON).await;
    fleet.add("n2", &[]).await;
    fleet.add("n3", &[]).await;
    fleet.hosts[0].engine.set_faults(Faults { stops_in: Duration::from_secs(10), ..Faults::default() });
    fleet.cut(0);
    fleet.stays("one", 0, 9, Duration::from_mins(1)).await;
    fleet.settle("one", 9, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_killed_in_a_cut_and_started_again_stops_first_what_its_lease_was_for() {
    let mut fleet = Fleet::of(3).await;
    fleet.put(Service { partition: Partition::Stop, ..service("one", 3) }).await;
    fleet.settle("one", 3, SOON).await;
    fleet.cut(0);
    sleep(Duration::from_secs(2)).await;
    fleet.kill_agent(0);
    fleet.stays("one", 3, 3, Duration::from_secs(8)).await;
    fleet.mend(0);
    fleet.start_agent(0);
    fleet.stays("one", 2, 3, Duration::from_mins(1)).await;
    assert_eq!(fleet.count("one"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lease_counts_from_what_the_server_heard_though_its_answer_came_later() {
    let fleet = Fleet::of(2).await;
    fleet.put(Service { partition: Partition::Stop, ..service("one", 1) }).await;
    fleet.settle("one", 1, SOON).await;
    let silent = async || fleet.server().read(|view| view.sight.silent("n1", view.now)).await.unwrap();
    // It has just told, and is answered in two seconds: by then nothing that it sends arrives any more.
    sleep(SOON).await;
    while silent().await > Duration::from_millis(200) {
        sleep(Duration::from_millis(50)).await;
    }
    fleet.hosts[0].requests.send_replace(false);
    while silent().await < Duration::from_millis(10_600) {
        sleep(Duration::from_millis(50)).await;
    }
    assert!(fleet.hosts[0].engine.running().is_empty(), "{:?}", fleet.running());
}

#[tokio::test(start_paused = true)]
async fn with_hold_nothing_is_done_until_a_person_takes_the_node_out() {
    let fleet = Fleet::of(2).await;
    fleet.put(Service { partition: Partition::Hold, ..service("db", 2) }).await;
    fleet.settle("db", 2, SOON).await;
    fleet.cut(0);
    fleet.stays("db", 2, 2, Duration::from_mins(5)).await;
    assert!(fleet.server().remove_node("n1", false).await.is_err());
    fleet.server().remove_node("n1", true).await.unwrap();
    sleep(SOON).await;
    assert_eq!(fleet.hosts[1].engine.running().len(), 2);
    // Should it come back all the same, it finds out that it is no node any more.
    assert_eq!(fleet.count("db"), 3);
    fleet.mend(0);
    sleep(SOON).await;
    assert!(fleet.hosts[0].engine.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_storm_reschedules_nothing_until_it_is_over() {
    let fleet = Fleet::of(4).await;
    fleet.put(service("web", 4)).await;
    fleet.settle("web", 4, SOON).await;
    let mut events = fleet.server().events();
    fleet.cut(0);
    fleet.cut(1);
    fleet.stays("web", 4, 4, Duration::from_mins(10)).await;
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(event.event);
    }
    assert_eq!(told, ["lost", "lost", "storm"]);
    fleet.mend(0);
    sleep(SOON).await;
    // The other one is left alone until somebody takes it out.
    fleet.stays("web", 4, 4, Duration::from_mins(1)).await;
    fleet.server().remove_node("n2", true).await.unwrap();
    sleep(SOON).await;
    assert_eq!(fleet.count("web"), 5, "the one that was taken out still runs its own");
}

#[tokio::test(start_paused = true)]
async fn a_node_goes_on_healing_while_the_server_is_down_and_nothing_moves_when_it_is_back() {
    let mut fleet = Fleet::of(3).await;
    fleet.put(service("web", 3)).await;
    fleet.put(Service { partition: Partition::Stop, ..service("one", 3) }).await;
    fleet.settle("web", 3, SOON).await;
    fleet.settle("one", 3, SOON).await;
    let (web, one) = (fleet.slots("web"), fleet.slots("one"));
    fleet.kill_server();
    for host in &fleet.hosts {
        for name in host.engine.running() {
            host.engine.kill(&name);
        }
    }
    fleet.settle("web", 3, SOON).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(fleet.count("one"), 0, "without a lease");
    fleet.start_server();
    fleet.settle("one", 3, SOON).await;
    sleep(Duration::from_mins(2)).await;
    assert_eq!((fleet.slots("web"), fleet.slots("one")), (web, one), "no other epochs");
}

#[tokio::test(start_paused = true)]
async fn while_nothing_can_be_kept_nothing_is_changed_and_nodes_go_on() {
    let fleet = Fleet::of(2).await;
    fleet.put(service("web", 2)).await;
    fleet.settle("web", 2, SOON).await;
    fleet.records.set_broken(true);
    assert!(fleet.server().put_service(service("app", 1), None).await.is_err());
    fleet.hosts[0].engine.kill(&fleet.hosts[0].engine.running()[0].clone());
    fleet.settle("web", 2, SOON).await;
    fleet.cut(1);
    fleet.stays("web", 2, 2, Duration::from_mins(1)).await;
    fleet.records.set_broken(false);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(fleet.count("web"), 3, "{:?}", fleet.running());
    assert_eq!(fleet.count("app"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_engine_hangs_is_lost_too_but_what_may_run_once_is_not_begun_elsewhere() {
    let fleet = Fleet::of(3).await;
    fleet.put(service("web", 3)).await;
    fleet.put(Service { partition: Partition::Stop, ..service("one", 3) }).await;
    fleet.settle("web", 3, SOON).await;
    fleet.settle("one", 3, SOON).await;
    let hangs = Faults { hangs: true, ..Faults::default() };
    fleet.hosts[0].engine.set_faults(hangs);
    sleep(Duration::from_mins(2)).await;
    assert_eq!(fleet.count("web"), 4);
    assert_eq!(fleet.count("one"), 3);
    fleet.hosts[0].engine.set_faults(Faults::default());
    fleet.settle("web", 3, Duration::from_secs(15)).await;
}
