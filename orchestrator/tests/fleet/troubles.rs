//! Replicas that fail, wherever they are.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use upbeat_orchestrator::container::Health;
use upbeat_orchestrator::runtime::simulator::Faults;

use super::{Fleet, SOON, service};

#[tokio::test(start_paused = true)]
async fn a_replica_that_keeps_failing_is_tried_on_another_node() {
    let fleet = Fleet::of(2).await;
    let refuses = Faults { refusals: u32::MAX, ..Faults::default() };
    // The one that is asked first.
    fleet.hosts[0].engine.set_faults(refuses);
    fleet.put(service("web", 1)).await;
    fleet.settle("web", 1, Duration::from_mins(3)).await;
    assert_eq!(fleet.nodes_of("web"), ["n2".to_owned()].into());
}

#[tokio::test(start_paused = true)]
async fn when_all_are_ill_a_quarter_of_the_service_is_restarted_at_a_time() {
    let fleet = Fleet::of(4).await;
    fleet.put(service("web", 8)).await;
    fleet.settle("web", 8, SOON).await;
    for host in &fleet.hosts {
        for name in host.engine.running() {
            host.engine.set_health(&name, Health::Unhealthy);
        }
    }
    // Those that were restarted have no check of their own here, and count as settling for half a minute.
    let mut restarts = Vec::new();
    for host in &fleet.hosts {
        assert!(host.engine.calls().iter().all(|call| call.what != "stop"));
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(100)).await;
    }
    for host in &fleet.hosts {
        restarts.extend(host.engine.calls().into_iter().filter(|call| call.what == "stop"));
    }
    assert_eq!(restarts.len(), 2, "{restarts:?}");
    sleep(Duration::from_mins(4)).await;
    for host in &fleet.hosts {
        let names: std::collections::BTreeSet<_> =
            host.engine.calls().into_iter().filter(|call| call.what == "stop").map(|call| call.name).collect();
        assert_eq!(names.len(), 2, "in the end each had its turn");
    }
}
