//! A service of the file, as one that is asked for.

mod lists;

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::Names;
use super::read::Reader;
use super::tree::{Entry, Kind, Node};
use crate::cluster::model::{LogRule, Partition};
use crate::cluster::request::{FieldError, HealthRequest, HealthTest, ProbeRequest, ServiceRequest};
use crate::cluster::values;
use crate::severity::Severity;

/// What would do instead of keys that people write often.
const INSTEAD: [(&str, &str); 9] = [
    ("build", "build the image before, and have it where the nodes find it: image names it"),
    ("container_name", "a container is called after its service, its slot and its epoch"),
    ("privileged", "cap_add may do"),
    ("env_file", "environment is, with ${VARIABLES} of the environment that the file is read in"),
    ("profiles", "a service with deploy.replicas: 0 does not run"),
    ("scale", "deploy.replicas is"),
    ("secrets", "environment is; it is never shown"),
    ("mem_reservation", "mem_limit is"),
    ("links", "containers of a node find each other on their networks by the names of their services"),
];

/// Where each field of what is asked for stands in the file.
pub(super) struct Places {
    path: String,
    line: usize,
    known: BTreeMap<String, (String, usize)>,
}

impl Places {
    fn put(&mut self, field: impl Into<String>, path: impl Into<String>, line: usize) {
        self.known.insert(field.into(), (path.into(), line));
    }

    fn list(&mut self, field: &str, path: &str, texts: Vec<(String, usize)>) -> Vec<String> {
        for (n, (_, line)) in texts.iter().enumerate() {
            self.put(format!("{field}[{n}]"), format!("{path}[{n}]"), *line);
        }
        texts.into_iter().map(|(text, _)| text).collect()
    }

    /// The line and the words for what is wrong with a field.
    pub(super) fn of(&self, error: &FieldError) -> (usize, String) {
        let known = self.known.get(&error.field).cloned().or_else(|| {
            // A part of what has a place.
            let end = error.field.find(['.', '['])?;
            let (path, line) = self.known.get(&error.field[..end])?;
            Some((format!("{path}{}", &error.field[end..]), *line))
        });
        let (path, line) = known.unwrap_or_else(|| (self.path.clone(), self.line));
        (line, format!("{path}: {}", error.why))
    }
}

pub(super) fn request(reader: &mut Reader<'_>, entry: &Entry, names: &Names) -> Option<(ServiceRequest, Places)> {
    let path = format!("services.{}", entry.key);
    let mut places = Places { path: path.clone(), line: entry.line, known: BTreeMap::new() };
    let mut asked = ServiceRequest {
        name: entry.key.clone(),
        replicas: 1,
        stop_grace_period: "10s".to_owned(),
        ..ServiceRequest::default()
    };
    let wrongs = reader.wrongs.len();
    let mut networks = Vec::new();
    let mut networks_line = entry.line;
    for Entry { key, line, value } in reader.map(&entry.value, &path) {
        let here = format!("{path}.{key}");
        match key.as_str() {
            "environment" => places.put("env", &here, *line),
            "healthcheck" => places.put("health", &here, *line),
            "mem_limit" => places.put("memory", &here, *line),
            "network_mode" => places.put("networks[0]", &here, *line),
            _ => places.put(key, &here, *line),
        }
        match key.as_str() {
            "image" => asked.image = reader.text(value, &here)?,
            "command" => asked.command = reader.words(value, &here),
            "entrypoint" => asked.entrypoint = reader.words(value, &here),
            "environment" => asked.env = reader.pairs(value, &here, true),
            "labels" => asked.labels = reader.pairs(value, &here, false),
            "ports" => asked.ports = places.list("ports", &here, lists::ports(reader, value, &here)),
            "volumes" => {
                asked.volumes = places.list("volumes", &here, lists::volumes(reader, value, &here, &names.volumes));
            }
            "networks" => {
                networks = lists::networks(reader, value, &here);
                networks_line = *line;
            }
            "network_mode" => match reader.text(value, &here)?.as_str() {
                mode @ ("host" | "none") => asked.networks = vec![mode.to_owned()],
                _ => reader.wrong(*line, format!("{here}: host or none; networks names others")),
            },
            "healthcheck" => asked.health = health(reader, value, &here, &mut places),
            "stop_grace_period" => asked.stop_grace_period = reader.text(value, &here)?,
            "stop_signal" => asked.stop_signal = reader.text(value, &here),
            "user" => asked.user = reader.text(value, &here),
            "working_dir" => asked.working_dir = reader.text(value, &here),
            "hostname" => asked.hostname = reader.text(value, &here),
            "init" => asked.init = reader.truth(value, &here),
            "read_only" => asked.read_only = reader.truth(value, &here),
            "mem_limit" => once(reader, *line, &here, &mut asked.memory, |reader| reader.text(value, &here)),
            "cpus" => once(reader, *line, &here, &mut asked.cpus, |reader| reader.number(value, &here)),
            "extra_hosts" => asked.extra_hosts = places.list(key, &here, lists::hosts(reader, value, &here)),
            "tmpfs" => asked.tmpfs = places.list(key, &here, reader.one_or_more(value, &here)),
            "cap_add" => asked.cap_add = places.list(key, &here, reader.texts(value, &here)),
            "cap_drop" => asked.cap_drop = places.list(key, &here, reader.texts(value, &here)),
            "security_opt" => asked.security_opt = places.list(key, &here, reader.texts(value, &here)),
            "deploy" => deploy(reader, value, &here, &mut asked, &mut places),
            "x-orchestrator" => extension(reader, value, &here, &mut asked, &mut places),
            "restart" => {
                if reader.text(value, &here).is_some_and(|policy| policy != "no") {
                    reader.note(*line, format!("{here} is Compose's: here, what ends is started again in any case"));
                }
            }
            "depends_on" => reader.note(*line, format!("{here} is Compose's: here, services are started in any order")),
            _ => {
                let instead = INSTEAD.iter().find(|(other, _)| other == key);
                reader.unsupported(
                    *line,
                    &here,
                    instead.map_or("see docs/CLUSTER.md for what is", |(_, instead)| instead),
                );
            }
        }
    }
    if !asked.networks.is_empty() && !networks.is_empty() {
        reader.wrong(networks_line, format!("{path}.networks: network_mode goes without"));
    } else if asked.networks.is_empty() {
        match names.of_networks(&networks.into_iter().collect()) {
            Ok(found) => asked.networks = found,
            Err(name) => {
                reader.wrong(networks_line, format!("{path}.networks: {name} is not among the file's networks"));
            }
        }
    }
    if asked.image.is_empty() && reader.wrongs.len() == wrongs {
        reader.wrong(entry.line, format!("{path}.image is missing"));
    }
    (reader.wrongs.len() == wrongs).then_some((asked, places))
}

