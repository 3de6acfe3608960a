//! Services: created, changed on a condition, scaled, replaced, held and removed.

use serde_json::{Value, json};

use super::{Answer, From, Scene, scene, web};

#[tokio::test(start_paused = true)]
async fn a_service_is_created_once_and_runs_on_all_nodes() {
    let scene = scene(&["n1", "n2"]).await;
    let created = scene.ask("POST", "/create", Some(web(3))).await;
    let told = json!({"service": "web", "revision": 1, "replicas": 3, "result": "created"});
    assert_eq!((created.status, &created.json), (202, &told));
    assert_eq!(scene.ask("POST", "/create", Some(web(3))).await.status, 200, "it is the same");
    assert_eq!(scene.ask("POST", "/create", Some(web(4))).await.status, 409);

    let status = scene.until("/status", |status| status["services"]["web"] == "3/3").await;
    assert_eq!((&status["nodes"]["up"], &status["storm"], &status["waiting"]), (&2.into(), &false.into(), &0.into()));
    let replicas = scene.ask("GET", "/v1/replicas", None).await;
    assert_eq!(scene.ask("GET", "/containers", None).await.json, replicas.json);
    let slots: Vec<_> = replicas.json.as_array().unwrap().iter().map(|one| one["slot"].as_u64().unwrap()).collect();
    assert_eq!(slots, [0, 1, 2]);
    let nodes: std::collections::BTreeSet<_> =
        replicas.json.as_array().unwrap().iter().map(|one| one["node"].as_str().unwrap()).collect();
    assert_eq!(nodes.into_iter().collect::<Vec<_>>(), ["n1", "n2"]);
    let inventory = scene.ask("GET", "/", None).await.json;
    assert_eq!(inventory[0]["Names"], replicas.json[0]["name"]);
    assert_eq!((&inventory[0]["State"], &inventory[0]["Image"]), (&"running".into(), &"web:1".into()));
    assert_eq!(scene.ask("GET", "/v1/plan", None).await.json, json!({"changes": [], "waiting": {}}));

    let one = scene.ask("GET", "/v1/services/web", None).await;
    assert_eq!((one.headers["etag"].to_str().unwrap(), &one.json["ready"]), ("\"1\"", &3.into()));
    assert_eq!(scene.ask("GET", "/v1/services", None).await.json, json!([one.json]));
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_shown_with_its_defaults_and_changed_without_replacing_anything() {
    let scene = scene(&["n1"]).await;
    let probed = |interval: &str| {
        let probe = json!({"port": 80, "path": "/health", "interval": interval});
        Some(json!({"name": "web", "image": "web:1", "probe": probe}))
    };
    assert_eq!(scene.ask("POST", "/create", probed("1m30s")).await.status, 202);
    let service = scene.until("/v1/services/web", |service| service["ready"] == 1).await;
    let shown = json!({"port": 80, "path": "/health", "interval": "1m30s", "timeout": "5s"});
    assert_eq!(service["probe"], shown);
    assert_eq!(scene.ask("PUT", "/v1/services/web", probed("90s")).await.json["result"], "unchanged");
    assert_eq!(scene.ask("PUT", "/v1/services/web", probed("20s")).await.json["result"], "updated");
    let changed = scene.ask("GET", "/v1/services/web", None).await.json;
    assert_eq!((&changed["probe"]["interval"], &changed["hash"]), (&"20s".into(), &service["hash"]));
    assert_eq!((&changed["revision"], &changed["updated"], &changed["ready"]), (&2.into(), &1.into(), &1.into()));
    let wrong = scene.ask("PUT", "/v1/services/web", probed("0s")).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.json["detail"].as_str().unwrap().starts_with("probe.interval: "), "{}", wrong.text);
}

