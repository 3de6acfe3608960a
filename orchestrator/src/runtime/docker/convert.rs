//! What Docker says of a container, in our own words.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, EndpointSettings, HealthStatusEnum, PortMap,
    RestartPolicyNameEnum,
};
use chrono::DateTime;

use crate::container::{Container, Health, State, Ways};

/// Docker's way to write that something has not happened.
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(super) fn container(found: ContainerInspectResponse) -> Container {
    let config = found.config.unwrap_or_default();
    let state = found.state.unwrap_or_default();
    let host = found.host_config.unwrap_or_default();
    let policy = host.restart_policy;
    let network = found.network_settings.unwrap_or_default();
    let bindings = network.ports.unwrap_or_default();
    let ways = ways(&host.network_mode.unwrap_or_default(), network.networks.unwrap_or_default(), &bindings);
    let word = state.status.map_or(State::Created, word);
    let time = |time: Option<String>| time.filter(|time| time != NEVER).unwrap_or_default();
    let (started, finished) = (time(state.started_at), time(state.finished_at));
    let ended = !word.is_up() && !finished.is_empty();
    let mut command: Vec<String> = found.path.into_iter().collect();
    command.extend(found.args.unwrap_or_default());
    Container {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: config.image.unwrap_or_default(),
        command,
        created: found.created.unwrap_or_default(),
        state: word,
        health: state.health.and_then(|health| health.status).map_or(Health::None, health),
        exit_code: if ended { state.exit_code } else { None },
        error: state.error.unwrap_or_default(),
        ran_for: if ended { between(&started, &finished) } else { None },
        started,
        finished,
        engine_restarts: policy.is_some_and(|policy| {
            let restarts = [
                RestartPolicyNameEnum::ALWAYS,
                RestartPolicyNameEnum::UNLESS_STOPPED,
                RestartPolicyNameEnum::ON_FAILURE,
            ];
            policy.name.is_some_and(|name| restarts.contains(&name))
        }),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        ports: ports(bindings),
        ways,
    }
}

const fn word(status: Status) -> State {
    match status {
        Status::RUNNING | Status::STOPPING => State::Running,
        Status::PAUSED => State::Paused,
        Status::RESTARTING => State::Restarting,
        Status::REMOVING => State::Removing,
        Status::EXITED => State::Exited,
        Status::DEAD => State::Dead,
        Status::CREATED | Status::EMPTY => State::Created,
    }
}

const fn health(status: HealthStatusEnum) -> Health {
    match status {
        HealthStatusEnum::STARTING => Health::Starting,
        HealthStatusEnum::HEALTHY => Health::Healthy,
        HealthStatusEnum::UNHEALTHY => Health::Unhealthy,
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => Health::None,
    }
}

/// How long a run was, by the engine's own clock.
fn between(started: &str, finished: &str) -> Option<Duration> {
    let [started, finished] = [started, finished].map(|time| DateTime::parse_from_rfc3339(time).ok());
    (finished? - started?).to_std().ok()
}

/// Where it can be asked: its first network is the one that it was created with.
fn ways(mode: &str, networks: HashMap<String, EndpointSettings>, bindings: &PortMap) -> Ways {
    let first = if mode == "default" { "bridge" } else { mode };
    let mut addresses: Vec<_> = networks
        .into_iter()
        .filter_map(|(name, endpoint)| {
            let mut texts = [endpoint.ip_address, endpoint.global_ipv6_address].into_iter().flatten();
            let address = texts.find_map(|text| text.parse::<IpAddr>().ok())?;
            Some((name != first, name, address))
        })
        .collect();
    addresses.sort();
    let host = mode == "host";
    let own = if host { Some(IpAddr::from([127, 0, 0, 1])) } else { addresses.first().map(|(_, _, address)| *address) };
    let mut published = BTreeMap::<u16, Vec<SocketAddr>>::new();
    for (port, bindings) in bindings {
        let Some(port) = port.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else { continue };
        let places = bindings.iter().flatten().filter_map(|binding| {
            let ip = binding.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
            Some(SocketAddr::new(ip.parse().ok()?, binding.host_port.as_deref()?.parse().ok()?))
        });
        published.entry(port).or_default().extend(places);
    }
    Ways { host, own, published }
}

/// As `docker ps` writes them.
fn ports(ports: PortMap) -> Vec<String> {
    let sorted: BTreeMap<_, _> = ports.into_iter().collect();
    let mut written = Vec::new();
    for (port, bindings) in sorted {
        match bindings.filter(|bindings| !bindings.is_empty()) {
            None => written.push(port),
            Some(bindings) => written.extend(bindings.into_iter().map(|binding| {
                let (ip, host_port) = (binding.host_ip.unwrap_or_default(), binding.host_port.unwrap_or_default());
                let ip = if ip.contains(':') { format!("[{ip}]") } else { ip };
                format!("{ip}:{host_port}->{port}")
            })),
        }
    }
    written
}
