//! Compose files: what becomes of them, what is refused with its line, and that Compose takes what we take.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod random;

use std::time::Duration;

use serde_json::json;
use upbeat_orchestrator::cluster::compose::{ComposeError, Composed, Source, read};
use upbeat_orchestrator::cluster::model::{HostPort, LogRule, Partition, ProbeRule};
use upbeat_orchestrator::severity::Severity;

fn variable(name: &str) -> Option<String> {
    match name {
        "TAG" => Some("7".to_owned()),
        "SECRET" => Some("hunter2".to_owned()),
        _ => None,
    }
}

fn compose(text: &str) -> Result<Composed, ComposeError> {
    read(&Source { file: "file.yml", text, project: "shop", variables: &variable })
}

const EVERYTHING: &str = r#"
version: "3.9"
name: shop
x-orchestrator: {mode: cluster}
x-common: &common
  image: web:${TAG}
  restart: unless-stopped
  environment: &env
    SECRET:
    NOT_SET:
    PRICE: 5$$
    LEVEL: ${LEVEL:-info}
services:
  web:
    <<: *common
    command: serve --name "two words"
    entrypoint: [/bin/x]
    ports: ["8080:80", "127.0.0.1:53:53/udp", 9090, {target: 1, published: 2, host_ip: "::1", protocol: udp, mode: host}]
    volumes: ["data:/data:ro", "/srv:/srv", {type: volume, source: other, target: /other, read_only: true}]
    networks: {front: , default: {}}
    healthcheck: {test: curl localhost, interval: 1m30s, timeout: 2s, retries: 3, start_period: 5s}
    stop_grace_period: 45s
    stop_signal: SIGINT
    user: "1:1"
    working_dir: /tmp
    hostname: web
    extra_hosts: {db: 10.0.0.7}
    labels: [team=blue, plain]
    init: true
    read_only: true
    tmpfs: /tmp
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    depends_on: [db]
    deploy:
      mode: replicated
      replicas: 3
      placement: {constraints: [node.labels.disk == ssd, "node.labels.zone==a"]}
      resources: {limits: {memory: 64m, cpus: "0.5"}}
    x-orchestrator:
      partition: stop
      logs: {severity: warn, within: 2m}
      probe: {port: 80, path: "/health?x=1", timeout: 2s}
  db:
    image: db:1
    environment: [A=1, "B=x=y", SECRET]
    network_mode: host
    mem_limit: 1g
    cpus: 2
networks:
  front: {name: public}
volumes:
  data:
  other: {external: true}
"#;

#[test]
fn everything_that_a_file_can_say_reaches_the_engine_s_body() {
    let Composed { services, notes } = compose(EVERYTHING).unwrap();
    let [db, web] = &services[..] else { panic!("{services:?}") };
    assert_eq!((web.name.as_str(), web.replicas, web.partition), ("web", 3, Partition::Stop));
    assert_eq!(web.placement, [("disk".into(), "ssd".into()), ("zone".into(), "a".into())].into());
    let port = |port, udp| HostPort { port, udp };
    assert_eq!(web.host_ports, [port(2, true), port(53, true), port(8080, false)]);
    assert_eq!(web.stop_grace, Duration::from_secs(45));
    assert_eq!(web.logs, Some(LogRule { severity: Severity::Warn, lines: 5, within: 120, cool_down: 300 }));
    let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(2));
    let probe = ProbeRule { port: 80, path: "/health?x=1".to_owned(), interval, timeout };
    assert_eq!((web.probe.as_ref(), db.probe.as_ref()), (Some(&probe), None));
    let body = &web.container.body;
    assert_eq!(body["Image"], "web:7");
    assert_eq!(body["Cmd"], json!(["serve", "--name", "two words"]));
    assert_eq!(body["Env"], json!(["LEVEL=info", "PRICE=5$", "SECRET=hunter2"]));
    assert_eq!(body["Labels"]["team"], "blue");
    assert_eq!(body["Labels"]["plain"], "");
    assert_eq!(body["Healthcheck"]["Interval"], 90_000_000_000_u64);
    let host = &body["HostConfig"];
    assert_eq!(host["Binds"], json!(["shop_data:/data:ro", "/srv:/srv", "other:/other:ro"]));
    assert_eq!(host["PortBindings"]["1/udp"], json!([{"HostIp": "::1", "HostPort": "2"}]));
    assert_eq!(host["NetworkMode"], "shop_default");
    assert_eq!(host["Memory"], 67_108_864);
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["ExtraHosts"], json!(["db:10.0.0.7"]));
    assert_eq!(host["Tmpfs"], json!({"/tmp": ""}));
    assert!(web.container.networks.contains_key("public"), "{:?}", web.container.networks);
    assert_eq!(db.container.body["Env"], json!(["A=1", "B=x=y", "SECRET=hunter2"]));
    assert_eq!(db.container.body["HostConfig"]["NetworkMode"], "host");
    assert_eq!(db.container.body["HostConfig"]["NanoCpus"], 2_000_000_000);
    for note in ["file.yml:7: services.web.restart", "services.web.depends_on", "volumes.other"] {
        assert!(notes.iter().any(|found| found.contains(note)), "{note}: {notes:?}");
    }
}

