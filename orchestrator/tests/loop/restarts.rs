//! Containers that end.

use std::time::Duration;

use tokio::time::sleep;
use upbeat_orchestrator::runtime::simulator::Behaviour;

use super::{SOON, Scene, steady};

#[tokio::test(start_paused = true)]
async fn an_original_that_has_run_for_long_is_started_at_once() {
    let scene = Scene::of([("web", steady()), ("db", steady())]).await;
    sleep(Duration::from_secs(20)).await;
    scene.engine.kill("web");
    sleep(SOON).await;
    assert_eq!(scene.calls(), [("start", "web".to_owned())]);
    assert_eq!(scene.engine.running(), ["db", "web"]);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_starts_of_a_crash_loop_match_the_schedule() {
    let crashes = Behaviour { runs_for: Some(Duration::from_millis(500)), ..steady() };
    let scene = Scene::of([("web", crashes)]).await;
    sleep(Duration::from_mins(5)).await;
    let starts: Vec<Duration> = scene.engine.calls().into_iter().map(|call| call.at).collect();
    // From an end to the next start: 1, 2, 4 … 60 s, a quarter more or less.
    let first_end = Duration::from_millis(500);
    let waits: Vec<f64> = std::iter::once(first_end)
        .chain(starts.iter().map(|start| *start + Duration::from_millis(500)))
        .zip(&starts)
        .map(|(end, start)| start.saturating_sub(end).as_secs_f64())
        .collect();
    let expected = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].into_iter().chain(std::iter::repeat(60.0));
    assert!(waits.len() >= 7, "{waits:?}");
    for (wait, expected) in waits.iter().zip(expected) {
        assert!((expected * 0.74..=expected * 1.26 + 0.01).contains(wait), "{waits:?}");
    }
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_up_and_well_and_all_is_forgiven() {
    let scene = Scene::of([("web", steady())]).await;
    sleep(Duration::from_secs(20)).await;
    for _ in 0..4 {
        scene.engine.kill("web");
        sleep(Duration::from_secs(30)).await;
    }
    assert_eq!(scene.calls().len(), 4);
    sleep(Duration::from_mins(11)).await;
    scene.engine.kill("web");
    sleep(SOON).await;
    assert_eq!(scene.calls().len(), 5, "at once again");
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_original_that_was_taken_away_is_created_again_after_others_had_their_turn() {
    let scene = Scene::of([("web", steady()), ("db", steady())]).await;
    scene.engine.remove("web");
    sleep(Duration::from_secs(4)).await;
    assert_eq!(scene.calls(), []);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.calls(), [("create", "web".to_owned()), ("start", "web".to_owned())]);
    assert_eq!(scene.engine.running(), ["db", "web"]);

    scene.engine.remove("db");
    sleep(Duration::from_secs(2)).await;
    scene.engine.run("db", steady());
    sleep(Duration::from_mins(1)).await;
    assert_eq!(scene.calls().len(), 2, "somebody else has made it anew");
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn many_that_end_at_once_are_all_running_after_one_resync() {
    let slow = Behaviour { starts_in: Duration::from_millis(400), ..steady() };
    let names: Vec<String> = (0..200).map(|n| format!("c{n:03}")).collect();
    let scene = Scene::of(names.iter().map(|name| (name.as_str(), slow.clone()))).await;
    sleep(Duration::from_secs(20)).await;
    for name in &names {
        scene.engine.kill(name);
    }
    sleep(Duration::from_secs(33)).await;
    assert_eq!(scene.engine.running().len(), 200);
    assert_eq!(scene.calls().len(), 200, "each once");
    scene.end().await;
}
