//! What a container is created from again: its own settings as Docker tells them, without what belonged to that one
//! container alone.

use std::collections::{BTreeMap, HashSet};

use bollard::models::{ContainerInspectResponse, EndpointSettings, HostConfig, MountPoint};
use serde_json::{Value, json};

use crate::desired::{Original, Spec, hash};
use crate::runtime::RuntimeError;

/// Docker's own short form of an id.
const SHORT_ID: usize = 12;

/// Networks that take no settings of ours.
const BUILT_IN: [&str; 4] = ["default", "bridge", "host", "none"];

pub(super) fn original(found: ContainerInspectResponse) -> Result<Original, RuntimeError> {
    let id = found.id.unwrap_or_default();
    let short = id.get(..SHORT_ID).unwrap_or(&id).to_owned();
    let mut config = found.config.unwrap_or_default();
    let mut host = found.host_config.unwrap_or_default();
    // Made from the id, and so would be the next one's.
    if config.hostname.as_deref() == Some(&short) {
        config.hostname = None;
    }
    let image = config.image.clone().unwrap_or_default();
    keep_volumes(&mut host, found.mounts.unwrap_or_default());

    let mode = host.network_mode.clone().unwrap_or_default();
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let mut networks: BTreeMap<String, Value> = BTreeMap::from_iter(
        networks
            .into_iter()
            .filter(|(name, _)| !BUILT_IN.contains(&name.as_str()))
            .map(|(name, endpoint)| Ok((name, as_json(own_settings(endpoint, &short))?)))
            .collect::<Result<Vec<_>, RuntimeError>>()?,
    );
    let mut body = as_json(config)?;
    body["HostConfig"] = as_json(host)?;
    // Engines before version 25 take one network with the creation, and the others by a call each.
    if let Some(first) = networks.remove(&mode) {
        body["NetworkingConfig"] = json!({"EndpointsConfig": {mode: first}});
    }
    let hash = hash(&body, &networks);
    Ok(Original { image, spec: Spec { body, networks, hash } })
}

/// What somebody has asked for, without what the network has given.
fn own_settings(endpoint: EndpointSettings, short: &str) -> EndpointSettings {
    let aliases = endpoint.aliases.map(|aliases| aliases.into_iter().filter(|alias| alias != short).collect());
    EndpointSettings {
        ipam_config: endpoint.ipam_config,
        links: endpoint.links,
        aliases,
        driver_opts: endpoint.driver_opts,
        ..EndpointSettings::default()
    }
}

/// Volumes without a name of their own would be others the next time, and empty: they are bound by the names they got.
fn keep_volumes(host: &mut HostConfig, mounts: Vec<MountPoint>) {
    let bound = host.binds.iter().flatten().filter_map(|bind| bind.split(':').nth(1).map(str::to_owned));
    let mounted = host.mounts.iter().flatten().filter_map(|mount| mount.target.clone());
    let known: HashSet<String> = bound.chain(mounted).collect();
    for mount in mounts {
        let (Some(name), Some(target)) = (mount.name, mount.destination) else { continue };
        if mount.typ.as_deref() == Some("volume") && !known.contains(&target) {
            let read_only = if mount.rw == Some(false) { ":ro" } else { "" };
            host.binds.get_or_insert_default().push(format!("{name}:{target}{read_only}"));
        }
    }
}

fn as_json(value: impl serde::Serialize) -> Result<Value, RuntimeError> {
    serde_json::to_value(value).map_err(|error| RuntimeError::Refused(format!("cannot be kept: {error}")))
}