#[tokio::test(start_paused = true)]
async fn what_no_node_takes_waits_and_says_why() {
    let scene = scene(&["n1"]).await;
    let wanted = json!({"name": "web", "image": "web:1", "placement": {"disk": "ssd"}});
    assert_eq!(scene.ask("POST", "/create", Some(wanted)).await.status, 202);
    let status = scene.until("/status", |status| status["waiting"] == 1).await;
    assert_eq!(status["services"]["web"], "0/1");
    let plan = scene.ask("GET", "/v1/plan", None).await.json;
    assert!(plan["waiting"]["web.0"].as_str().is_some_and(|why| !why.is_empty()), "{plan}");
    let service = scene.ask("GET", "/v1/services/web", None).await.json;
    assert_eq!(service["waiting"]["0"], plan["waiting"]["web.0"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_put_only_if_it_is_as_who_asks_believes() {
    let scene = scene(&["n1"]).await;
    let put = async |headers: &[(&str, &str)], replicas| {
        let body = Some(web(replicas).to_string());
        scene.ask_as(From::Here, "PUT", "/v1/services/web", headers, body).await
    };
    let result = |answer: &Answer| (answer.status, answer.json["result"].as_str().map(ToOwned::to_owned));
    assert_eq!(put(&[("if-match", "\"1\"")], 1).await.status, 412, "there is none");
    assert_eq!(result(&put(&[("if-none-match", "*")], 1).await), (200, Some("created".to_owned())));
    assert_eq!(put(&[("if-none-match", "*")], 1).await.status, 412, "there is one");
    assert_eq!(result(&put(&[("if-match", "\"1\"")], 2).await), (200, Some("updated".to_owned())));
    let stale = put(&[("if-match", "\"1\"")], 3).await;
    assert_eq!(stale.status, 412);
    assert!(stale.json["detail"].as_str().unwrap().contains('2'), "{}", stale.text);
    assert_eq!(result(&put(&[], 2).await), (200, Some("unchanged".to_owned())));
    for bad in [
        &[("if-match", "1")][..],
        &[("if-match", "\"0\"")],
        &[("if-match", "*")],
        &[("if-none-match", "\"1\"")],
        &[("if-match", "\"2\""), ("if-none-match", "*")],
    ] {
        assert_eq!(put(bad, 3).await.status, 400, "{bad:?}");
    }
    let other = scene.ask("PUT", "/v1/services/other", Some(web(1))).await;
    assert_eq!(other.status, 422, "the path says another name");
    assert_eq!(scene.ask("GET", "/v1/services/web", None).await.json["replicas"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_scaled_replaced_held_and_removed() {
    let scene = scene(&["n1", "n2"]).await;
    scene.ask("POST", "/create", Some(web(2))).await;
    scene.until("/status", |status| status["services"]["web"] == "2/2").await;
    let scaled = scene.ask("POST", "/v1/services/web/scale", Some(json!({"replicas": 4}))).await;
    assert_eq!((scaled.status, &scaled.json["revision"]), (200, &2.into()));
    scene.until("/status", |status| status["services"]["web"] == "4/4").await;
    scene.ask("POST", "/v1/services/web/scale", Some(json!({"replicas": 1}))).await;
    scene.until("/v1/replicas", |replicas| replicas.as_array().unwrap().len() == 1).await;

    let before = scene.ask("GET", "/v1/replicas", None).await.json[0]["epoch"].as_u64().unwrap();
    assert_eq!(scene.ask("POST", "/v1/services/web/restart", Some(json!({}))).await.status, 202);
    let is_new = |replicas: &Value| {
        let replicas = replicas.as_array().unwrap();
        replicas.len() == 1 && replicas[0]["epoch"].as_u64().unwrap() > before
    };
    scene.until("/v1/replicas", is_new).await;

    let hold = scene.ask("POST", "/v1/services/web/hold", Some(json!({"reason": "maintenance"}))).await;
    assert_eq!(hold.status, 204);
    assert_eq!(scene.ask("GET", "/v1/services/web", None).await.json["hold"]["reason"], "maintenance");
    assert_eq!(scene.ask("DELETE", "/v1/services/web/hold", None).await.status, 204);
    assert_eq!(scene.ask("GET", "/v1/services/web", None).await.json["hold"], Value::Null);

    assert_eq!(scene.ask("DELETE", "/v1/services/web", None).await.status, 202);
    scene.until("/v1/services", |services| services == &json!([])).await;
    assert_eq!(scene.ask("GET", "/v1/replicas", None).await.json, json!([]));
    gone(&scene).await;
}

/// Nothing can be asked of a service that there is not.
async fn gone(scene: &Scene) {
    for (method, path, body) in [
        ("GET", "/v1/services/web", None),
        ("DELETE", "/v1/services/web", None),
        ("POST", "/v1/services/web/scale", Some(json!({"replicas": 1}))),
        ("POST", "/v1/services/web/restart", Some(json!({}))),
        ("POST", "/v1/services/web/hold", Some(json!({"reason": "x"}))),
        ("DELETE", "/v1/services/web/hold", None),
    ] {
        assert_eq!(scene.ask(method, path, body).await.status, 404, "{method} {path}");
    }
}
