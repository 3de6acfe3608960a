//! What becomes of a service that was asked for, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bollard::models::ContainerCreateBody;
use serde_json::{Value, json};
use upbeat_orchestrator::cluster::model::{HostPort, ProbeRule, Service};
use upbeat_orchestrator::cluster::request::{FieldError, ServiceRequest};
use upbeat_orchestrator::cluster::template;

/// The service with these fields besides a name and an image.
fn service(fields: Value) -> Result<Service, FieldError> {
    let mut request = json!({"name": "web", "image": "web:1"});
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    request.as_object_mut().unwrap().extend(fields);
    template::service(serde_json::from_value::<ServiceRequest>(request).unwrap())
}

fn everything() -> Value {
    json!({
        "replicas": 3, "command": ["run", "--fast"], "entrypoint": ["/bin/x"], "env": {"B": "2", "A": "1"},
        "ports": ["8080:80", "127.0.0.1:53:53/udp", "9090"], "volumes": ["data:/data:ro"], "networks": ["front", "back"],
        "health": {"test": "curl localhost", "interval": "10s", "timeout": "1.5s", "retries": 3, "start_period": "1m"},
        "stop_grace_period": "1500ms", "stop_signal": "SIGINT", "partition": "stop", "placement": {"disk": "ssd"},
        "logs": {"severity": "error", "lines": 5, "within": 60, "cool_down": 300}, "user": "1:1", "working_dir": "/tmp",
        "hostname": "web", "extra_hosts": ["db:10.0.0.7"], "labels": {"team": "blue"}, "memory": "64m", "cpus": 0.5,
        "init": true, "read_only": true, "tmpfs": ["/tmp", "/run:size=1m"], "cap_add": ["NET_ADMIN"],
        "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "probe": {"port": 80}
    })
}

#[test]
fn the_engine_is_told_everything_that_was_asked_for_and_nothing_else() {
    let service = service(everything()).unwrap();
    assert_eq!(
        service.container.body,
        json!({
            "Image": "web:1", "Cmd": ["run", "--fast"], "Entrypoint": ["/bin/x"], "Env": ["A=1", "B=2"],
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "9090/tcp": {}}, "User": "1:1", "WorkingDir": "/tmp",
            "Hostname": "web", "StopSignal": "SIGINT", "StopTimeout": 2,
            "Labels": {"team": "blue", "io.upbeat.orchestrator.service": "web"},
            "Healthcheck": {"Test": ["CMD-SHELL", "curl localhost"], "Interval": 10_000_000_000_u64,
                "Timeout": 1_500_000_000, "Retries": 3, "StartPeriod": 60_000_000_000_u64},
            "NetworkingConfig": {"EndpointsConfig": {"front": {"Aliases": ["web"]}}},
            "HostConfig": {
                "RestartPolicy": {"Name": "no"}, "NetworkMode": "front", "Binds": ["data:/data:ro"],
                "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}],
                    "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}],
                    "9090/tcp": [{"HostIp": "", "HostPort": ""}]},
                "Tmpfs": {"/tmp": "", "/run": "size=1m"}, "ExtraHosts": ["db:10.0.0.7"], "Memory": 67_108_864,
                "NanoCpus": 500_000_000, "Init": true, "ReadonlyRootfs": true, "CapAdd": ["NET_ADMIN"],
                "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"]
            }
        })
    );
    assert_eq!(service.container.networks, [("back".to_owned(), json!({"Aliases": ["web"]}))].into());
    assert_eq!(service.host_ports, [HostPort { port: 53, udp: true }, HostPort { port: 8080, udp: false }]);
    assert_eq!(service.stop_grace, Duration::from_millis(1500));
}

#[test]
fn what_was_not_asked_for_is_left_to_the_image_and_the_engine() {
    let body = service(json!({})).unwrap().container.body.clone();
    let labels = json!({"io.upbeat.orchestrator.service": "web"});
    let host = json!({"RestartPolicy": {"Name": "no"}});
    assert_eq!(body, json!({"Image": "web:1", "Labels": labels, "StopTimeout": 10, "HostConfig": host}));
}

#[test]
fn the_body_is_one_that_the_engine_s_client_reads_whole() {
    for fields in [json!({}), everything()] {
        let body = service(fields).unwrap().container.body.clone();
        let read: ContainerCreateBody = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), body);
    }
}

#[test]
fn the_hash_tells_one_container_from_another_and_knows_nothing_of_replicas() {
    let hash = |fields| service(fields).unwrap().container.hash.clone();
    let plain = hash(json!({}));
    assert_eq!(plain.len(), 32);
    assert_eq!(plain, hash(json!({"replicas": 7, "partition": "stop", "placement": {"a": "b"}})));
    let others = [json!({"image": "web:2"}), json!({"env": {"A": "1"}}), json!({"networks": ["a"]})];
    for other in others {
        assert_ne!(plain, hash(other.clone()), "{other}");
    }
    assert_ne!(hash(json!({"networks": ["a", "b"]})), hash(json!({"networks": ["a"]})));
    assert_eq!(hash(everything()), hash(everything()));
}

