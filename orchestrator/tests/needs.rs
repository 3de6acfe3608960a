//! Images and networks that a service's containers lack are got for them, by a made-up engine that counts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use upbeat_orchestrator::cluster::request::ServiceRequest;
use upbeat_orchestrator::cluster::template;
use upbeat_orchestrator::desired::Spec;
use upbeat_orchestrator::runtime::docker::DockerEngine;
use upbeat_orchestrator::runtime::{Runtime, RuntimeError};
use upbeat_testkit::eventually;

const SOON: Duration = Duration::from_mins(1);

/// What the made-up engine has and was asked for.
struct Engine {
    images: Mutex<BTreeSet<String>>,
    networks: Mutex<BTreeSet<String>>,
    pulls: Mutex<Vec<String>>,
    made: Mutex<Vec<Value>>,
    /// Lets pulls end.
    arrival: Semaphore,
}

type Answer = (StatusCode, Json<Value>);

fn missing(what: &str) -> Answer {
    (StatusCode::NOT_FOUND, Json(json!({"message": format!("No such {what}")})))
}

async fn create(State(engine): State<Arc<Engine>>, Json(body): Json<Value>) -> Answer {
    let image = body["Image"].as_str().unwrap();
    if engine.images.lock().unwrap().contains(image) {
        (StatusCode::CREATED, Json(json!({"Id": "0", "Warnings": []})))
    } else {
        missing("image")
    }
}

async fn pull(State(engine): State<Arc<Engine>>, RawQuery(query): RawQuery) -> Answer {
    let query: BTreeMap<_, _> = form_urlencoded::parse(query.unwrap().as_bytes()).into_owned().collect();
    let image = query["fromImage"].clone();
    engine.pulls.lock().unwrap().push(image.clone());
    if image.starts_with("unknown") {
        let why = "pull access denied";
        return (StatusCode::OK, Json(json!({"errorDetail": {"message": why}, "error": why})));
    }
    engine.arrival.acquire().await.unwrap().forget();
    engine.images.lock().unwrap().insert(image.trim_end_matches(":latest").to_owned());
    (StatusCode::OK, Json(json!({"status": "done"})))
}

async fn network(State(engine): State<Arc<Engine>>, Path(name): Path<String>) -> Answer {
    let there = engine.networks.lock().unwrap().contains(&name);
    if there { (StatusCode::OK, Json(json!({"Name": name}))) } else { missing("network") }
}

async fn make_network(State(engine): State<Arc<Engine>>, Json(body): Json<Value>) -> Answer {
    engine.networks.lock().unwrap().insert(body["Name"].as_str().unwrap().to_owned());
    engine.made.lock().unwrap().push(body);
    (StatusCode::CREATED, Json(json!({"Id": "n", "Warning": ""})))
}

/// The engine, a connection to it, and the folder of its socket.
fn engine() -> (Arc<Engine>, Arc<DockerEngine>, tempfile::TempDir) {
    let engine = Arc::new(Engine {
        images: Mutex::default(),
        networks: Mutex::default(),
        pulls: Mutex::default(),
        made: Mutex::default(),
        arrival: Semaphore::new(0),
    });
    let routes = Router::new()
        .route("/containers/create", post(create))
        .route("/images/create", post(pull))
        .route("/networks/create", post(make_network))
        .route("/networks/{name}", get(network))
        .route("/networks/{name}/connect", post(async || StatusCode::OK))
        .with_state(Arc::clone(&engine));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let connection = DockerEngine::new(format!("unix://{}", socket.display()), None);
    (engine, Arc::new(connection), folder)
}

/// Waits until something is pulled.
async fn begun(engine: &Engine) {
    eventually(
        "pull",
        SOON,
        async || if engine.pulls.lock().unwrap().is_empty() { Err(String::new()) } else { Ok(()) },
    )
    .await;
}

fn spec(image: &str, networks: &[&str]) -> Spec {
    let request = json!({"name": "web", "image": image, "networks": networks});
    let request: ServiceRequest = serde_json::from_value(request).unwrap();
    let container = template::service(request).unwrap().container;
    Spec { body: container.body.clone(), networks: container.networks.clone(), hash: container.hash.to_string() }
}

#[tokio::test]
async fn an_image_that_many_containers_lack_is_pulled_once_and_all_of_them_are_created() {
    let (engine, connection, _folder) = engine();
    let spec = spec("registry.example:5000/web", &[]);
    let creations: Vec<_> = (0..8)
        .map(|slot| {
            let (connection, spec) = (Arc::clone(&connection), spec.clone());
            tokio::spawn(async move { connection.create(&format!("web.{slot}.1"), &spec).await })
        })
        .collect();
    begun(&engine).await;
    // More than one would be let through.
    engine.arrival.add_permits(8);
    for creation in creations {
        assert_eq!(timeout(SOON, creation).await.unwrap().unwrap(), Ok(()));
    }
    assert_eq!(*engine.pulls.lock().unwrap(), ["registry.example:5000/web:latest"], "one tag of it, not all");
}

#[tokio::test]
async fn a_pull_goes_on_when_nobody_waits_for_it_any_more() {
    let (engine, connection, _folder) = engine();
    let spec = spec("web:1", &[]);
    let (theirs, of_theirs) = (Arc::clone(&connection), spec.clone());
    let impatient = tokio::spawn(async move { theirs.create("web.0.1", &of_theirs).await });
    begun(&engine).await;
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    engine.arrival.add_permits(1);
    assert_eq!(timeout(SOON, connection.create("web.0.1", &spec)).await.unwrap(), Ok(()));
    assert_eq!(engine.pulls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_image_that_can_not_be_pulled_is_refused_by_name_and_tried_again_the_next_time() {
    let (engine, connection, _folder) = engine();
    for _ in 0..2 {
        let why = connection.create("web.0.1", &spec("unknown:1", &[])).await.unwrap_err().to_string();
        assert!(why.contains("unknown:1") && why.contains("pull access denied"), "{why}");
    }
    assert_eq!(engine.pulls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn networks_that_a_node_has_not_got_are_made_there_once() {
    let (engine, connection, _folder) = engine();
    engine.images.lock().unwrap().insert("web:1".to_owned());
    engine.networks.lock().unwrap().insert("front".to_owned());
    let spec = spec("web:1", &["front", "back", "third"]);
    for slot in 0..3 {
        connection.create(&format!("web.{slot}.1"), &spec).await.unwrap();
    }
    let made = engine.made.lock().unwrap();
    let names: Vec<_> = made.iter().map(|network| (&network["Name"], &network["Driver"])).collect();
    assert_eq!(names, [(&json!("back"), &json!("bridge")), (&json!("third"), &json!("bridge"))]);
}

#[tokio::test]
async fn for_what_is_of_no_service_nothing_is_pulled_or_made() {
    let (engine, connection, _folder) = engine();
    let mut spec = spec("web:1", &["back"]);
    spec.body["Labels"] = json!({});
    assert!(matches!(connection.create("web", &spec).await, Err(RuntimeError::Missing(_))));
    assert!(engine.pulls.lock().unwrap().is_empty() && engine.made.lock().unwrap().is_empty());
}
