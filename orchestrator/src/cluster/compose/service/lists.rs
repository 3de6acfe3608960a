//! What Compose lets people write as a line or as a map.

use std::collections::BTreeMap;

use super::super::read::Reader;
use super::super::tree::{Entry, Kind, Node};

/// Texts and their lines.
type Texts = Vec<(String, usize)>;

fn items<'n>(reader: &mut Reader<'_>, node: &'n Node, path: &str) -> &'n [Node] {
    match &node.kind {
        Kind::List(list) => list,
        Kind::Nothing => &[],
        _ => {
            reader.wrong(node.line, format!("{path}: a list will do"));
            &[]
        }
    }
}

pub(super) fn ports(reader: &mut Reader<'_>, node: &Node, path: &str) -> Texts {
    let mut ports = Vec::new();
    for (n, item) in items(reader, node, path).iter().enumerate() {
        let here = format!("{path}[{n}]");
        if !matches!(item.kind, Kind::Map(_)) {
            ports.extend(reader.text(item, &here).map(|text| (text, item.line)));
            continue;
        }
        let (mut address, mut published, mut target, mut protocol) = <(String, String, String, String)>::default();
        for Entry { key, line, value } in reader.map(item, &here) {
            let here = format!("{here}.{key}");
            match key.as_str() {
                "host_ip" => address = reader.text(value, &here).unwrap_or_default(),
                "published" => published = reader.text(value, &here).unwrap_or_default(),
                "target" => target = reader.text(value, &here).unwrap_or_default(),
                "protocol" => protocol = reader.text(value, &here).unwrap_or_default(),
                // All ports are the node's own here, which is what Compose makes of ingress too.
                "mode" if matches!(reader.text(value, &here).as_deref(), Some("host" | "ingress")) => {}
                _ => reader.unsupported(*line, &here, "target, published, host_ip, protocol and mode: host are"),
            }
        }
        if !address.is_empty() {
            address = if address.contains(':') { format!("[{address}]:") } else { format!("{address}:") };
        }
        let host = if published.is_empty() && address.is_empty() { String::new() } else { format!("{published}:") };
        let protocol = if protocol.is_empty() { String::new() } else { format!("/{protocol}") };
        ports.push((format!("{address}{host}{target}{protocol}"), item.line));
    }
    ports
}

pub(super) fn volumes(reader: &mut Reader<'_>, node: &Node, path: &str, declared: &BTreeMap<String, String>) -> Texts {
    let mut volumes = Vec::new();
    for (n, item) in items(reader, node, path).iter().enumerate() {
        let here = format!("{path}[{n}]");
        let text = match &item.kind {
            Kind::Map(_) => long_volume(reader, item, &here),
            _ => reader.text(item, &here),
        };
        let Some(text) = text else { continue };
        // What has no slash, dot or tilde in front is a name.
        let name = text.split_once(':').map(|(source, rest)| (source.to_owned(), rest.to_owned()));
        match name {
            Some((source, rest)) if !source.starts_with(['/', '.', '~']) => match declared.get(&source) {
                Some(volume) => volumes.push((format!("{volume}:{rest}"), item.line)),
                None => reader.wrong(item.line, format!("{here}: {source} is not among the file's volumes")),
            },
            _ => volumes.push((text, item.line)),
        }
    }
    volumes
}

fn long_volume(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<String> {
    let (mut source, mut target, mut mode) = (None, None, "");
    let wrongs = reader.wrongs.len();
    for Entry { key, line, value } in reader.map(node, path) {
        let here = format!("{path}.{key}");
        match key.as_str() {
            "type" if matches!(reader.text(value, &here).as_deref(), Some("bind" | "volume")) => {}
            "source" => source = reader.text(value, &here),
            "target" => target = reader.text(value, &here),
            "read_only" => mode = if reader.truth(value, &here) { ":ro" } else { "" },
            "type" => reader.unsupported(*line, &here, "bind and volume are; tmpfs has a key of its own"),
            _ => reader.unsupported(*line, &here, "type, source, target and read_only are"),
        }
    }
    if source.is_none() || target.is_none() {
        if reader.wrongs.len() == wrongs {
            reader.wrong(node.line, format!("{path}: source and target are wanted"));
        }
        return None;
    }
    Some(format!("{}:{}{mode}", source?, target?))
}

pub(super) fn networks(reader: &mut Reader<'_>, node: &Node, path: &str) -> Vec<String> {
    if !matches!(node.kind, Kind::Map(_)) {
        return reader.texts(node, path).into_iter().map(|(text, _)| text).collect();
    }
    let mut networks = Vec::new();
    for entry in reader.map(node, path) {
        let here = format!("{path}.{}", entry.key);
        for setting in reader.map(&entry.value, &here) {
            let instead = "on its networks a service has its own name";
            reader.unsupported(setting.line, &format!("{here}.{}", setting.key), instead);
        }
        networks.push(entry.key.clone());
    }
    networks
}

pub(super) fn hosts(reader: &mut Reader<'_>, node: &Node, path: &str) -> Texts {
    if !matches!(node.kind, Kind::Map(_)) {
        return reader.texts(node, path);
    }
    let mut hosts = Vec::new();
    for entry in reader.map(node, path) {
        let address = reader.text(&entry.value, &format!("{path}.{}", entry.key));
        hosts.extend(address.map(|address| (format!("{}:{address}", entry.key), entry.line)));
    }
    hosts
}

/// `node.labels.disk == ssd`.
pub(super) fn constraints(reader: &mut Reader<'_>, node: &Node, path: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (n, (text, line)) in reader.texts(node, path).into_iter().enumerate() {
        let label = text.split_once("==").map(|(label, value)| (label.trim(), value.trim()));
        match label.and_then(|(label, value)| Some((label.strip_prefix("node.labels.")?, value))) {
            Some((label, value)) if !label.is_empty() && !value.is_empty() => {
                if labels.insert(label.to_owned(), value.to_owned()).is_some_and(|other| other != value) {
                    reader.wrong(line, format!("{path}[{n}]: no node has two values of {label}"));
                }
            }
            _ => reader.wrong(line, format!("{path}[{n}]: write node.labels.NAME == VALUE")),
        }
    }
    labels
}
