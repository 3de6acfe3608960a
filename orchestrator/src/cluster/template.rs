//! What the engine is told to create a service's containers, out of what was asked for; and what is wrong with that.
//!
//! The body is that of Docker's own API. It is made here, and not sent on as somebody wrote it: what can be asked for is
//! what [`ServiceRequest`] has. A folder of the node is among it, so whoever may ask for services may have the nodes.

mod health;
mod probe;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::model::{LogRule, Service, Template};
use super::request::{FieldError, ServiceRequest};
use super::values::{self, Port};
use crate::container::{OURS, SERVICE};
use crate::desired;

/// The most containers of a service.
pub const MOST_REPLICAS: u32 = 10_000;

/// The longest name. A container's is longer by its slot and its epoch, and has to fit into a DNS name.
const LONGEST_NAME: usize = 41;

/// The longest that a container may take to stop: the loop waits for five minutes.
const LONGEST_GRACE: Duration = Duration::from_mins(4);

/// The least memory that engines take, of all versions.
const LEAST_MEMORY: i64 = 6 << 20;

/// Networks that are every node's, and can't be had beside another.
const ALONE: [&str; 2] = ["host", "none"];

/// The service that was asked for. Its errors name a field and say what would do.
pub fn service(request: ServiceRequest) -> Result<Service, FieldError> {
    let name = name(&request.name)?;
    at("image", values::image(&request.image))?;
    if request.replicas > MOST_REPLICAS {
        return Err(FieldError::new("replicas", format!("{} are too many: 0 to {MOST_REPLICAS}", request.replicas)));
    }
    let stop_grace = at("stop_grace_period", values::duration(&request.stop_grace_period))?;
    if stop_grace > LONGEST_GRACE {
        return Err(FieldError::new("stop_grace_period", "4m is the longest"));
    }
    if let Some(rule) = &request.logs {
        log_rule(rule)?;
    }
    if request.placement.keys().any(String::is_empty) {
        return Err(FieldError::new("placement", "a label has a name"));
    }
    let probe = request.probe.as_ref().map(|probe| probe::rule(probe, &request.networks)).transpose()?;
    let ports = ports(&request)?;
    let host_ports: BTreeSet<_> = ports.iter().filter_map(Port::taken).collect();
    let (networking, networks) = networks(&request)?;

    let mut body = of_container(&request, stop_grace)?;
    body.insert("ExposedPorts".to_owned(), ports.iter().map(|port| (port.key(), json!({}))).collect());
    let mut host = of_host(&request)?;
    host.insert("PortBindings".to_owned(), bindings(&ports));
    if let Some((first, endpoint)) = networking {
        // Engines before version 25 take one network with the creation, and the others by a call each.
        host.insert("NetworkMode".to_owned(), json!(first));
        if let Some(endpoint) = endpoint {
            body.insert("NetworkingConfig".to_owned(), json!({"EndpointsConfig": {first: endpoint}}));
        }
    }
    body.insert("HostConfig".to_owned(), said(host));
    let body = said(body);
    let hash = desired::hash(&body, &networks);
    Ok(Service {
        name,
        replicas: request.replicas,
        partition: request.partition,
        placement: request.placement,
        host_ports: host_ports.into_iter().collect(),
        stop_grace,
        logs: request.logs,
        probe,
        container: Arc::new(Template { image: request.image, body, networks, hash: hash.into() }),
    })
}

