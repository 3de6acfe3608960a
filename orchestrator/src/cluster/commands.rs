//! What can be asked of a cluster.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::model::{Admission, Node, Service};
use super::server::{Refusal, Server, View, Wish};
use super::sight::Standing;
use super::state::{Change, Entry, Name};
use crate::store::Hold;

/// What became of a service that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Put {
    /// It is new.
    Created,
    /// It was so already.
    Unchanged,
    /// It is another one now.
    Updated,
}

impl Server {
    /// Has a service be as this says; gives its revision. With `only`, if that is its revision now; 0 means that there is
    /// none yet.
    pub async fn put_service(&self, service: Service, only: Option<u64>) -> Result<(Put, u64), Refusal> {
        self.write(move |view| {
            let name: Name = service.name.as_str().into();
            let known = view.cluster.services.get(&name);
            // One that is being removed is as good as gone, but what is left of it still bears its name.
            let live = known.filter(|entry| !entry.removing);
            let revision = known.map_or(0, |entry| entry.revision);
            if let Some(only) = only
                && only != live.map_or(0, |_| revision)
            {
                return Err(Refusal::Precondition(format!("{name} is of revision {revision} by now")));
            }
            if let Some(entry) = live
                && *entry.service == service
            {
                return Ok((Vec::new(), (Put::Unchanged, revision)));
            }
            let same = known.filter(|entry| entry.service.container.hash == service.container.hash);
            let held = live.and_then(|entry| entry.held.clone());
            let next = revision + 1;
            // Replicas that are made of the same need not be replaced.
            let rollout = same.map_or(next, |entry| entry.rollout);
            let (put, why) =
                if live.is_some() { (Put::Updated, "it was changed") } else { (Put::Created, "it is new") };
            let entry = Entry { service: Arc::new(service), revision: next, rollout, held, removing: false };
            Ok((vec![(Change::Service(name, entry), why.to_owned())], (put, next)))
        })
        .await
    }

    /// Has a service that there is not yet, or the same already; gives its revision.
    pub async fn create_service(&self, service: Service) -> Result<(Put, u64), Refusal> {
        let (name, same) = (service.name.clone(), service.clone());
        match self.put_service(service, Some(0)).await {
            Err(Refusal::Precondition(_)) => {
                let name: Name = name.as_str().into();
                let known =
                    self.read(move |view| live(view, &name).map(|entry| (entry.revision, *entry.service == same)));
                match known.await?? {
                    (revision, true) => Ok((Put::Unchanged, revision)),
                    (_, false) => {
                        Err(Refusal::Conflict("there is another service of that name; PUT changes it".to_owned()))
                    }
                }
            }
            other => other,
        }
    }

    /// Has so many replicas of a service; gives its revision.
    pub async fn scale(&self, name: &str, replicas: u32) -> Result<u64, Refusal> {
        self.change_service(name, move |entry| {
            let service = Service { replicas, ..Service::clone(&entry.service) };
            (Entry { service: Arc::new(service), ..entry.clone() }, format!("{replicas} are wanted"))
        })
        .await
    }

    /// Has all replicas of a service replaced, one after the other; gives its revision.
    pub async fn restart(&self, name: &str) -> Result<u64, Refusal> {
        self.change_service(name, |entry| {
            (Entry { rollout: entry.revision + 1, ..entry.clone() }, "all of it is to be replaced".to_owned())
        })
        .await
    }

    /// Has a service left alone, or looked after again.
    pub async fn hold(&self, name: &str, hold: Option<Hold>) -> Result<u64, Refusal> {
        self.change_service(name, move |entry| {
            let why = hold.as_ref().map_or_else(|| "released".to_owned(), |hold| format!("held: {}", hold.reason));
            (Entry { held: hold, ..entry.clone() }, why)
        })
        .await
    }

    /// Has a service removed: it is gone once its last replica has.
    pub async fn remove_service(&self, name: &str) -> Result<(), Refusal> {
        let removed =
            |entry: &Entry| (Entry { removing: true, held: None, ..entry.clone() }, "it is removed".to_owned());
        self.change_service(name, removed).await.map(drop)
    }

    async fn change_service(
        &self,
        name: &str,
        change: impl FnOnce(&Entry) -> (Entry, String) + Send + 'static,
    ) -> Result<u64, Refusal> {
        let name: Name = name.into();
        self.write(move |view| {
            let entry = live(view, &name)?;
            let (changed, why) = change(entry);
            let revision = entry.revision + 1;
            Ok((vec![(Change::Service(name, Entry { revision, ..changed }), why)], revision))
        })
        .await
    }

    /// Takes in a node, or changes what is known of it. Whether it is new.
    pub async fn put_node(&self, node: Node) -> Result<bool, Refusal> {
        self.write(move |view| {
            let name: Name = node.name.as_str().into();
            match view.cluster.nodes.get(&name) {
                Some(known) if *known == node => Ok((Vec::new(), false)),
                Some(known) if known.reach != node.reach => Err(Refusal::Conflict(format!(
                    "there is a node {name} that is reached in another way; remove it first"
                ))),
                known => {
                    let is_new = known.is_none();
                    let why = if is_new { "it is new" } else { "it was changed" };
                    Ok((vec![(Change::Node(name, node), why.to_owned())], is_new))
                }
            }
        })
        .await
    }

    /// Has a node take more, or no more, or lose what it has.
    pub async fn admit(&self, name: &str, admission: Admission) -> Result<(), Refusal> {
        let name: Name = name.into();
        self.write(move |view| {
            let node = node(view, &name)?;
            if node.admission == admission {
                return Ok((Vec::new(), ()));
            }
            let why = match admission {
                Admission::Open => "it may be given more again",
                Admission::Cordoned => "it is given no more",
                Admission::Draining => "what it has goes elsewhere",
            };
            let changed = Node { admission, ..node.clone() };
            Ok((vec![(Change::Node(name, changed), why.to_owned())], ()))
        })
        .await
    }

    /// Takes a node out. One that still has replicas only if it is lost or with force: who says so answers for that
    /// nothing runs there any more.
    pub async fn remove_node(&self, name: &str, force: bool) -> Result<(), Refusal> {
        let name: Name = name.into();
        self.write(move |view| -> Wish<()> {
            removable(view, &name, force)?;
            Ok((vec![(Change::ForgetNode(name), "it was taken out".to_owned())], ()))
        })
        .await
    }
}

/// Whether a node may be taken out.
pub fn removable(view: &View<'_>, name: &Name, force: bool) -> Result<(), Refusal> {
    node(view, name)?;
    let count = view.cluster.slots.values().flatten().filter(|replica| replica.node == *name).count();
    if count > 0 && !force {
        let is_lost = view.sight.standing(name, view.now) == Standing::Lost;
        let how = if is_lost {
            "if it is certain that they do not run any more, remove it with force"
        } else {
            "drain it first"
        };
        return Err(Refusal::Conflict(format!("{name} has {count} replicas; {how}")));
    }
    Ok(())
}

/// A service that is not being removed.
pub fn live<'a>(view: &View<'a>, name: &Name) -> Result<&'a Entry, Refusal> {
    let entry = view.cluster.services.get(name).filter(|entry| !entry.removing);
    entry.ok_or_else(|| Refusal::NotFound(format!("there is no service {name}")))
}

/// A node.
pub fn node<'a>(view: &View<'a>, name: &Name) -> Result<&'a Node, Refusal> {
    view.cluster.nodes.get(name).ok_or_else(|| Refusal::NotFound(format!("there is no node {name}")))
}