#[test]
fn what_can_not_be_right_is_refused_by_its_field_with_what_would_do() {
    for (fields, field, would_do) in [
        (json!({"name": "Web"}), "name", "small letters"),
        (json!({"name": "-web"}), "name", "no dash first"),
        (json!({"name": "w".repeat(42)}), "name", "41"),
        (json!({"name": ""}), "name", "1 to 41"),
        (json!({"image": "web:1 x"}), "image", "nginx:1.27"),
        (json!({"replicas": 10_001}), "replicas", "10000"),
        (json!({"entrypoint": []}), "entrypoint", "leave it out"),
        (json!({"env": {"A=B": "hunter2"}}), "env.A=B", "without ="),
        (json!({"ports": ["80", "x:80"]}), "ports[1]", "8080:80"),
        (json!({"ports": ["80:80", "80:81"]}), "ports[1]", "already"),
        (json!({"ports": ["80:80", "127.0.0.1:80:81"]}), "ports[1]", "already"),
        (json!({"volumes": ["/data"]}), "volumes[0]", "name:/data"),
        (json!({"volumes": ["a:/data", "b:/data"]}), "volumes[1]", "mounted there"),
        (json!({"networks": ["a b"]}), "networks[0]", "letters"),
        (json!({"networks": ["host", "a"]}), "networks[0]", "no other network"),
        (json!({"networks": ["host"], "ports": ["80:80"]}), "networks[0]", "no ports"),
        (json!({"networks": ["bridge"]}), "networks[0]", "leave it out"),
        (json!({"networks": ["a", "a"]}), "networks[1]", "already"),
        (json!({"health": {"test": []}}), "health.test", "CMD-SHELL"),
        (json!({"health": {"test": ["curl"]}}), "health.test", "CMD"),
        (json!({"health": {"test": "x", "interval": "0s"}}), "health.interval", "1ms"),
        (json!({"health": {"test": "x", "timeout": "10"}}), "health.timeout", "10s"),
        (json!({"health": {"test": "x", "retries": 0}}), "health.retries", "1 is the least"),
        (json!({"stop_grace_period": "1h"}), "stop_grace_period", "4m"),
        (json!({"placement": {"": "x"}}), "placement", "name"),
        (json!({"logs": {"severity": "error", "lines": 0, "within": 1, "cool_down": 0}}), "logs.lines", "1"),
        (json!({"probe": {"port": 0}}), "probe.port", "65535"),
        (json!({"probe": {"port": 80, "path": "health"}}), "probe.path", "/health"),
        (json!({"probe": {"port": 80, "path": "/a b"}}), "probe.path", "/health"),
        (json!({"probe": {"port": 80, "path": "/#a"}}), "probe.path", "/health"),
        (json!({"probe": {"port": 80, "interval": "500ms"}}), "probe.interval", "1s to 1h"),
        (json!({"probe": {"port": 80, "interval": "10"}}), "probe.interval", "10s"),
        (json!({"probe": {"port": 80, "timeout": "2m"}}), "probe.timeout", "10ms to 1m"),
        (json!({"probe": {"port": 80}, "networks": ["none"]}), "probe", "network none"),
        (json!({"user": ""}), "user", "leave it out"),
        (json!({"working_dir": "tmp"}), "working_dir", "whole path"),
        (json!({"extra_hosts": ["db:there"]}), "extra_hosts[0]", "name:address"),
        (json!({"volumes": ["a:/tmp"], "tmpfs": ["/tmp"]}), "tmpfs[0]", "once"),
        (json!({"extra_hosts": ["db"]}), "extra_hosts[0]", "name:address"),
        (json!({"labels": {"io.upbeat.orchestrator": "x"}}), "labels.io.upbeat.orchestrator", "another"),
        (json!({"memory": "1m"}), "memory", "6m"),
        (json!({"memory": "much"}), "memory", "64m"),
        (json!({"cpus": 0.0}), "cpus", "0.01"),
        (json!({"tmpfs": ["tmp"]}), "tmpfs[0]", "/path"),
        (json!({"cap_add": ["NET ADMIN"]}), "cap_add[0]", "word"),
    ] {
        let error = service(fields.clone()).err().unwrap_or_else(|| panic!("{fields} is taken"));
        assert_eq!(error.field, field, "{fields}: {error}");
        assert!(error.why.contains(would_do), "{fields}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_probe_is_none_of_the_container_s_hash_and_has_the_defaults_of_one_host() {
    let bare = service(json!({"ports": ["80"]})).unwrap();
    let probed = service(json!({"ports": ["80"], "probe": {"port": 80}})).unwrap();
    assert_eq!(bare.container.hash, probed.container.hash);
    assert_ne!(bare, probed);
    let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(5));
    assert_eq!(probed.probe, Some(ProbeRule { port: 80, path: "/".to_owned(), interval, timeout }));
}

#[test]
fn a_port_of_the_node_may_be_published_on_two_of_its_addresses_and_counts_once() {
    let service = service(json!({"ports": ["127.0.0.1:80:80", "10.0.0.1:80:80"], "replicas": 0})).unwrap();
    assert_eq!(service.host_ports, [HostPort { port: 80, udp: false }]);
}
