//! What replicas printed, of nodes with an agent: the agent is told with its orders what is wanted, and sends it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep, timeout};
use upbeat_orchestrator::credentials::{Admitted, Credentials, JoinToken, Role};
use upbeat_orchestrator::pki::Peer;

use super::{Answer, From, Scene, scene, web};

/// An agent's node that has a replica; the agent does nothing by itself.
async fn with_a_replica() -> (Scene, Arc<Peer>, String) {
    let scene = scene(&[]).await;
    let peer = scene.member("n1").await;
    scene.ask("POST", "/create", Some(web(1))).await;
    let orders = scene.exchange(&peer, &json!(null), false).await;
    let name = orders["replicas"][0]["name"].as_str().unwrap().to_owned();
    (scene, peer, name)
}

impl Scene {
    /// A node that has joined and said what it is.
    async fn member(&self, name: &str) -> Arc<Peer> {
        let peer = self.peer(name);
        let token = JoinToken { hash: name.to_owned(), node: None, admitted: Admitted::default(), expires: 9 };
        self.store.keep_join_token(&token).await.unwrap();
        self.store.join(name, name, &peer.key, 1).await.unwrap().unwrap();
        let hello = json!({"capacity": 3, "labels": {}}).to_string();
        assert_eq!(self.ask_as(From::Node(&peer), "PUT", "/v1/agent", &[], Some(hello)).await.status, 204);
        peer
    }

    /// What a node is told that goes by these orders; again until there are any replicas in them.
    async fn exchange(&self, peer: &Arc<Peer>, stamp: &Value, waits: bool) -> Value {
        let report = json!({"stamp": stamp, "engine": null, "replicas": {}}).to_string();
        let path = format!("/v1/agent/exchange?waits={waits}");
        for _ in 0..100 {
            let answer = self.ask_as(From::Node(peer), "POST", &path, &[], Some(report.clone())).await;
            if !stamp.is_null() || answer.json["replicas"].as_array().is_some_and(|replicas| !replicas.is_empty()) {
                return answer.json;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("there are no orders");
    }

    async fn send(&self, peer: &Arc<Peer>, id: &Value, printed: &Value) -> u16 {
        let path = format!("/v1/agent/logs/{id}");
        self.ask_as(From::Node(peer), "POST", &path, &[], Some(printed.to_string())).await.status
    }

    async fn logs(&self, name: &str) -> Answer {
        self.ask("GET", &format!("/v1/logs/{name}?tail=7"), None).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_waits_for_orders_is_told_at_once_and_what_it_sends_is_the_answer() {
    let (scene, peer, name) = with_a_replica().await;
    let stamp = scene.exchange(&peer, &json!(null), false).await["stamp"].take();
    let other = scene.member("n2").await;
    let agent = async {
        let began = Instant::now();
        let told = scene.exchange(&peer, &stamp, true).await;
        assert!(began.elapsed() < Duration::from_secs(1), "it does not wait for its time: {:?}", began.elapsed());
        assert_eq!(told["stamp"], stamp, "its orders are the same");
        let tail = &told["tails"][0];
        assert_eq!((&tail["name"], &tail["lines"]), (&json!(name), &json!(7)));
        assert_eq!(scene.exchange(&peer, &stamp, false).await, Value::Null, "it is told once");
        let lines = json!({"text": "one\n\u{0}two\n"});
        assert_eq!(scene.send(&other, &tail["id"], &json!({"text": "forged"})).await, 404);
        assert_eq!(scene.send(&peer, &json!("x"), &lines).await, 404);
        let from_here = scene.ask("POST", &format!("/v1/agent/logs/{}", tail["id"]), Some(lines.clone())).await;
        assert_eq!(from_here.status, 401, "only nodes send");
        assert_eq!(scene.send(&peer, &tail["id"], &json!({"text": "x".repeat((1 << 20) + 1)})).await, 413);
        assert_eq!(scene.send(&peer, &tail["id"], &lines).await, 204);
        assert_eq!(scene.send(&peer, &tail["id"], &lines).await, 404, "nobody waits any more");
    };
    let (answer, ()) = tokio::join!(scene.logs(&name), agent);
    assert_eq!((answer.status, answer.text.as_str()), (200, "one\n\u{0}two\n"));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_can_not_send_is_refused_by_its_status() {
    let (scene, peer, name) = with_a_replica().await;
    let stamp = scene.exchange(&peer, &json!(null), false).await["stamp"].take();
    for (printed, status) in [
        (json!({"missing": name}), 404),
        (json!({"unreachable": "no answer"}), 503),
        (json!({"refused": "its driver does not keep it"}), 422),
    ] {
        let agent = async {
            let told = scene.exchange(&peer, &stamp, true).await;
            assert_eq!(scene.send(&peer, &told["tails"][0]["id"], &printed).await, 204);
        };
        assert_eq!(tokio::join!(scene.logs(&name), agent).0.status, status, "{printed}");
    }
    assert_eq!(scene.logs("web.9.9").await.status, 404, "there is no such replica");
    assert_eq!(scene.logs("../x").await.status, 404);
    let token = scene.token(Role::Read).await;
    let path = format!("/v1/logs/{name}");
    assert_eq!(scene.ask_as(From::Afar(None), "GET", &path, &[], None).await.status, 401);
    let agent = async {
        let told = scene.exchange(&peer, &stamp, true).await;
        assert_eq!(scene.send(&peer, &told["tails"][0]["id"], &json!({"text": ""})).await, 204);
    };
    let asked = scene.ask_as(From::Afar(Some(&token)), "GET", &path, &[], None);
    assert_eq!(tokio::join!(asked, agent).0.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_send_or_is_lost_and_too_many_who_ask_are_told_to_come_again() {
    let (scene, peer, name) = with_a_replica().await;
    let stamp = scene.exchange(&peer, &json!(null), false).await["stamp"].take();
    // It tells how it is, and knows nothing of tails.
    let agent = async {
        loop {
            scene.exchange(&peer, &stamp, true).await;
            sleep(Duration::from_millis(30)).await;
        }
    };
    let began = Instant::now();
    let all = futures_util::future::join_all((0..6).map(|_| scene.logs(&name)));
    let all = tokio::select! { all = all => all, () = agent => unreachable!("it goes on") };
    assert_eq!(began.elapsed().as_secs(), 10);
    let mut statuses: Vec<_> = all.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [429, 429, 503, 503, 503, 503]);
    assert!(all.iter().all(|answer| answer.headers.contains_key("retry-after")));
    // Nobody waits any more, and so nothing is wanted.
    let quiet = timeout(Duration::from_secs(1), scene.exchange(&peer, &stamp, true)).await;
    assert!(quiet.is_err(), "{quiet:?}");

    scene.until("/v1/nodes/n1", |node| node["status"] == "lost").await;
    let began = Instant::now();
    let answer = scene.logs(&name).await;
    assert_eq!((answer.status, began.elapsed().as_secs()), (503, 0), "{}", answer.text);
    assert!(answer.json["detail"].as_str().unwrap().contains("n1, which is lost"), "{}", answer.text);
}
