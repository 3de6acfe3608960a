//! Looking at the engine, and taking the snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, timeout};

use super::Control;
use crate::container::{Container, State};
use crate::desired::{Scope, Snapshot};
use crate::marks::Retake;
use crate::picture::Event;
use crate::runtime::RuntimeError;

/// How long the engine may take to answer a question.
const ANSWER: Duration = Duration::from_secs(5);

/// How many questions are open at a time.
const ASKED: usize = 8;

/// How soon everything is looked at again after a look that failed.
const AGAIN: Duration = Duration::from_secs(1);

impl Control {
    /// Looks at these containers, or at all.
    pub(super) async fn look(&mut self, dirty: BTreeSet<String>, all: bool) {
        let looked = if all || !self.seen { self.look_at_all().await } else { self.look_at(dirty).await };
        match looked {
            Ok(()) => self.seen = true,
            Err(error) => {
                // What was seen is not what is: until it is looked at again, nothing is done.
                self.seen = false;
                self.resync_at = self.resync_at.min(Instant::now() + AGAIN);
                if let Some(conditions) = &self.conditions {
                    conditions.engine.unmet(&error);
                }
            }
        }
    }

    async fn look_at_all(&mut self) -> Result<(), RuntimeError> {
        let ids = limited(self.runtime.list()).await?;
        let runtime = Arc::clone(&self.runtime);
        let looks = stream::iter(ids).map(move |id| {
            let runtime = Arc::clone(&runtime);
            async move { limited(runtime.inspect(&id)).await }
        });
        let found: Vec<Option<Container>> = looks.buffer_unordered(ASKED).try_collect().await?;
        let by_name = found.into_iter().flatten().map(|container| (container.name.clone(), container));
        self.observed.containers = by_name.collect();
        Ok(())
    }

    async fn look_at(&mut self, dirty: BTreeSet<String>) -> Result<(), RuntimeError> {
        for id in dirty {
            let found = limited(self.runtime.inspect(&id)).await?;
            // It may have another name by now.
            self.observed.containers.retain(|_, container| container.id != id);
            if let Some(container) = found {
                self.observed.containers.insert(container.name.clone(), container);
            }
        }
        Ok(())
    }

    /// In snapshot mode, what runs now, if there is no snapshot yet, or it could not be kept.
    pub(super) async fn take_first_snapshot(&mut self) {
        if self.kept.is_none() || self.store_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let snapshot = match &self.desired.scope {
            _ if self.options.assigned.is_some() => return,
            Scope::Unknown(_) if self.options.allow.is_none() => match self.running_now().await {
                Ok(snapshot) => snapshot,
                Err(_) => return,
            },
            Scope::Snapshot(snapshot) if !snapshot.stored => snapshot.clone(),
            _ => return,
        };
        match self.store.keep_first_snapshot(&snapshot).await {
            Ok(known) => {
                let snapshot = known.unwrap_or(Snapshot { stored: true, ..snapshot });
                self.tell(Event::now("snapshot", "", None, format!("{} containers", snapshot.originals.len())));
                self.see_store(Ok(()));
                self.store_at = None;
                self.use_snapshot(snapshot);
            }
            Err(error) => {
                self.store_at = Some(Instant::now() + super::STORE_AGAIN);
                self.see_store(Err(&error));
                self.desired.scope = Scope::Snapshot(snapshot);
            }
        }
    }

    /// Takes the snapshot anew; gives how many containers are in it.
    pub(super) async fn retake(&mut self) -> Result<usize, Retake> {
        if self.options.allow.is_some() || self.options.assigned.is_some() {
            return Err(Retake::NotHere);
        }
        if let Err(why) = &self.engine {
            return Err(RuntimeError::Unreachable(why.clone()).into());
        }
        self.look_at_all().await?;
        let snapshot = self.running_now().await?;
        self.store.keep_snapshot(&snapshot).await?;
        let count = snapshot.originals.len();
        self.tell(Event::now("snapshot", "", None, format!("{count} containers, taken anew")));
        self.use_snapshot(Snapshot { stored: true, ..snapshot });
        Ok(count)
    }

    fn use_snapshot(&mut self, snapshot: Snapshot) {
        self.desired.scope = Scope::Snapshot(snapshot.clone());
        if let Some(kept) = &mut self.kept {
            kept.snapshot = Some(snapshot);
        }
    }

    /// What runs now and is not ours, as it can be created from again.
    async fn running_now(&self) -> Result<Snapshot, RuntimeError> {
        let running = self.observed.containers.values().filter(|container| container.state == State::Running);
        let theirs = running.filter(|container| !self.desired.protected.is_ours(container));
        let theirs: Vec<_> = theirs.map(|container| (container.id.clone(), container.name.clone())).collect();
        let runtime = Arc::clone(&self.runtime);
        let looks = stream::iter(theirs).map(move |(id, name)| {
            let runtime = Arc::clone(&runtime);
            async move {
                let original = limited(runtime.describe(&id)).await?;
                Ok::<_, RuntimeError>(original.map(|original| (name, original)))
            }
        });
        let found: Vec<_> = looks.buffer_unordered(ASKED).try_collect().await?;
        let originals: BTreeMap<_, _> = found.into_iter().flatten().collect();
        Ok(Snapshot { originals, taken: Utc::now().timestamp(), stored: false })
    }
}

async fn limited<T>(answer: impl Future<Output = Result<T, RuntimeError>>) -> Result<T, RuntimeError> {
    timeout(ANSWER, answer)
        .await
        .unwrap_or_else(|_| Err(RuntimeError::Unreachable(format!("no answer within {ANSWER:?}"))))
}