fn health(reader: &mut Reader<'_>, node: &Node, path: &str, places: &mut Places) -> Option<HealthRequest> {
    let (mut health, mut disabled) = (HealthRequest::default(), false);
    for Entry { key, line, value } in reader.map(node, path) {
        let here = format!("{path}.{key}");
        places.put(format!("health.{key}"), &here, *line);
        match key.as_str() {
            "test" => {
                health.test = match &value.kind {
                    Kind::Text(_) => HealthTest::Line(reader.text(value, &here)?),
                    _ => HealthTest::Words(reader.texts(value, &here).into_iter().map(|(text, _)| text).collect()),
                }
            }
            "interval" => health.interval = reader.text(value, &here),
            "timeout" => health.timeout = reader.text(value, &here),
            "start_period" => health.start_period = reader.text(value, &here),
            "retries" => health.retries = reader.number(value, &here),
            "disable" => disabled = reader.truth(value, &here),
            _ => reader.unsupported(*line, &here, "test, interval, timeout, retries, start_period and disable are"),
        }
    }
    if disabled {
        health = HealthRequest { test: HealthTest::Words(vec!["NONE".to_owned()]), ..HealthRequest::default() };
    } else if health.test == HealthTest::default() {
        reader.wrong(node.line, format!("{path}.test is missing"));
    }
    Some(health)
}

fn deploy(reader: &mut Reader<'_>, node: &Node, path: &str, asked: &mut ServiceRequest, places: &mut Places) {
    for Entry { key, line, value } in reader.map(node, path) {
        let here = format!("{path}.{key}");
        match key.as_str() {
            "replicas" => {
                places.put("replicas", &here, *line);
                asked.replicas = reader.number(value, &here).unwrap_or_default();
            }
            "mode" => {
                if reader.text(value, &here).is_some_and(|mode| mode != "replicated") {
                    reader.wrong(*line, format!("{here}: replicated is the only one"));
                }
            }
            "placement" => {
                places.put("placement", &here, *line);
                for Entry { key, line, value } in reader.map(value, &here) {
                    let here = format!("{here}.{key}");
                    match key.as_str() {
                        "constraints" => asked.placement = lists::constraints(reader, value, &here),
                        _ => reader.unsupported(*line, &here, "constraints are"),
                    }
                }
            }
            "resources" => {
                for Entry { key, line, value } in reader.map(value, &here) {
                    let here = format!("{here}.{key}");
                    match key.as_str() {
                        "limits" => limits(reader, value, &here, asked, places),
                        _ => reader.unsupported(*line, &here, "limits are"),
                    }
                }
            }
            _ => reader.unsupported(*line, &here, "replicas, mode, placement and resources are"),
        }
    }
}

