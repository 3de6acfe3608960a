//! Containers that run and are ill.

use std::time::Duration;

use tokio::time::sleep;
use upbeat_orchestrator::container::Health;
use upbeat_orchestrator::plan::Step;
use upbeat_orchestrator::readers::LogPolicy;
use upbeat_orchestrator::runtime::simulator::{Behaviour, Simulator};
use upbeat_orchestrator::severity::Severity;
use upbeat_orchestrator::store::memory::MemoryStore;

use super::{SOON, Scene, options, steady};

/// Well for a second after each start, and then ill.
fn sickly() -> Behaviour {
    Behaviour { health: vec![(Duration::from_secs(20), Health::Unhealthy)], ..steady() }
}

#[tokio::test(start_paused = true)]
async fn an_ill_container_is_restarted_at_once_three_times_in_ten_minutes_and_then_given_up() {
    let scene = Scene::of([("web", sickly())]).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(scene.calls(), [("restart", "web".to_owned())]);
    sleep(Duration::from_mins(20)).await;
    assert_eq!(scene.calls().len(), 3);
    let given_up = scene.shared.picture.borrow().plan.verdicts[0].step.clone();
    assert!(matches!(&given_up, Step::GiveUp(why) if why.starts_with("degraded")), "{given_up:?}");

    scene.engine.set_health("web", Health::Healthy);
    sleep(SOON).await;
    scene.engine.set_health("web", Health::Unhealthy);
    sleep(SOON).await;
    assert_eq!(scene.calls().len(), 4, "it was well again, and gets another chance");
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn when_all_are_ill_a_quarter_is_restarted_at_a_time() {
    let names: Vec<String> = (0..12).map(|n| format!("c{n:02}")).collect();
    let scene = Scene::of(names.iter().map(|name| (name.as_str(), steady()))).await;
    for name in &names {
        scene.engine.set_health(name, Health::Unhealthy);
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(scene.calls().len(), 3, "{:?}", scene.calls());
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn probes_that_fail_three_times_make_a_container_ill_until_its_next_start() {
    let scene = Scene::of([("web", steady())]).await;
    let probe = |failure: Option<&str>| {
        let result = ("web".to_owned(), failure.map(str::to_owned));
        scene.shared.marks.leave(|left| left.probes.push(result));
    };
    for failure in [Some("refused"), Some("refused"), None, Some("refused"), Some("refused")] {
        probe(failure);
        sleep(SOON).await;
    }
    assert_eq!(scene.calls(), []);
    probe(Some("timed out"));
    sleep(SOON).await;
    assert_eq!(scene.calls(), [("restart", "web".to_owned())]);
    probe(Some("refused"));
    sleep(SOON).await;
    assert_eq!(scene.calls().len(), 1, "counted anew");
    scene.end().await;
}

#[tokio::test]
async fn lines_that_are_grave_enough_restart_a_container_and_then_it_has_time_to_cool_down() {
    // Log lines bear the time of day, which does not stand still.
    let engine = Simulator::new();
    engine.run("web", steady());
    let policy = LogPolicy {
        severity: Severity::Error,
        lines: 2,
        within: Duration::MAX,
        cool_down: Duration::from_hours(1),
        pattern: None,
    };
    let scene = Scene::on(engine, MemoryStore::default(), options(), Some(policy)).await;
    for line in ["INFO well", "ERROR one"] {
        scene.engine.print("web", line);
    }
    sleep(SOON).await;
    assert_eq!(scene.calls(), []);
    scene.engine.print("web", "ERROR two");
    let restarted = async {
        while scene.calls().is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), restarted).await.unwrap();
    assert_eq!(scene.calls(), [("restart", "web".to_owned())]);
    sleep(SOON).await;
    for _ in 0..3 {
        scene.engine.print("web", "ERROR again");
        sleep(Duration::from_millis(5)).await;
    }
    sleep(SOON).await;
    assert_eq!(scene.calls().len(), 1);
    scene.end().await;
}
