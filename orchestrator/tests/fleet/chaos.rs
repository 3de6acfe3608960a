//! Whatever happens in whatever order: in the end there is what is wanted, once each; and never twice what may run once.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use upbeat_orchestrator::cluster::model::{Admission, Partition, Service};

use super::{Fleet, other, service};

/// How long everything may take to be as wanted once nothing more happens.
const CALM: Duration = Duration::from_mins(3);

async fn upheaval(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut fleet = Fleet::of(4).await;
    let mut web = service("web", 5);
    fleet.put(web.clone()).await;
    let one = Service { partition: Partition::Stop, ..service("one", 3) };
    fleet.put(one).await;
    let mut server_up = true;
    for _ in 0..30 {
        let host = random.usize(..fleet.hosts.len());
        match random.u32(..12) {
            0 | 1 => fleet.cut(host),
            2 | 3 => fleet.mend(host),
            4 => {
                // Whoever looks after agents starts them again before what they were to stop is begun elsewhere.
                fleet.kill_agent(host);
                sleep(Duration::from_millis(random.u64(..5000))).await;
                fleet.start_agent(host);
            }
            5 => fleet.hosts[host].engine.crash(),
            6 => {
                let running = fleet.hosts[host].engine.running();
                if let Some(name) = running.first() {
                    fleet.hosts[host].engine.remove(name);
                }
            }
            7 => {
                if server_up {
                    fleet.kill_server();
                } else {
                    fleet.start_server();
                }
                server_up = !server_up;
            }
            8 if server_up => {
                web = other(&web, &format!("made {}", random.u32(..)));
                fleet.put(web.clone()).await;
            }
            9 if server_up => drop(fleet.server().scale("web", random.u32(1..8)).await.unwrap()),
            10 if server_up => {
                let admission = [Admission::Open, Admission::Draining, Admission::Cordoned][random.usize(..3)];
                fleet.server().admit(&format!("n{}", host + 1), admission).await.unwrap();
            }
            _ => {}
        }
        let until = Instant::now() + Duration::from_millis(random.u64(50..20_000));
        while Instant::now() < until {
            let slots = fleet.slots("one");
            assert!(slots.values().all(|epochs| epochs.len() == 1), "seed {seed}: {slots:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }
    if !server_up {
        fleet.start_server();
    }
    for host in 0..fleet.hosts.len() {
        fleet.mend(host);
        fleet.server().admit(&format!("n{}", host + 1), Admission::Open).await.unwrap();
    }
    let wanted = fleet.server().read(|view| view.cluster.services["web"].service.replicas).await.unwrap();
    fleet.settle("web", wanted as usize, CALM).await;
    fleet.settle("one", 3, CALM).await;
    // And then nothing more is done.
    sleep(CALM).await;
    let quiet = fleet.running();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(fleet.running(), quiet, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn after_any_upheaval_there_is_what_is_wanted() {
    for seed in 0..8 {
        upheaval(seed).await;
    }
}
