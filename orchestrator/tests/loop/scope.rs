//! What may run, and who decides.

use std::time::Duration;

use tokio::time::sleep;
use upbeat_orchestrator::control::Options;
use upbeat_orchestrator::desired::Scope;
use upbeat_orchestrator::runtime::simulator::Simulator;
use upbeat_orchestrator::store::memory::MemoryStore;
use upbeat_orchestrator::store::{Hold, Store};

use super::{SOON, Scene, options, steady};

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_stopped_at_once_and_started_again_stopped_again() {
    let scene = Scene::of([("web", steady())]).await;
    scene.engine.run("new", steady());
    sleep(SOON).await;
    assert_eq!(scene.engine.running(), ["web"]);
    scene.engine.run("new", steady());
    sleep(SOON).await;
    assert_eq!(scene.calls(), [("stop", "new".to_owned()), ("stop", "new".to_owned())]);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_enforce_everything_is_said_and_nothing_done() {
    let engine = Simulator::new();
    engine.run("web", steady());
    let scene = Scene::on(engine, MemoryStore::default(), Options { enforce: false, ..options() }, None).await;
    let mut events = scene.shared.events.subscribe();
    sleep(Duration::from_secs(20)).await;
    scene.engine.run("new", steady());
    scene.engine.kill("web");
    sleep(Duration::from_mins(3)).await;
    assert_eq!(scene.calls(), []);
    let mut said = Vec::new();
    while let Ok(event) = events.try_recv() {
        if event.event == "would" {
            said.push((event.container, event.why));
        }
    }
    let said: Vec<_> = said.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
    let expected = [("new", "it is not in the snapshot"), ("web", "it is in the snapshot, and ended with 137")];
    let mut sorted = said.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "each once");
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn under_an_allow_list_what_is_not_on_it_is_stopped_and_what_is_missing_left() {
    let scene = Scene::allowing(&["web", "db:*"], &["web", "db", "other"]).await;
    assert_eq!(scene.calls(), [("stop", "other".to_owned())]);
    scene.engine.kill("web");
    sleep(Duration::from_mins(2)).await;
    assert_eq!(scene.calls().len(), 1);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_left_alone_until_it_is_released() {
    let engine = Simulator::new();
    engine.run("web", steady());
    let store = MemoryStore::default();
    let scene = Scene::on(engine, store.clone(), options(), None).await;
    sleep(Duration::from_secs(20)).await;
    store.hold("web", &Hold { reason: "maintenance".to_owned(), since: 0 }).await.unwrap();
    scene.shared.marks.leave(|left| left.reload = true);
    sleep(SOON).await;
    scene.engine.kill("web");
    sleep(Duration::from_mins(2)).await;
    assert_eq!(scene.calls(), []);
    store.release("web").await.unwrap();
    // Nobody leaves a mark: another process has written it.
    sleep(Duration::from_secs(34)).await;
    assert_eq!(scene.calls(), [("start", "web".to_owned())]);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_finds_the_snapshot_again_and_does_not_take_another() {
    let engine = Simulator::new();
    engine.run("web", steady());
    let store = MemoryStore::default();
    let scene = Scene::on(engine.clone(), store.clone(), options(), None).await;
    scene.end().await;
    engine.kill("web");
    engine.run("new", steady());
    let scene = Scene::on(engine, store, options(), None).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.engine.running(), ["web"]);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_store_nothing_is_decided_and_a_snapshot_that_can_not_be_kept_stops_nothing() {
    let engine = Simulator::new();
    engine.run("web", steady());
    let store = MemoryStore::default();
    store.set_broken(true);
    let scene = Scene::on(engine, store.clone(), options(), None).await;
    scene.engine.run("new", steady());
    sleep(Duration::from_secs(40)).await;
    assert!(matches!(scene.shared.picture.borrow().desired.scope, Scope::Unknown(_)));
    assert_eq!(scene.calls(), []);
    store.set_broken(false);
    sleep(Duration::from_secs(40)).await;
    let Scope::Snapshot(snapshot) = scene.shared.picture.borrow().desired.scope.clone() else { panic!() };
    assert_eq!(snapshot.originals.keys().collect::<Vec<_>>(), ["new", "web"], "what runs when it could first be kept");

    store.set_broken(true);
    scene.engine.run("newer", steady());
    scene.engine.kill("web");
    sleep(Duration::from_secs(40)).await;
    assert_eq!(scene.engine.running(), ["new", "web"], "what is known goes on to hold");
    scene.end().await;
}