const EXAMPLE: &str = include_str!("../../examples/pair.yml");

#[test]
fn the_example_is_a_cluster_of_the_pair_on_two_nodes() {
    let variables = |name: &str| match name {
        "BROKER" => Some("10.0.0.7".to_owned()),
        "READY" => Some("/srv/ready.d".to_owned()),
        _ => None,
    };
    let source = Source { file: "pair.yml", text: EXAMPLE, project: "pair", variables: &variables };
    let Composed { services, notes } = read(&source).unwrap();
    let told: Vec<_> = services.iter().map(|one| (one.name.as_str(), one.replicas, one.partition)).collect();
    let expected =
        [("consumer", 3, Partition::Keep), ("localstack", 1, Partition::Hold), ("producer", 1, Partition::Stop)];
    assert_eq!(told, expected);
    let env = services[0].container.body["Env"].as_array().unwrap();
    assert!(env.contains(&json!("AWS_ENDPOINT_URL=http://10.0.0.7:4566")) && env.contains(&json!("POLL_GRACE=20s")));
    assert!(services[0].host_ports.is_empty(), "three find room on two nodes");
    assert!(notes.is_empty(), "{notes:?}");
    let source = Source { variables: &|_| None, ..source };
    let error = read(&source).unwrap_err().to_string();
    assert!(error.contains("READY must be set: is the folder"), "{error}");
}

