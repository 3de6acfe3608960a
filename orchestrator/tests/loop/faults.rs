//! An engine that fails.

use std::time::Duration;

use tokio::time::sleep;
use upbeat_orchestrator::runtime::simulator::Faults;

use super::{SOON, Scene, steady};

#[tokio::test(start_paused = true)]
async fn what_a_silent_stream_of_events_does_not_tell_is_found_by_the_next_resync() {
    let scene = Scene::of([("web", steady()), ("db", steady())]).await;
    sleep(Duration::from_secs(20)).await;
    scene.engine.set_faults(Faults { silent: true, ..Faults::default() });
    scene.engine.kill("web");
    scene.engine.run("new", steady());
    sleep(Duration::from_secs(34)).await;
    assert_eq!(scene.engine.running(), ["db", "web"]);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_is_noticed_and_looked_at_anew_when_it_answers_again() {
    let scene = Scene::of([("web", steady())]).await;
    sleep(Duration::from_secs(20)).await;
    scene.engine.set_faults(Faults { hangs: true, silent: true, ..Faults::default() });
    sleep(Duration::from_secs(30)).await;
    assert!(scene.shared.picture.borrow().engine.as_ref().is_some_and(|why| why.contains("answer")));
    scene.engine.crash();
    scene.engine.set_faults(Faults::default());
    sleep(Duration::from_secs(12)).await;
    assert_eq!(scene.engine.running(), ["web"]);
    assert_eq!(scene.shared.picture.borrow().engine, None);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_refused_is_tried_again_later_and_later() {
    let scene = Scene::of([("web", steady())]).await;
    sleep(Duration::from_secs(20)).await;
    scene.engine.set_faults(Faults { refusals: 3, ..Faults::default() });
    scene.engine.kill("web");
    sleep(SOON).await;
    assert_eq!(scene.calls().len(), 1);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(scene.calls().len(), 4);
    assert_eq!(scene.engine.running(), ["web"]);
    let at: Vec<Duration> = scene.engine.calls().iter().map(|call| call.at).collect();
    for (pair, wait) in at.windows(2).zip([1.0, 2.0, 4.0]) {
        let waited = pair[1].saturating_sub(pair[0]).as_secs_f64();
        assert!((wait * 0.74..=wait * 1.26 + 0.01).contains(&waited), "{at:?}");
    }
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_one_start_hangs_the_others_go_on() {
    let hangs = upbeat_orchestrator::runtime::simulator::Behaviour { starts_in: Duration::from_hours(1), ..steady() };
    let scene = Scene::of([("a", hangs), ("b", steady()), ("c", steady())]).await;
    sleep(Duration::from_secs(20)).await;
    for name in ["a", "b", "c"] {
        scene.engine.kill(name);
    }
    sleep(SOON).await;
    assert_eq!(scene.engine.running(), ["b", "c"]);
    scene.stop.cancel();
    scene.end().await;
}
