//! Services' containers on real engines: as they were asked for, with images and networks that their node had not got.

use std::sync::Arc;

use serde_json::{Value, json};
use upbeat_orchestrator::cluster::request::ServiceRequest;
use upbeat_orchestrator::cluster::template;
use upbeat_orchestrator::desired::Spec;
use upbeat_orchestrator::runtime::docker::DockerEngine;
use upbeat_orchestrator::runtime::{Runtime, RuntimeError};
use upbeat_testkit::{ServiceCommand, eventually};

use super::{Hosts, IMAGE, Place, SOON, STEADY};

const SERVES: &str = "10.77.0.1:5000";

fn spec(fields: Value) -> Spec {
    let mut request = json!({"name": "web", "image": IMAGE, "command": ["sh", "-c", STEADY]});
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    request.as_object_mut().unwrap().extend(fields);
    let container = template::service(serde_json::from_value::<ServiceRequest>(request).unwrap()).unwrap().container;
    Spec { body: container.body.clone(), networks: container.networks.clone(), hash: container.hash.to_string() }
}

#[tokio::test]
async fn an_engine_makes_a_container_of_everything_that_can_be_asked_for() {
    let Some(hosts) = Hosts::start(1).await else { return };
    let engine = DockerEngine::new(hosts.socket(1), None);
    let spec = spec(json!({
        "env": {"A": "1"}, "ports": ["8080:80", "127.0.0.1:53:53/udp", "9090"], "volumes": ["data:/data", "/tmp:/x:ro"],
        "networks": ["front", "back"], "health": {"test": ["CMD", "cat", "/tmp/x"], "interval": "1m", "retries": 2},
        "stop_grace_period": "7s", "stop_signal": "SIGINT", "user": "0:0", "working_dir": "/tmp", "hostname": "me",
        "extra_hosts": ["db:10.0.0.7"], "labels": {"team": "blue"}, "memory": "64m", "cpus": 0.5, "read_only": true,
        "tmpfs": ["/run:size=1m"], "cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"]
    }));
    engine.create("web.0.1", &spec).await.unwrap();
    engine.start("web.0.1").await.unwrap();
    assert!(matches!(engine.create("web.0.1", &spec).await, Err(RuntimeError::Exists(_))));
    let made = hosts.docker(1, &["inspect", "web.0.1"]).await;
    let made = &serde_json::from_str::<Value>(&made).unwrap()[0];
    for (at, value) in [
        ("/State/Status", json!("running")),
        ("/Config/User", json!("0:0")),
        ("/Config/Hostname", json!("me")),
        ("/Config/StopTimeout", json!(7)),
        ("/Config/Healthcheck/Retries", json!(2)),
        ("/Config/Labels/team", json!("blue")),
        ("/Config/Labels/io.upbeat.orchestrator.spec", json!(spec.hash)),
        ("/HostConfig/RestartPolicy/Name", json!("no")),
        ("/HostConfig/Memory", json!(67_108_864)),
        ("/HostConfig/NanoCpus", json!(500_000_000)),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/Binds", json!(["data:/data", "/tmp:/x:ro"])),
        ("/HostConfig/Tmpfs", json!({"/run": "size=1m"})),
        ("/HostConfig/ExtraHosts", json!(["db:10.0.0.7"])),
        ("/NetworkSettings/Ports/80~1tcp/0/HostPort", json!("8080")),
    ] {
        assert_eq!(made.pointer(at), Some(&value), "{at}: {made:#}");
    }
    for network in ["front", "back"] {
        let aliases = &made["NetworkSettings"]["Networks"][network]["Aliases"];
        assert!(aliases.as_array().unwrap().contains(&json!("web")), "{made:#}");
    }
}

#[tokio::test]
async fn networks_are_made_once_though_many_containers_want_them_at_once() {
    let Some(hosts) = Hosts::start(1).await else { return };
    let engine = Arc::new(DockerEngine::new(hosts.socket(1), None));
    let spec = spec(json!({"networks": ["front", "back"]}));
    let creations: Vec<_> = (0..6)
        .map(|slot| {
            let (engine, spec) = (Arc::clone(&engine), spec.clone());
            tokio::spawn(async move {
                engine.create(&format!("web.{slot}.1"), &spec).await?;
                engine.start(&format!("web.{slot}.1")).await
            })
        })
        .collect();
    for creation in creations {
        assert_eq!(creation.await.unwrap(), Ok(()));
    }
    assert_eq!(hosts.running(1).await.len(), 6);
    let networks = hosts.docker(1, &["network", "ls", "--filter", "driver=bridge", "--format", "{{.Name}}"]).await;
    let mut networks: Vec<_> = networks.lines().collect();
    networks.sort_unstable();
    assert_eq!(networks, ["back", "bridge", "front"]);
}

/// A registry in the middle, Debian's; `None`, which is said, where it is not installed.
async fn registry(hosts: &Hosts) -> Option<upbeat_testkit::Service> {
    let program = "/usr/bin/docker-registry";
    if !std::path::Path::new(program).is_file() {
        println!("SKIPPED: {program} is not there");
        return None;
    }
    let folder = hosts.path(1, "registry");
    let settings = hosts.path(1, "registry.yml");
    let text = json!({"version": 0.1, "http": {"addr": SERVES}, "storage": {"filesystem": {"rootdirectory": folder}}});
    std::fs::write(&settings, text.to_string()).unwrap();
    let nsenter = hosts.enter(Place::Middle);
    let command = ServiceCommand::new(&nsenter[0], "").args(&nsenter[1..]);
    let registry = command.args([program, "serve"]).arg(settings.display().to_string()).spawn().await;
    eventually("registry", SOON, async || {
        let answer = hosts.request(Place::Middle, "GET", &format!("http://{SERVES}/v2/"), "").await?;
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}: {registry:?}")) }
    })
    .await;
    Some(registry)
}

#[tokio::test]
async fn an_image_that_a_node_has_not_got_is_pulled_from_a_registry() {
    let Some(hosts) = Hosts::start_with(2, &["--insecure-registry", SERVES]).await else { return };
    let Some(_registry) = registry(&hosts).await else { return };
    let image = format!("{SERVES}/tiny:1");
    hosts.docker(1, &["tag", IMAGE, &image]).await;
    hosts.docker(1, &["push", &image]).await;
    hosts.docker(1, &["rmi", &image]).await;
    let spec = spec(json!({"image": image}));
    for host in hosts.all() {
        let engine = DockerEngine::new(hosts.socket(host), None);
        let creations = (0..4).map(async |slot| engine.create(&format!("web.{slot}.{host}"), &spec).await);
        for created in futures_util::future::join_all(creations).await {
            created.unwrap();
        }
        engine.start(&format!("web.0.{host}")).await.unwrap();
    }
    assert_eq!(hosts.running(2).await, ["web.0.2"]);

    let unknown = self::spec(json!({"image": format!("{SERVES}/unknown:1")}));
    let engine = DockerEngine::new(hosts.socket(1), None);
    let error = engine.create("web.9.1", &unknown).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::Refused(why) if why.contains("unknown:1")), "{error:?}");
}
