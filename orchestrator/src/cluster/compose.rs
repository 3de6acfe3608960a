//! A cluster's services as a Compose file says them, with one extension: `x-orchestrator`.
//!
//! The file stays one that `docker compose up` takes. What it can say beyond what a service here can be is refused by name
//! and line, never passed over: a key that does nothing is a promise that is not kept. The exceptions are `restart` and
//! `depends_on`, without which a file would be a poor one for Compose; of them a note is made.
//!
//! Not by `docker-compose-types`: it passes over keys that it does not know, has no lines, and wants a YAML reader of its
//! own, which may read a file otherwise than the one that knows the lines.

mod read;
mod service;
mod tree;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use self::read::Reader;
use self::tree::{Kind, Node};
use super::model;
use super::template;

/// What a file says.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Its services, in the order of their names.
    pub services: Vec<model::Service>,
    /// What somebody who wrote it may want to know: `file.yml:7: …`.
    pub notes: Vec<String>,
}

/// A file to be read.
pub struct Source<'a> {
    /// What it is called in errors.
    pub file: &'a str,
    /// What is in it.
    pub text: &'a str,
    /// What comes before the names of its networks and volumes, unless it says so itself (`name`).
    pub project: &'a str,
    /// The variables that it may use: those of the environment, as a rule.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
}

/// All that is wrong with a file, a line for each: `file.yml:12: services.web.privileged is not supported`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ComposeError(pub Vec<String>);

/// What is wrong in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    line: usize,
    why: String,
}

impl Wrong {
    fn new(line: usize, why: impl Into<String>) -> Self {
        Self { line, why: why.into() }
    }
}

/// What a file names besides services: by the name that it has there, the engine's.
struct Names {
    networks: BTreeMap<String, String>,
    volumes: BTreeMap<String, String>,
    /// The network of those that say nothing.
    default: String,
}

/// The services of a file.
pub fn read(source: &Source<'_>) -> Result<Composed, ComposeError> {
    let Source { file, text, project, variables } = source;
    let mut reader = Reader::new(*variables);
    let mut services = Vec::new();
    match tree::parse(text) {
        Ok(tree) => services = compose(&mut reader, &tree, project),
        Err(wrong) => reader.wrong(wrong.line, wrong.why),
    }
    let lines = |mut all: Vec<Wrong>| -> Vec<String> {
        all.sort_by_key(|wrong| wrong.line);
        let mut lines: Vec<_> = all.into_iter().map(|Wrong { line, why }| format!("{file}:{line}: {why}")).collect();
        // What is merged into several services is wrong, or noted, once for each.
        lines.dedup();
        lines
    };
    if reader.wrongs.is_empty() {
        Ok(Composed { services, notes: lines(reader.notes) })
    } else {
        Err(ComposeError(lines(reader.wrongs)))
    }
}

fn compose(reader: &mut Reader<'_>, tree: &Node, project: &str) -> Vec<model::Service> {
    let top = reader.map(tree, "the file");
    let mut project = project.to_owned();
    for entry in top {
        match entry.key.as_str() {
            "name" => project = reader.text(&entry.value, "name").unwrap_or(project),
            "x-orchestrator" => mode(reader, &entry.value),
            "version" | "services" | "networks" | "volumes" => {}
            // Where anchors are kept.
            key if key.starts_with("x-") => {}
            key => reader.unsupported(entry.line, key, "services, networks, volumes and x-orchestrator are"),
        }
    }
    let names = Names {
        networks: named(reader, top, "networks", &project),
        volumes: named(reader, top, "volumes", &project),
        default: format!("{project}_default"),
    };
    let Some(services) = top.iter().find(|entry| entry.key == "services") else {
        reader.wrong(tree.line, "services is missing".to_owned());
        return Vec::new();
    };
    let mut made = Vec::new();
    for entry in reader.map(&services.value, "services") {
        let Some((request, places)) = service::request(reader, entry, &names) else { continue };
        match template::service(request) {
            Ok(service) => made.push(service),
            Err(error) => {
                let (line, why) = places.of(&error);
                reader.wrong(line, why);
            }
        }
    }
    made.sort_by(|one, other| one.name.cmp(&other.name));
    made
}

fn mode(reader: &mut Reader<'_>, node: &Node) {
    for entry in reader.map(node, "x-orchestrator") {
        match entry.key.as_str() {
            "mode" => {
                let instead = match reader.text(&entry.value, "x-orchestrator.mode").as_deref() {
                    Some("cluster") | None => continue,
                    Some("snapshot") => "snapshot is for one host: run `orchestrator --enforce` there, without a file",
                    Some("enforce") => "enforce is for one host: run `orchestrator --enforce --allow LIST` there",
                    Some(_) => "cluster is the one mode that takes a file",
                };
                reader.wrong(entry.value.line, format!("x-orchestrator.mode: {instead}"));
            }
            key => reader.unsupported(entry.line, &format!("x-orchestrator.{key}"), "mode is"),
        }
    }
}

/// The engine's names of what the file declares.
fn named(reader: &mut Reader<'_>, top: &[tree::Entry], section: &str, project: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let Some(declared) = top.iter().find(|entry| entry.key == section) else { return names };
    for entry in reader.map(&declared.value, section) {
        let path = format!("{section}.{}", entry.key);
        let (mut name, mut external) = (None, false);
        for setting in reader.map(&entry.value, &path) {
            let path = format!("{path}.{}", setting.key);
            match setting.key.as_str() {
                "name" => name = reader.text(&setting.value, &path),
                "external" => external = reader.truth(&setting.value, &path),
                "driver" => {
                    let usual = if section == "networks" { "bridge" } else { "local" };
                    if reader.text(&setting.value, &path).is_some_and(|driver| driver != usual) {
                        reader.wrong(setting.value.line, format!("{path}: {usual} is the only one"));
                    }
                }
                _ => reader.unsupported(setting.line, &path, "name, driver and external are"),
            }
        }
        if external {
            reader.note(entry.line, format!("{path}: each node has its own; one that is missing is made there"));
        }
        let usual = if external { entry.key.clone() } else { format!("{project}_{}", entry.key) };
        names.insert(entry.key.clone(), name.unwrap_or(usual));
    }
    names
}

impl Names {
    /// What `docker` calls the networks of a service that names these.
    fn of_networks(&self, asked: &BTreeSet<String>) -> Result<Vec<String>, String> {
        if asked.is_empty() {
            return Ok(vec![self.default()]);
        }
        let named = |name: &String| match (self.networks.get(name), name.as_str()) {
            (Some(network), _) => Ok(network.clone()),
            (None, "default") => Ok(self.default()),
            (None, _) => Err(name.clone()),
        };
        asked.iter().map(named).collect()
    }

    fn default(&self) -> String {
        self.networks.get("default").unwrap_or(&self.default).clone()
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Source").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Node {
    /// What kind of thing it is, for errors: what it says may be secret.
    const fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Nothing => "nothing",
            Kind::Text(_) => "a word",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}
