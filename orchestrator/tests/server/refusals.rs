//! What can't be is refused by its status, and says why.

use serde_json::json;
use tokio::time::{Duration, sleep};

use super::{From, scene, web};

#[tokio::test(start_paused = true)]
async fn what_can_not_be_is_refused_by_its_status_and_says_why() {
    let scene = scene(&["n1"]).await;
    scene.ask("POST", "/create", Some(web(1))).await;
    let huge = format!(r#"{{"name": "x", "image": "{}"}}"#, "x".repeat(300 * 1024));
    let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(1001));
    for (method, path, body, expected) in [
        ("GET", "/nothing", None, 404),
        ("GET", "/v1/services/%ff", None, 404),
        ("GET", "/create", None, 405),
        ("DELETE", "/status", None, 405),
        ("PUT", "/v1/tokens", None, 405),
        ("GET", "/v1/join", None, 405),
        ("POST", "/create", None, 415),
        ("POST", "/create", Some("{"), 400),
        ("POST", "/create", Some("[]"), 422),
        ("POST", "/create", Some(r#"{"name": "x"}"#), 422),
        ("POST", "/create", Some(r#"{"name": "x", "image": "x", "privileged": true}"#), 422),
        ("POST", "/create", Some(r#"{"name": "X!", "image": "x"}"#), 422),
        ("POST", "/create", Some(r#"{"name": "x", "image": "x", "ports": ["x"]}"#), 422),
        ("POST", "/create", Some(r#"{"name": "x", "image": "x", "replicas": 10001}"#), 422),
        ("POST", "/create", Some(huge.as_str()), 413),
        ("POST", "/v1/services/web/scale", Some(r#"{"replicas": 10001}"#), 422),
        ("POST", "/v1/services/web/scale", Some(r#"{"replicas": -1}"#), 422),
        ("POST", "/v1/services/web/restart", None, 415),
        ("POST", "/v1/services/web/hold", Some(long.as_str()), 422),
        ("POST", "/v1/nodes/n1/drain", Some("[]"), 422),
        ("POST", "/v1/join", Some(r#"{"token": "x", "name": "n", "csr": "x"}"#), 403),
    ] {
        let answer = scene.ask_as(From::Here, method, path, &[], body.map(ToOwned::to_owned)).await;
        assert_eq!((answer.status, &answer.json["status"]), (expected, &expected.into()), "{method} {path}");
        assert!(answer.json["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", answer.text);
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_kept_is_503_and_has_not_happened() {
    let scene = scene(&["n1"]).await;
    scene.ask("POST", "/create", Some(web(1))).await;
    scene.until("/status", |status| status["services"]["web"] == "1/1").await;
    scene.records.set_broken(true);
    for (method, path, body) in [
        ("POST", "/create", Some(json!({"name": "x", "image": "x"}))),
        ("PUT", "/v1/services/web", Some(web(2))),
        ("POST", "/v1/services/web/scale", Some(json!({"replicas": 2}))),
        ("POST", "/v1/services/web/restart", Some(json!({}))),
        ("POST", "/v1/services/web/hold", Some(json!({"reason": "x"}))),
        ("DELETE", "/v1/services/web", None),
        ("POST", "/v1/nodes", Some(json!({"name": "h", "engine": "tcp://127.0.0.1:1"}))),
        ("POST", "/v1/nodes/n1/drain", Some(json!({}))),
        ("DELETE", "/v1/nodes/n1?force=true", None),
    ] {
        let answer = scene.ask(method, path, body).await;
        assert_eq!(answer.status, 503, "{method} {path}");
        assert!(answer.headers.contains_key("retry-after"), "{method} {path}");
    }
    let service = scene.ask("GET", "/v1/services/web", None).await;
    assert_eq!((service.status, &service.json["revision"], &service.json["replicas"]), (200, &1.into(), &1.into()));
    assert_eq!(scene.ask("GET", "/v1/nodes", None).await.json.as_array().unwrap().len(), 1);
    scene.records.set_broken(false);
    assert_eq!(scene.ask("POST", "/v1/services/web/scale", Some(json!({"replicas": 2}))).await.status, 200);
    scene.until("/status", |status| status["services"]["web"] == "2/2").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_not_read_yet_what_is_kept_or_is_stopping_answers_503() {
    let scene = scene(&[]).await;
    scene.stop.cancel();
    sleep(Duration::from_secs(1)).await;
    for path in ["/", "/status", "/containers", "/v1/services", "/v1/nodes", "/v1/plan"] {
        let answer = scene.ask("GET", path, None).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.headers.contains_key("retry-after"), "{path}");
    }
    assert_eq!(scene.ask("POST", "/create", Some(web(1))).await.status, 503);
}
