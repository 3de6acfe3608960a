//! Services whose containers are asked by HTTP whether they are well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use upbeat_orchestrator::cluster::model::{ProbeRule, Service};
use upbeat_orchestrator::container::{Container, SPEC};
use upbeat_orchestrator::runtime::NoAnswer;

use super::{Fleet, SOON, other, service};

fn probed(replicas: u32) -> Service {
    let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(5));
    let probe = ProbeRule { port: 80, path: "/".to_owned(), interval, timeout };
    Service { probe: Some(probe), ..service("web", replicas) }
}

fn failed() -> Result<(), NoAnswer> {
    Err(NoAnswer::Failed("it answers 500".to_owned()))
}

impl Fleet {
    /// Has all containers answer this to their probes.
    fn answer(&self, answers: impl Fn(&Container, Duration) -> Result<(), NoAnswer> + Clone + Send + 'static) {
        for host in &self.hosts {
            host.engine.set_answers(answers.clone());
        }
    }

    /// Names of the replicas that are ready, by what nodes tell.
    async fn ready(&self) -> Vec<String> {
        let server = self.server();
        let ready = server.read(|view| {
            let seen = view.sight.nodes.values().flat_map(|node| &node.report.replicas);
            seen.filter(|(_, seen)| seen.is_ready()).map(|(name, _)| name.clone()).collect()
        });
        ready.await.unwrap()
    }

    async fn wait_ready(&self, count: usize, limit: Duration) -> Duration {
        let began = Instant::now();
        while self.ready().await.len() != count {
            assert!(began.elapsed() < limit, "after {limit:?}: {:?}", self.ready().await);
            sleep(Duration::from_millis(50)).await;
        }
        began.elapsed()
    }

    /// How often each container was stopped.
    fn stops(&self) -> BTreeMap<String, usize> {
        let mut stops = BTreeMap::new();
        let calls = self.hosts.iter().flat_map(|host| host.engine.calls());
        for call in calls.filter(|call| call.what == "stop") {
            *stops.entry(call.name).or_default() += 1;
        }
        stops
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_is_ready_once_it_has_answered_well_and_soon_after_it_can() {
    let fleet = Fleet::of(2).await;
    fleet.answer(|_, running| if running < Duration::from_secs(15) { failed() } else { Ok(()) });
    fleet.put(probed(2)).await;
    fleet.settle("web", 2, SOON).await;
    let waited = fleet.wait_ready(2, Duration::from_secs(20)).await;
    assert!(waited > Duration::from_secs(13), "{waited:?}");
    sleep(Duration::from_mins(5)).await;
    assert!(fleet.stops().is_empty(), "one failure, or two, at its start are no illness: {:?}", fleet.stops());
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_never_answers_replaces_nothing_that_does() {
    let fleet = Fleet::of(2).await;
    fleet.answer(|container, _| if container.labels[SPEC] == "second" { failed() } else { Ok(()) });
    let web = probed(2);
    fleet.put(web.clone()).await;
    fleet.wait_ready(2, SOON).await;
    let before = fleet.ready().await;
    fleet.put(other(&web, "second")).await;
    for _ in 0..600 {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(fleet.ready().await, before);
    }
    let stops = fleet.stops();
    assert_eq!(stops.values().collect::<Vec<_>>(), [&3], "one was tried, and given up: {stops:?}");
    fleet.answer(|_, _| Ok(()));
    sleep(Duration::from_mins(1)).await;
    fleet.settle("web", 2, SOON).await;
    assert!(
        fleet.ready().await.iter().all(|name| !before.contains(name)),
        "it is well at last: {:?}",
        fleet.ready().await
    );
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_a_quarter_is_restarted_at_a_time_and_each_three_times_at_most() {
    let fleet = Fleet::of(4).await;
    fleet.put(probed(8)).await;
    fleet.wait_ready(8, SOON).await;
    fleet.answer(|_, _| failed());
    sleep(Duration::from_secs(19)).await;
    assert!(fleet.stops().is_empty(), "two failures are none: {:?}", fleet.stops());
    sleep(Duration::from_secs(15)).await;
    assert_eq!(fleet.stops().len(), 2, "{:?}", fleet.stops());
    sleep(Duration::from_mins(9)).await;
    let stops = fleet.stops();
    assert_eq!(stops.len(), 8, "each had its turn: {stops:?}");
    assert!(stops.values().all(|count| *count <= 3), "{stops:?}");
    assert!(fleet.ready().await.is_empty());
    fleet.answer(|_, _| Ok(()));
    fleet.wait_ready(8, Duration::from_secs(30)).await;
    let server = fleet.server();
    let degraded = server.read(|view| {
        let seen = view.sight.nodes.values().flat_map(|node| node.report.replicas.values());
        seen.filter(|seen| seen.degraded).count()
    });
    assert_eq!(degraded.await.unwrap(), 0, "what is well again is not given up any more");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_new_or_another_replaces_nothing_and_counts_at_once() {
    let fleet = Fleet::of(2).await;
    fleet.put(service("web", 3)).await;
    fleet.wait_ready(3, SOON).await;
    let before = fleet.running();
    fleet.answer(|_, _| failed());
    fleet.put(probed(3)).await;
    fleet.wait_ready(0, SOON).await;
    fleet.answer(|_, _| Ok(()));
    fleet.wait_ready(3, SOON).await;
    let mut other = probed(3);
    other.probe.as_mut().unwrap().interval = Duration::from_mins(1);
    fleet.put(other).await;
    sleep(SOON).await;
    assert_eq!(fleet.ready().await.len(), 3, "what has answered the probe before is as well as it was");
    fleet.answer(|_, _| failed());
    sleep(Duration::from_secs(150)).await;
    assert_eq!(fleet.stops().len(), 0, "by its own interval");
    fleet.put(service("web", 3)).await;
    sleep(Duration::from_mins(10)).await;
    assert_eq!((fleet.ready().await.len(), fleet.stops().len()), (3, 0), "it has no probe any more");
    assert_eq!(fleet.running(), before);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_asked_counts_as_one_without_a_probe() {
    let fleet = Fleet::of(1).await;
    fleet.answer(|_, _| Err(NoAnswer::Unasked("not from here".to_owned())));
    fleet.put(probed(2)).await;
    fleet.wait_ready(2, SOON).await;
    sleep(Duration::from_mins(5)).await;
    assert_eq!((fleet.ready().await.len(), fleet.stops().len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_started_anew_has_to_answer_anew() {
    let fleet = Fleet::of(1).await;
    let well = Arc::new(AtomicBool::new(true));
    let is_well = Arc::clone(&well);
    fleet.answer(move |_, _| if is_well.load(Ordering::SeqCst) { Ok(()) } else { failed() });
    fleet.put(probed(1)).await;
    fleet.wait_ready(1, SOON).await;
    well.store(false, Ordering::SeqCst);
    let name = fleet.running()[0][0].clone();
    fleet.hosts[0].engine.kill(&name);
    sleep(SOON).await;
    assert_eq!(fleet.running()[0], [name]);
    assert!(fleet.ready().await.is_empty());
    well.store(true, Ordering::SeqCst);
    fleet.wait_ready(1, SOON).await;
}