fn limits(reader: &mut Reader<'_>, node: &Node, path: &str, asked: &mut ServiceRequest, places: &mut Places) {
    for Entry { key, line, value } in reader.map(node, path) {
        let here = format!("{path}.{key}");
        places.put(key, &here, *line);
        match key.as_str() {
            "memory" => once(reader, *line, &here, &mut asked.memory, |reader| reader.text(value, &here)),
            "cpus" => once(reader, *line, &here, &mut asked.cpus, |reader| reader.number(value, &here)),
            _ => reader.unsupported(*line, &here, "memory and cpus are"),
        }
    }
}

/// What can be said in two places is said in one of them.
fn once<'a, T>(
    reader: &mut Reader<'a>,
    line: usize,
    path: &str,
    field: &mut Option<T>,
    read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) {
    if field.is_some() {
        reader.wrong(line, format!("{path}: deploy.resources.limits or the service's own key says it, not both"));
    } else {
        *field = read(reader);
    }
}

fn extension(reader: &mut Reader<'_>, node: &Node, path: &str, asked: &mut ServiceRequest, places: &mut Places) {
    for Entry { key, line, value } in reader.map(node, path) {
        let here = format!("{path}.{key}");
        match key.as_str() {
            "partition" => match reader.text(value, &here).as_deref() {
                Some("keep") => asked.partition = Partition::Keep,
                Some("stop") => asked.partition = Partition::Stop,
                Some("hold") => asked.partition = Partition::Hold,
                None => {}
                Some(_) => reader.wrong(*line, format!("{here}: keep, stop or hold")),
            },
            "logs" => {
                places.put("logs", &here, *line);
                asked.logs = Some(log_rule(reader, value, &here));
            }
            "probe" => {
                places.put("probe", &here, *line);
                asked.probe = Some(probe(reader, value, &here, places));
            }
            _ => reader.unsupported(*line, &here, "partition, logs and probe are"),
        }
    }
}

fn probe(reader: &mut Reader<'_>, node: &Node, path: &str, places: &mut Places) -> ProbeRequest {
    let mut probe = ProbeRequest::default();
    let wrongs = reader.wrongs.len();
    for Entry { key, line, value } in reader.map(node, path) {
        let here = format!("{path}.{key}");
        places.put(format!("probe.{key}"), &here, *line);
        match key.as_str() {
            "port" => probe.port = reader.number(value, &here).unwrap_or_default(),
            "path" => probe.path = reader.text(value, &here),
            "interval" => probe.interval = reader.text(value, &here),
            "timeout" => probe.timeout = reader.text(value, &here),
            _ => reader.unsupported(*line, &here, "port, path, interval and timeout are"),
        }
    }
    if probe.port == 0 && reader.wrongs.len() == wrongs {
        reader.wrong(node.line, format!("{path}.port: 1 to 65535; it is the container's own"));
    }
    probe
}

/// What is left out is as the settings of `solo` have it.
fn log_rule(reader: &mut Reader<'_>, node: &Node, path: &str) -> LogRule {
    let mut rule = LogRule { severity: Severity::Error, lines: 5, within: 60, cool_down: 300 };
    for Entry { key, line, value } in reader.map(node, path) {
        let here = format!("{path}.{key}");
        match key.as_str() {
            "severity" => match reader.text(value, &here).map(|text| Severity::from_str(&text, false)) {
                Some(Ok(severity)) => rule.severity = severity,
                None => {}
                Some(Err(_)) => reader.wrong(*line, format!("{here}: debug, info, warn, error or fatal")),
            },
            "lines" => rule.lines = reader.number(value, &here).unwrap_or_default(),
            "within" => rule.within = seconds(reader, value, &here),
            "cool_down" => rule.cool_down = seconds(reader, value, &here),
            _ => reader.unsupported(*line, &here, "severity, lines, within and cool_down are"),
        }
    }
    rule
}

fn seconds(reader: &mut Reader<'_>, node: &Node, path: &str) -> u32 {
    let Some(text) = reader.text(node, path) else { return 0 };
    let seconds = values::duration(&text).map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    seconds.unwrap_or_else(|why| {
        reader.wrong(node.line, format!("{path}: {why}"));
        0
    })
}