/// What is said of the container itself.
fn of_container(request: &ServiceRequest, stop_grace: Duration) -> Result<Map<String, Value>, FieldError> {
    let mut env = Vec::new();
    for (name, value) in &request.env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(FieldError::new(format!("env.{name}"), "a variable has a name without = in it, and no NUL"));
        }
        env.push(format!("{name}={value}"));
    }
    let mut labels = request.labels.clone();
    if let Some(label) = labels.keys().find(|label| label.is_empty() || label.starts_with(OURS)) {
        return Err(FieldError::new(
            format!("labels.{label}"),
            format!("what begins with {OURS} is ours: take another"),
        ));
    }
    labels.insert(SERVICE.to_owned(), request.name.clone());
    if request.entrypoint.as_ref().is_some_and(Vec::is_empty) {
        return Err(FieldError::new("entrypoint", "give a program, or leave it out"));
    }
    for (field, text) in [
        ("user", &request.user),
        ("working_dir", &request.working_dir),
        ("hostname", &request.hostname),
        ("stop_signal", &request.stop_signal),
    ] {
        if text.as_ref().is_some_and(String::is_empty) {
            return Err(FieldError::new(field, "leave it out, or say what"));
        }
    }
    if request.working_dir.as_ref().is_some_and(|folder| !folder.starts_with('/')) {
        return Err(FieldError::new("working_dir", "write the whole path"));
    }
    let body = json!({
        "Image": request.image,
        "Cmd": request.command,
        "Entrypoint": request.entrypoint,
        "Env": env,
        "Labels": labels,
        "User": request.user,
        "WorkingDir": request.working_dir,
        "Hostname": request.hostname,
        "StopSignal": request.stop_signal,
        // In whole seconds, and no less than was asked for.
        "StopTimeout": stop_grace.as_secs() + u64::from(stop_grace.subsec_nanos() > 0),
        "Healthcheck": request.health.as_ref().map(health::check).transpose()?,
    });
    Ok(object(body))
}

/// What is said of its place on the node.
fn of_host(request: &ServiceRequest) -> Result<Map<String, Value>, FieldError> {
    let mut targets = BTreeSet::new();
    for (n, volume) in request.volumes.iter().enumerate() {
        let field = format!("volumes[{n}]");
        at(&field, values::mount(volume))?;
        if !targets.insert(volume.split(':').nth(1)) {
            return Err(FieldError::new(field, format!("{volume:?}: something else is mounted there")));
        }
    }
    let mut tmpfs = BTreeMap::new();
    for (n, folder) in request.tmpfs.iter().enumerate() {
        let (path, options) = folder.split_once(':').unwrap_or((folder, ""));
        if !path.starts_with('/') || !targets.insert(Some(path)) || tmpfs.insert(path, options).is_some() {
            return Err(FieldError::new(
                format!("tmpfs[{n}]"),
                format!("{folder:?}: write /path or /path:size=64m, once"),
            ));
        }
    }
    for (n, host) in request.extra_hosts.iter().enumerate() {
        let known = |address: &str| address == "host-gateway" || address.parse::<IpAddr>().is_ok();
        if host.split_once(':').is_none_or(|(name, address)| name.is_empty() || !known(address)) {
            let why = format!("{host:?}: write name:address, such as db:10.0.0.7");
            return Err(FieldError::new(format!("extra_hosts[{n}]"), why));
        }
    }
    let memory = request.memory.as_deref().map(|memory| at("memory", values::bytes(memory))).transpose()?;
    if memory.is_some_and(|memory| memory < LEAST_MEMORY) {
        return Err(FieldError::new("memory", "6m is the least"));
    }
    let host = json!({
        "RestartPolicy": {"Name": "no"},
        "Binds": request.volumes,
        "Tmpfs": tmpfs,
        "ExtraHosts": request.extra_hosts,
        "Memory": memory,
        "NanoCpus": request.cpus.map(nano_cpus).transpose()?,
        "Init": request.init.then_some(true),
        "ReadonlyRootfs": request.read_only.then_some(true),
        "CapAdd": words("cap_add", &request.cap_add)?,
        "CapDrop": words("cap_drop", &request.cap_drop)?,
        "SecurityOpt": words("security_opt", &request.security_opt)?,
    });
    Ok(object(host))
}

fn name(name: &str) -> Result<String, FieldError> {
    let fits = name.len() <= LONGEST_NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let why = || format!("{name:?}: 1 to {LONGEST_NAME} small letters, digits and dashes will do, no dash first");
    if fits { Ok(name.to_owned()) } else { Err(FieldError::new("name", why())) }
}