#[test]
fn a_small_file_has_compose_s_defaults() {
    let Composed { services, notes } = compose("services: {web: {image: 'web:$TAG'}}").unwrap();
    let web = &services[0];
    assert_eq!((web.replicas, web.partition, web.logs.as_ref()), (1, Partition::Keep, None));
    assert_eq!(web.container.image, "web:7");
    assert_eq!(web.container.body["HostConfig"]["NetworkMode"], "shop_default");
    let endpoint = &web.container.body["NetworkingConfig"]["EndpointsConfig"]["shop_default"];
    assert_eq!(endpoint, &json!({"Aliases": ["web"]}));
    assert!(notes.is_empty());
    let unset = compose("services: {web: {image: 'web:1$NO', hostname: a$NO}}").unwrap().notes;
    assert_eq!(unset.len(), 2, "{unset:?}");
    assert!(unset[0].starts_with("file.yml:1: ") && unset[0].contains("NO is not set"), "{unset:?}");
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_line_all_at_once() {
    let text =
        "services:\n  web:\n    image: web:1\n    privileged: true\n  db:\n    build: .\n    image: db\nsecrets: {}\n";
    assert_eq!(
        compose(text).unwrap_err().0,
        [
            "file.yml:4: services.web.privileged is not supported; cap_add may do",
            "file.yml:6: services.db.build is not supported; build the image before, and have it where the nodes find it: \
             image names it",
            "file.yml:8: secrets is not supported; services, networks, volumes and x-orchestrator are",
        ]
    );
}

#[test]
fn what_can_not_be_right_is_refused_by_name_and_line() {
    for (service, line, path, why) in [
        ("image:", 3, "image", "a word"),
        ("image: [a]", 3, "image", "a word"),
        ("image: web 1", 3, "image", "nginx"),
        ("image: ${NO?set it}", 3, "image", "set it"),
        ("image: web\n    command: 'a", 4, "", "YAML"),
        ("image: web\n    command: \"it's\"", 4, "command", "quotation"),
        ("image: web\n    environment: {A: [hunter2]}", 4, "environment.A", "a list"),
        ("image: web\n    environment: hunter2", 4, "environment", "a map"),
        ("image: web\n    environment: {A: 'hunter2$'}", 4, "environment.A", "$$"),
        ("image: web\n    environment:\n      - A=hunter2\n      - A=hunter2", 6, "environment", "already"),
        ("image: web\n    environment:\n      A: hunter2\n      A: hunter2", 6, "A", "already, in line 5"),
        ("image: web\n    ports:\n      - 80\n      - 80-90:80-90", 6, "ports[1]", "range"),
        ("image: web\n    ports:\n      - target: 80\n        app: x", 6, "ports[0].app", "target"),
        ("image: web\n    ports: 80", 4, "ports", "a list"),
        ("image: web\n    volumes:\n      - ./x:/x", 5, "volumes[0]", "whole path"),
        ("image: web\n    volumes: ['x:/x']", 4, "volumes[0]", "not among"),
        ("image: web\n    volumes: [{type: tmpfs, target: /x}]", 4, "volumes[0].type", "tmpfs"),
        ("image: web\n    networks: [x]", 4, "networks", "not among"),
        ("image: web\n    networks: {default: {aliases: [a]}}", 4, "networks.default.aliases", "own name"),
        ("image: web\n    network_mode: host\n    networks: [default]", 5, "networks", "goes without"),
        ("image: web\n    cpus: 1\n    deploy: {resources: {limits: {cpus: 1}}}", 5, "limits.cpus", "not both"),
        ("image: web\n    extra_hosts: {db: there}", 4, "extra_hosts[0]", "db:10.0.0.7"),
        ("image: web\n    network_mode: bridge", 4, "network_mode", "host or none"),
        ("image: web\n    healthcheck: {interval: 10s}", 4, "healthcheck.test", "missing"),
        ("image: web\n    healthcheck:\n      test: a\n      timeout: 10", 6, "healthcheck.timeout", "10s"),
        ("image: web\n    healthcheck: {test: a, start_interval: 1s}", 4, "healthcheck.start_interval", "start_period"),
        ("image: web\n    stop_grace_period: 1h", 4, "stop_grace_period", "4m"),
        ("image: web\n    read_only: yes", 4, "read_only", "true or false"),
        ("image: web\n    mem_limit: 1", 4, "mem_limit", "6m"),
        ("image: web\n    deploy: {replicas: -1}", 4, "deploy.replicas", "number"),
        ("image: web\n    deploy: {replicas: 20000}", 4, "deploy.replicas", "10000"),
        ("image: web\n    deploy: {mode: global}", 4, "deploy.mode", "replicated"),
        ("image: web\n    deploy: {update_config: {}}", 4, "deploy.update_config", "replicas"),
        (
            "image: web\n    deploy: {placement: {constraints: [node.role == manager]}}",
            4,
            "constraints[0]",
            "node.labels",
        ),
        ("image: web\n    deploy: {placement: {constraints: [node.labels.a != b]}}", 4, "constraints[0]", "=="),
        ("image: web\n    deploy:\n      resources:\n        limits:\n          pids: 1", 7, "limits.pids", "memory"),
        ("image: web\n    x-orchestrator: {partition: maybe}", 4, "x-orchestrator.partition", "keep, stop or hold"),
        ("image: web\n    x-orchestrator: {logs: {severity: loud}}", 4, "x-orchestrator.logs.severity", "error"),
        ("image: web\n    x-orchestrator: {replicas: 3}", 4, "x-orchestrator.replicas", "partition"),
        ("image: web\n    x-orchestrator: {probe: {path: /}}", 4, "x-orchestrator.probe.port", "1 to 65535"),
        ("image: web\n    x-orchestrator: {probe: 80}", 4, "x-orchestrator.probe", "a map"),
        ("image: web\n    x-orchestrator: {probe: {port: 99999}}", 4, "x-orchestrator.probe.port", "number"),
        (
            "image: web\n    x-orchestrator:\n      probe:\n        port: 80\n        path: x",
            7,
            "probe.path",
            "/health",
        ),
        ("image: web\n    x-orchestrator: {probe: {port: 80, url: x}}", 4, "probe.url", "port, path"),
        ("image: web\n    network_mode: none\n    x-orchestrator: {probe: {port: 80}}", 5, "probe", "network none"),
        ("image: web\n    x-other: 1", 4, "x-other", "not supported"),
        ("user: a", 2, "image", "missing"),
    ] {
        let text = format!("services:\n  web:\n    {service}\n");
        let errors = compose(&text).err().unwrap_or_else(|| panic!("{text} is taken")).0;
        let error = &errors[0];
        assert!(error.starts_with(&format!("file.yml:{line}: ")), "{text}: {errors:?}");
        assert!(error.contains(path) && error.contains(why), "{text}: {errors:?}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_can_not_be_right_above_the_services_is_refused_too() {
    for (text, line, why) in [
        ("", 1, "services is missing"),
        ("- a", 1, "the file is a list"),
        ("services: {}\ninclude: []", 2, "include is not supported"),
        ("x-orchestrator:\n  mode: snapshot\nservices: {}", 2, "without a file"),
        ("x-orchestrator:\n  mode: enforce\nservices: {}", 2, "--allow"),
        ("x-orchestrator:\n  mode: x\nservices: {}", 2, "cluster is"),
        ("x-orchestrator:\n  nodes: 3\nservices: {}", 2, "mode is"),
        ("services: {}\nnetworks:\n  a: {driver: overlay}", 3, "bridge is the only one"),
        ("services: {}\nnetworks:\n  a:\n    ipam: {}", 4, "networks.a.ipam is not supported"),
        ("services: {}\nvolumes:\n  a: {driver: nfs}", 3, "local is the only one"),
        ("services:\n  Web_1: {image: a}", 2, "small letters"),
        ("services:\n  a: {image: a}\n  a: {image: b}", 3, "already, in line 2"),
        ("services:\n\ta: 1", 2, "no YAML"),
    ] {
        let errors = compose(text).err().unwrap_or_else(|| panic!("{text} is taken")).0;
        assert!(errors[0].starts_with(&format!("file.yml:{line}: ")), "{text}: {errors:?}");
        assert!(errors[0].contains(why), "{text}: {errors:?}");
    }
}
