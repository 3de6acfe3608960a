//! Nodes: taken in, emptied, taken out; and what agents ask.

use serde_json::{Value, json};
use upbeat_orchestrator::cluster::model::Reach;
use upbeat_orchestrator::credentials::{Admitted, Credentials, JoinToken};
use upbeat_orchestrator::runtime::simulator::Behaviour;

use super::{From, scene, web};

const ENGINE: &str = "tcp://127.0.0.1:1";

#[tokio::test(start_paused = true)]
async fn a_host_without_an_agent_is_taken_in_and_out() {
    let scene = scene(&["n1"]).await;
    let host = |engine: &str| json!({"name": "h", "engine": engine, "capacity": 7, "labels": {"disk": "ssd"}});
    assert_eq!(scene.ask("POST", "/v1/nodes", Some(host(ENGINE))).await.status, 201);
    assert_eq!(scene.ask("POST", "/v1/nodes", Some(host(ENGINE))).await.status, 200, "it is one already");
    let moved = scene.ask("POST", "/v1/nodes", Some(host("tcp://127.0.0.1:2"))).await;
    assert_eq!(moved.status, 409, "another engine has other containers");
    let one = scene.ask("GET", "/v1/nodes/h", None).await.json;
    assert_eq!((&one["reach"], &one["capacity"], &one["labels"]["disk"]), (&ENGINE.into(), &7.into(), &"ssd".into()));
    assert_eq!((&one["status"], &one["silent"]), (&"suspect".into(), &Value::Null), "it has told nothing yet");
    let names = scene.ask("GET", "/v1/nodes", None).await.json;
    assert_eq!((&names[0]["name"], &names[1]["name"]), (&"h".into(), &"n1".into()));
    assert_eq!(scene.ask("DELETE", "/v1/nodes/h", None).await.status, 204);
    assert_eq!(scene.ask("DELETE", "/v1/nodes/h", None).await.status, 404);
    assert_eq!(scene.ask("GET", "/v1/nodes/h", None).await.status, 404);
    for bad in [
        json!({"name": "a b", "engine": ENGINE}),
        json!({"name": "h", "engine": "unix:///var/run/docker.sock"}),
        json!({"name": "h", "engine": "tcp://user:hunter2@127.0.0.1:1"}),
        json!({"name": "h", "engine": ENGINE, "capacity": 0}),
        json!({"name": "h", "engine": ENGINE, "labels": {"": "x"}}),
        json!({"name": "h"}),
    ] {
        let answer = scene.ask("POST", "/v1/nodes", Some(bad)).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert!(!answer.text.contains("hunter2"), "{}", answer.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_emptied_before_it_is_taken_out_or_by_force() {
    let scene = scene(&["n1", "n2"]).await;
    scene.ask("POST", "/create", Some(web(4))).await;
    scene.until("/status", |status| status["services"]["web"] == "4/4").await;
    let taken_out = scene.ask("DELETE", "/v1/nodes/n1", None).await;
    assert_eq!(taken_out.status, 409);
    assert!(taken_out.json["detail"].as_str().unwrap().contains("drain"), "{}", taken_out.text);

    assert_eq!(scene.ask("POST", "/v1/nodes/n1/cordon", Some(json!({}))).await.status, 202);
    assert_eq!(scene.ask("GET", "/v1/nodes/n1", None).await.json["admission"], "cordoned");
    assert_eq!(scene.ask("POST", "/v1/nodes/n1/uncordon", Some(json!({}))).await.status, 202);
    assert_eq!(scene.ask("GET", "/v1/nodes/n1", None).await.json["admission"], "open");
    assert_eq!(scene.ask("POST", "/v1/nodes/n1/drain", Some(json!({}))).await.status, 202);
    let empty = scene.until("/v1/nodes/n1", |node| node["replicas"] == 0).await;
    assert_eq!(empty["admission"], "draining");
    scene.until("/status", |status| status["services"]["web"] == "4/4").await;
    assert_eq!(scene.ask("DELETE", "/v1/nodes/n1?force=perhaps", None).await.status, 400);
    assert_eq!(scene.ask("DELETE", "/v1/nodes/n1", None).await.status, 204);

    assert_eq!(scene.ask("DELETE", "/v1/nodes/n2?force=true", None).await.status, 204, "whatever it has");
    scene.until("/status", |status| status["waiting"] == 4).await;
    for path in ["drain", "cordon", "uncordon"] {
        let answer = scene.ask("POST", &format!("/v1/nodes/n1/{path}"), Some(json!({}))).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_replica_printed_is_asked_of_its_engine_if_its_node_has_no_agent() {
    let scene = scene(&[]).await;
    scene.node("h", Reach::Engine(ENGINE.to_owned())).await;
    scene.ask("POST", "/create", Some(web(1))).await;
    let replicas = scene.until("/v1/replicas", |replicas| replicas[0]["ready"] == true).await;
    let path = format!("/v1/logs/{}", replicas[0]["name"].as_str().unwrap());
    assert_eq!(scene.ask("GET", &path, None).await.status, 404, "its engine knows of none");
    scene.engine.run(replicas[0]["name"].as_str().unwrap(), Behaviour::default());
    scene.engine.print(replicas[0]["name"].as_str().unwrap(), "hello");
    assert_eq!(scene.ask("GET", &path, None).await.text, "hello\n");
    scene.engine.run("other", Behaviour::default());
    assert_eq!(scene.ask("GET", "/v1/logs/other", None).await.status, 404, "it is none of the cluster's");
}

#[tokio::test(start_paused = true)]
async fn an_agent_says_what_it_is_tells_what_it_sees_and_is_told_what_to_run() {
    let scene = scene(&[]).await;
    let peer = scene.peer("n1");
    let hello = json!({"capacity": 3, "labels": {"disk": "ssd"}}).to_string();
    let say = async |from| scene.ask_as(from, "PUT", "/v1/agent", &[], Some(hello.clone())).await.status;
    let tell = async |from, report: &Value| {
        scene.ask_as(from, "POST", "/v1/agent/exchange", &[], Some(report.to_string())).await
    };
    let nothing = json!({"stamp": null, "engine": null, "replicas": {}});
    assert_eq!(say(From::Here).await, 401);
    assert_eq!(say(From::Afar(None)).await, 401);
    assert_eq!(say(From::Node(&peer)).await, 403, "it has not joined");
    let labels = [("zone".to_owned(), "a".to_owned())].into();
    let token =
        JoinToken { hash: "h".to_owned(), node: None, admitted: Admitted { capacity: Some(5), labels }, expires: 9 };
    scene.store.keep_join_token(&token).await.unwrap();
    scene.store.join("h", "n1", &peer.key, 1).await.unwrap().unwrap();
    let unknown = tell(From::Node(&peer), &nothing).await;
    assert_eq!((unknown.status, unknown.quiet), (404, false), "it has not said what it is");
    assert_eq!(say(From::Node(&peer)).await, 204);
    let node = scene.ask("GET", "/v1/nodes/n1", None).await.json;
    assert_eq!((&node["capacity"], &node["labels"]), (&5.into(), &json!({"disk": "ssd", "zone": "a"})));

    scene.ask("POST", "/create", Some(web(1))).await;
    let mut orders = Value::Null;
    for _ in 0..100 {
        let answer = tell(From::Node(&peer), &nothing).await;
        if answer.json["replicas"].as_array().is_some_and(|replicas| replicas.len() == 1) {
            orders = answer.json;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert_eq!(orders["replicas"][0]["service"], "web", "{orders}");
    let same = json!({"stamp": orders["stamp"], "engine": null, "replicas": {}});
    let again = tell(From::Node(&peer), &same).await;
    assert_eq!((again.status, again.text.as_str()), (204, ""), "it goes by them already");
    assert!(again.quiet, "all nodes ask all the time");
    assert!(!scene.ask("GET", "/v1/nodes", None).await.quiet);
    assert_eq!(scene.ask_as(From::Node(&peer), "GET", "/v1/nodes", &[], None).await.status, 401, "it is no client");
}
