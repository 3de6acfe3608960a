//! Where a cluster is kept.

pub mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::model::Template;
use super::state::{Change, Cluster, Entry, Name, Placed, container_name};
use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;

/// Which of several servers acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// We do, in this term: in none of the same number has another one.
    Ours(u64),
    /// Another one does.
    Anothers,
    /// None that we know of, for this reason.
    Nobodys(String),
}

impl Leadership {
    /// Whether this server acts.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_))
    }
}

/// Where a cluster is kept. What is answered with `Ok` is on the disk, all of it; of what is not, none may be, or all, or
/// what comes first.
#[async_trait]
pub trait Records: std::fmt::Debug + Send + Sync + 'static {
    /// Which server acts by them: a store of its own has one.
    fn leadership(&self) -> Leadership {
        Leadership::Ours(0)
    }

    /// All of it; a new one if there is none.
    async fn load(&self) -> Result<Cluster, StoreError>;

    /// Keeps these changes, at once.
    async fn keep(&self, changes: Vec<Change>) -> Result<(), StoreError>;
}

#[async_trait]
impl Records for SqliteStore {
    async fn load(&self) -> Result<Cluster, StoreError> {
        self.write(|transaction| {
            begin(transaction, &new_id())?;
            read(transaction)
        })
        .await
    }

    async fn keep(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.write(move |transaction| keep(transaction, &changes)).await
    }
}

/// What a cluster that is new is called.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// Where there is no cluster yet, there is one of this id.
pub(crate) fn begin(connection: &Connection, id: &str) -> anyhow::Result<()> {
    connection.execute("INSERT OR IGNORE INTO cluster VALUES (1, ?1, 0)", [id])?;
    Ok(())
}

/// Keeps these changes.
pub(crate) fn keep(connection: &Connection, changes: &[Change]) -> anyhow::Result<()> {
    for change in changes {
        keep_one(connection, change)?;
    }
    let forgets =
        |change: &Change| matches!(change, Change::Forget(..) | Change::ForgetNode(_) | Change::ForgetService(_));
    if changes.iter().any(forgets) {
        connection.execute("DELETE FROM templates WHERE hash NOT IN (SELECT template FROM replicas)", [])?;
    }
    Ok(())
}

/// All of it.
pub(crate) fn read(connection: &Connection) -> anyhow::Result<Cluster> {
    let (id, epoch): (String, i64) =
        connection.query_row("SELECT cluster, epoch FROM cluster", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut cluster = Cluster { id, epoch: epoch.cast_unsigned(), ..Cluster::default() };
    let mut rows = connection.prepare("SELECT name, entry FROM services")?;
    for row in rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
        let (name, entry) = row?;
        let entry: Entry = serde_json::from_str(&entry).with_context(|| format!("service {name} can't be read"))?;
        cluster.services.insert(name.into(), entry);
    }
    let mut rows = connection.prepare("SELECT name, node FROM nodes")?;
    for row in rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
        let (name, node) = row?;
        let node = serde_json::from_str(&node).with_context(|| format!("node {name} can't be read"))?;
        cluster.nodes.insert(name.into(), node);
    }
    cluster.slots = slots(connection, &cluster)?;
    Ok(cluster)
}

fn slots(connection: &Connection, cluster: &Cluster) -> anyhow::Result<BTreeMap<(Name, u32), Vec<Placed>>> {
    let mut templates: BTreeMap<String, Arc<Template>> = BTreeMap::new();
    let mut rows = connection.prepare("SELECT hash, template FROM templates")?;
    for row in rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
        let (hash, template) = row?;
        let template = serde_json::from_str(&template).with_context(|| format!("template {hash} can't be read"))?;
        templates.insert(hash, Arc::new(template));
    }
    // One that is in use is one and the same in memory.
    for entry in cluster.services.values() {
        templates.insert(entry.service.container.hash.to_string(), Arc::clone(&entry.service.container));
    }
    let mut slots: BTreeMap<(Name, u32), Vec<Placed>> = BTreeMap::new();
    let mut services: BTreeMap<String, Name> = BTreeMap::new();
    let mut rows = connection.prepare(
        "SELECT service, slot, epoch, node, revision, template, retired FROM replicas ORDER BY service, slot, epoch",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let service: String = row.get(0)?;
        let service = Arc::clone(services.entry(service).or_insert_with_key(|service| service.as_str().into()));
        let (slot, epoch): (u32, i64) = (row.get(1)?, row.get(2)?);
        let node: String = row.get(3)?;
        let node = cluster
            .nodes
            .get_key_value(node.as_str())
            .map_or_else(|| node.as_str().into(), |(name, _)| Arc::clone(name));
        let hash: String = row.get(5)?;
        let template = templates.get(&hash).with_context(|| format!("there is no template {hash}"))?;
        let placed = Placed {
            epoch: epoch.cast_unsigned(),
            name: container_name(&service, slot, epoch.cast_unsigned()),
            node,
            revision: row.get::<_, i64>(4)?.cast_unsigned(),
            template: Arc::clone(template),
            retired: row.get(6)?,
        };
        slots.entry((service, slot)).or_default().push(placed);
    }
    Ok(slots)
}

fn keep_one(connection: &Connection, change: &Change) -> anyhow::Result<()> {
    match change {
        Change::Service(name, entry) => {
            let mut put = connection.prepare_cached("INSERT OR REPLACE INTO services VALUES (?1, ?2)")?;
            put.execute(params![&**name, serde_json::to_string(entry)?])?;
        }
        Change::ForgetService(name) => drop(connection.execute("DELETE FROM services WHERE name = ?1", [&**name])?),
        Change::Node(name, node) => {
            let mut put = connection.prepare_cached("INSERT OR REPLACE INTO nodes VALUES (?1, ?2)")?;
            put.execute(params![&**name, serde_json::to_string(node)?])?;
        }
        Change::ForgetNode(name) => {
            connection.execute("DELETE FROM nodes WHERE name = ?1", [&**name])?;
            connection.execute("DELETE FROM replicas WHERE node = ?1", [&**name])?;
        }
        Change::Place(service, slot, placed) => {
            let hash = &placed.template.hash;
            let known = connection.prepare_cached("SELECT 1 FROM templates WHERE hash = ?1")?.exists([hash])?;
            if !known {
                let template = serde_json::to_string(&*placed.template)?;
                connection.execute("INSERT INTO templates VALUES (?1, ?2)", params![hash, template])?;
            }
            let mut put = connection.prepare_cached("INSERT INTO replicas VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
            let (epoch, revision) = (placed.epoch.cast_signed(), placed.revision.cast_signed());
            put.execute(params![&**service, slot, epoch, &*placed.node, revision, hash, placed.retired])?;
            connection.prepare_cached("UPDATE cluster SET epoch = max(epoch, ?1)")?.execute([epoch])?;
        }
        Change::Retire(service, slot, epoch) => {
            let mut set = connection
                .prepare_cached("UPDATE replicas SET retired = 1 WHERE service = ?1 AND slot = ?2 AND epoch = ?3")?;
            set.execute(params![&**service, slot, epoch.cast_signed()])?;
        }
        Change::Forget(service, slot, epoch) => {
            let mut forget =
                connection.prepare_cached("DELETE FROM replicas WHERE service = ?1 AND slot = ?2 AND epoch = ?3")?;
            forget.execute(params![&**service, slot, epoch.cast_signed()])?;
        }
    }
    Ok(())
}
