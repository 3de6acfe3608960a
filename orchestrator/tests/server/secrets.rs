//! What is secret is in no answer and no event.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::{Duration, timeout};
use tower::ServiceExt;
use upbeat_orchestrator::credentials::Role;

use super::{From, scene, web};

const SECRET: &str = "hunter2";

#[tokio::test(start_paused = true)]
async fn no_answer_and_no_event_has_a_value_of_the_environment_or_a_token() {
    let scene = scene(&["n1", "n2"]).await;
    let request = Request::get("/v1/events").body(Body::empty()).unwrap();
    let events = scene.routes.clone().oneshot(request).await.unwrap();
    assert!(events.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let mut events = events.into_body();

    let wanted = json!({"name": "web", "image": "web:1", "replicas": 2, "env": {"KEY": SECRET, "NUMBER": 4}});
    let mut said = vec![scene.ask("POST", "/create", Some(wanted.clone())).await.text];
    said.push(scene.ask("POST", "/create", Some(wanted.clone())).await.text);
    scene.until("/status", |status| status["services"]["web"] == "2/2").await;
    said.push(scene.ask("PUT", "/v1/services/web", Some(wanted)).await.text);
    said.push(scene.ask("POST", "/v1/services/web/restart", Some(json!({}))).await.text);
    let token = scene.token(Role::Admin).await;
    let admin = From::Afar(Some(token.as_str()));
    for path in [
        "/",
        "/status",
        "/containers",
        "/v1/replicas",
        "/v1/plan",
        "/v1/services",
        "/v1/services/web",
        "/v1/nodes",
        "/v1/nodes/n1",
        "/v1/tokens",
        "/openapi.json",
    ] {
        let answer = scene.ask_as(admin, "GET", path, &[], None).await;
        assert_eq!(answer.status, 200, "{path}");
        said.push(answer.text);
    }
    let service = scene.ask_as(admin, "GET", "/v1/services/web", &[], None).await.json;
    assert_eq!(service["environment"], json!(["KEY", "NUMBER"]), "their names are there");

    // Where somebody has put it by mistake.
    for body in [
        json!({"name": "x", "image": "x", "env": SECRET}),
        json!({"name": "x", "image": "x", "env": {"KEY": [SECRET]}}),
        json!({"name": "x", "image": "x", "env": {"A=B": SECRET}}),
        json!({"name": "x", "image": "x", "command": SECRET}),
        json!({"name": "x", "image": "x", "replicas": SECRET}),
        json!({"name": "x", "image": "x", "partition": SECRET}),
        json!({"name": "x", "image": "x", "health": SECRET}),
        json!({"name": "x", "image": "x", "init": SECRET}),
        json!({"name": "x", "image": "x", "labels": [SECRET]}),
        json!({"name": "x", "image": "x", "command": ["run", "--password", SECRET], "memory": "none"}),
    ] {
        let answer = scene.ask_as(admin, "POST", "/create", &[], Some(body.to_string())).await;
        assert_eq!(answer.status, 422, "{body}");
        said.push(answer.text);
    }
    let role = json!({"name": "x", "role": SECRET}).to_string();
    said.push(scene.ask_as(admin, "POST", "/v1/tokens", &[], Some(role)).await.text);
    let join = json!({"token": SECRET, "name": "n", "csr": SECRET}).to_string();
    said.push(scene.ask_as(admin, "POST", "/v1/join", &[], Some(join)).await.text);
    said.push(scene.ask_as(From::Afar(Some(SECRET)), "GET", "/v1/services", &[], None).await.text);

    let mut told = String::new();
    let listening = async {
        while !told.contains("event: gone") {
            let frame = events.frame().await.unwrap().unwrap();
            told += &String::from_utf8_lossy(&frame.into_data().unwrap_or_default());
        }
    };
    let in_time = timeout(Duration::from_mins(10), listening).await;
    assert!(in_time.is_ok(), "{told}");
    for event in ["event: service", "event: placed"] {
        assert!(told.contains(event), "{told}");
    }
    said.push(told);
    for text in said {
        assert!(!text.contains(SECRET) && !text.contains(&token), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_end_with_the_server_and_only_so_many_may_listen() {
    let scene = scene(&[]).await;
    let listen = async || {
        let request = Request::get("/v1/events").body(Body::empty()).unwrap();
        scene.routes.clone().oneshot(request).await.unwrap()
    };
    let mut listening = Vec::new();
    for _ in 0..100 {
        listening.push(listen().await);
    }
    let late = listen().await;
    assert_eq!((late.status().as_u16(), late.headers().contains_key("retry-after")), (429, true));
    drop(listening.pop());
    let last = listen().await;
    assert_eq!(last.status().as_u16(), 200, "one has gone");
    let mut told = last.into_body();
    let first = told.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b": from now on"), "{first:?}");
    scene.ask("POST", "/create", Some(web(1))).await;
    scene.stop.cancel();
    let rest = timeout(Duration::from_secs(5), told.collect()).await;
    assert!(rest.is_ok(), "it ends with the server");
}
