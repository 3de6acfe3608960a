//! What is kept, on the disk and in memory alike.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use upbeat_orchestrator::allow::AllowList;
use upbeat_orchestrator::desired::{Original, Snapshot, Spec};
use upbeat_orchestrator::store::memory::MemoryStore;
use upbeat_orchestrator::store::sqlite::SqliteStore;
use upbeat_orchestrator::store::{Hold, Kept, Store};

fn snapshot(names: &[&str]) -> Snapshot {
    let original = |name: &&str| {
        let networks = BTreeMap::from([("net".to_owned(), json!({"Aliases": [name]}))]);
        let spec = Spec { body: json!({"Env": ["PASSWORD=hunter2"]}), networks, hash: "h".to_owned() };
        ((*name).to_owned(), Original { image: format!("{name}:1"), spec })
    };
    Snapshot { originals: names.iter().map(original).collect(), taken: 1_700_000_000, stored: true }
}

fn hold(reason: &str) -> Hold {
    Hold { reason: reason.to_owned(), since: 7 }
}

async fn keeps_what_it_is_given(store: &dyn Store) {
    assert_eq!(store.load().await.unwrap(), Kept::default());
    let version = store.version().await.unwrap();
    assert_eq!(store.keep_first_snapshot(&snapshot(&["a", "b"])).await.unwrap(), None);
    assert_ne!(store.version().await.unwrap(), version);
    let known = store.keep_first_snapshot(&snapshot(&["c"])).await.unwrap();
    assert_eq!(known, Some(snapshot(&["a", "b"])), "the first one stays");
    store.keep_snapshot(&snapshot(&["d"])).await.unwrap();
    assert_eq!(store.load().await.unwrap().snapshot, Some(snapshot(&["d"])));

    let [list, setting] = [vec!["web", "redis:7-*"], vec!["web"]].map(|entries| AllowList::parse(entries).unwrap());
    store.keep_allow_list(&list, &setting).await.unwrap();
    assert_eq!(store.load().await.unwrap().allow, Some((list, setting.clone())));
    store.keep_allow_list(&AllowList::default(), &setting).await.unwrap();
    assert_eq!(store.load().await.unwrap().allow, Some((AllowList::default(), setting)), "nothing may run");

    store.hold("web", &hold("one")).await.unwrap();
    store.hold("web", &hold("two")).await.unwrap();
    assert_eq!(store.load().await.unwrap().holds, BTreeMap::from([("web".to_owned(), hold("two"))]));
    assert!(store.release("web").await.unwrap());
    assert!(!store.release("web").await.unwrap());
}

#[tokio::test]
async fn every_store_keeps_what_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    keeps_what_it_is_given(&MemoryStore::default()).await;
    keeps_what_it_is_given(&SqliteStore::new(folder.path().join("new/store")).unwrap()).await;
}

#[tokio::test]
async fn what_is_kept_is_there_for_the_next_process_and_for_another_one_and_for_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let one = SqliteStore::new(&path).unwrap();
    one.keep_snapshot(&snapshot(&["a"])).await.unwrap();
    let other = SqliteStore::new(&path).unwrap();
    let version = one.version().await.unwrap();
    other.hold("a", &hold("x")).await.unwrap();
    assert_ne!(one.version().await.unwrap(), version);
    assert_eq!(one.load().await.unwrap().holds.len(), 1);
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
    }
    drop((one, other));
    let again = SqliteStore::new(&path).unwrap().load().await.unwrap();
    assert_eq!((again.snapshot, again.holds.len()), (Some(snapshot(&["a"])), 1));
}

/// Overwrites the middle of a file, and takes away what was written beside it.
fn damage(path: &Path) {
    let length = fs::metadata(path).unwrap().len();
    fs::write(path, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
    for beside in ["-wal", "-shm"] {
        drop(fs::remove_file(format!("{}{beside}", path.display())));
    }
}

#[tokio::test]
async fn a_damaged_file_is_said_to_be_one_and_a_good_one_in_its_place_is_taken_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    SqliteStore::new(&path).unwrap().keep_snapshot(&snapshot(&["a"])).await.unwrap();
    let good = folder.path().join("good");
    fs::copy(&path, &good).unwrap();
    damage(&path);
    let store = SqliteStore::new(&path).unwrap();
    assert!(store.load().await.is_err());
    assert!(store.hold("a", &hold("x")).await.is_err());
    assert_eq!(fs::read(&path).unwrap()[0], 0x5a, "it is left for somebody to look at");
    fs::copy(&good, &path).unwrap();
    assert_eq!(store.load().await.unwrap().snapshot, Some(snapshot(&["a"])));
    store.hold("a", &hold("x")).await.unwrap();
}