fn log_rule(rule: &LogRule) -> Result<(), FieldError> {
    for (field, number) in [("logs.lines", u32::from(rule.lines)), ("logs.within", rule.within)] {
        if number == 0 {
            return Err(FieldError::new(field, "1 is the least"));
        }
    }
    Ok(())
}

fn ports(request: &ServiceRequest) -> Result<Vec<Port>, FieldError> {
    let mut ports: Vec<Port> = Vec::new();
    for (n, text) in request.ports.iter().enumerate() {
        let field = format!("ports[{n}]");
        let port = at(&field, values::port(text))?;
        if port.host.is_some() && ports.iter().any(|other| other.taken() == port.taken() && clash(other, &port)) {
            return Err(FieldError::new(field, format!("{text:?}: that port of the node is published already")));
        }
        ports.push(port);
    }
    Ok(ports)
}

/// Of the same port, an address of its own each is no clash.
fn clash(one: &Port, other: &Port) -> bool {
    one.address == other.address || one.address.is_empty() || other.address.is_empty()
}

fn bindings(ports: &[Port]) -> Value {
    let mut bindings = BTreeMap::<String, Vec<Value>>::new();
    for port in ports {
        let host = port.host.map(|host| host.to_string()).unwrap_or_default();
        bindings.entry(port.key()).or_default().push(json!({"HostIp": port.address, "HostPort": host}));
    }
    json!(bindings)
}

/// The first network, with what is asked of it, and the others by name.
type Networks = (Option<(String, Option<Value>)>, BTreeMap<String, Value>);

fn networks(request: &ServiceRequest) -> Result<Networks, FieldError> {
    let mut rest = BTreeMap::new();
    for (n, network) in request.networks.iter().enumerate() {
        let field = format!("networks[{n}]");
        if !values::is_name(network) {
            return Err(FieldError::new(field, format!("{network:?}: letters, digits, dots and dashes will do")));
        }
        let alone = ALONE.contains(&network.as_str());
        if alone && (request.networks.len() > 1 || !request.ports.is_empty()) {
            return Err(FieldError::new(field, format!("{network}: no other network, and no ports, go with it")));
        }
        if ["default", "bridge"].contains(&network.as_str()) {
            return Err(FieldError::new(
                field,
                format!("{network} knows no names: leave it out, or name one of your own"),
            ));
        }
        if rest.insert(network.clone(), json!({"Aliases": [request.name]})).is_some() {
            return Err(FieldError::new(field, format!("{network}: it is there already")));
        }
    }
    let Some(first) = request.networks.first() else { return Ok((None, rest)) };
    let endpoint = rest.remove(first).filter(|_| !ALONE.contains(&first.as_str()));
    Ok((Some((first.clone(), endpoint)), rest))
}

fn nano_cpus(cpus: f64) -> Result<i64, FieldError> {
    if !(0.01..=1024.0).contains(&cpus) {
        return Err(FieldError::new("cpus", format!("{cpus}: 0.01 to 1024")));
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 1024 billion")]
    Ok((cpus * 1e9).round() as i64)
}

fn words<'a>(field: &str, words: &'a [String]) -> Result<&'a [String], FieldError> {
    match words.iter().position(|word| word.is_empty() || word.contains(char::is_whitespace)) {
        Some(n) => Err(FieldError::new(format!("{field}[{n}]"), "a word will do")),
        None => Ok(words),
    }
}

fn at<T>(field: &str, value: Result<T, String>) -> Result<T, FieldError> {
    value.map_err(|why| FieldError::new(field, why))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Without what was not asked for: the engine and the image know better.
fn said(map: Map<String, Value>) -> Value {
    let is_said = |value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    map.into_iter().filter(|(_, value)| is_said(value)).collect::<Map<_, _>>().into()
}
