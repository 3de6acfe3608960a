//! What the loop asks of the simulator.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast;
use tokio::time::sleep;

use super::{Behaviour, Simulator};
use crate::cluster::model::ProbeRule;
use crate::container::{Container, SPEC};
use crate::desired::{Original, Spec};
use crate::runtime::{LogLine, NoAnswer, Runtime, RuntimeError};

#[async_trait]
impl Runtime for Simulator {
    async fn ping(&self) -> Result<(), RuntimeError> {
        self.answer().await
    }

    async fn list(&self) -> Result<Vec<String>, RuntimeError> {
        self.answer().await?;
        Ok(self.world().containers.values().map(|found| found.container.id.clone()).collect())
    }

    async fn inspect(&self, id: &str) -> Result<Option<Container>, RuntimeError> {
        self.answer().await?;
        let world = self.world();
        Ok(world.containers.values().find(|found| found.container.id == id).map(|found| found.container.clone()))
    }

    async fn describe(&self, id: &str) -> Result<Option<Original>, RuntimeError> {
        let found = self.inspect(id).await?;
        Ok(found.map(|container| {
            let hash = format!("hash of {}", container.image);
            let spec = Spec { body: serde_json::Value::Null, networks: BTreeMap::new(), hash };
            Original { image: container.image, spec }
        }))
    }

    fn events(&self) -> BoxStream<'static, Result<String, RuntimeError>> {
        let events = self.0.events.subscribe();
        let next = |mut events: broadcast::Receiver<String>| async move {
            match events.recv().await {
                Ok(id) => Some((Ok(id), events)),
                Err(_) => None,
            }
        };
        stream::unfold(events, next).boxed()
    }

    async fn start(&self, name: &str) -> Result<(), RuntimeError> {
        let name = &self.name_of(name);
        self.call("start", name).await?;
        sleep(self.behaviour(name).starts_in).await;
        self.begin(name);
        Ok(())
    }

    async fn stop(&self, name: &str) -> Result<(), RuntimeError> {
        let name = &self.name_of(name);
        self.call("stop", name).await?;
        let takes = self.world().faults.stops_in;
        if self.running().contains(name) {
            sleep(takes).await;
        }
        self.end(name, 0, None);
        Ok(())
    }

    async fn restart(&self, name: &str) -> Result<(), RuntimeError> {
        let name = &self.name_of(name);
        self.call("restart", name).await?;
        self.end(name, 0, None);
        sleep(self.behaviour(name).starts_in).await;
        self.begin(name);
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        let name = &self.name_of(id);
        match self.call("remove", name).await {
            Err(RuntimeError::Missing(_)) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                Simulator::remove(self, name);
                Ok(())
            }
        }
    }

    async fn create(&self, name: &str, spec: &Spec) -> Result<(), RuntimeError> {
        self.call("create", name).await?;
        let takes = self.world().faults.creates_in;
        sleep(takes).await;
        if self.world().containers.contains_key(name) {
            return Err(RuntimeError::Exists(format!("{name} is there")));
        }
        let asked = spec.body["Labels"].as_object().into_iter().flatten();
        let asked = asked.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
        let labels = asked.chain([(SPEC.to_owned(), spec.hash.clone())]).collect();
        self.add(name, Behaviour::default(), labels);
        self.tell_of(name);
        Ok(())
    }

    async fn tail(&self, name: &str, lines: u32) -> Result<String, RuntimeError> {
        self.answer().await?;
        let name = &self.name_of(name);
        let world = self.world();
        let found = world.containers.get(name);
        let found = found.ok_or_else(|| RuntimeError::Missing(format!("no container {name}")))?;
        let skipped = found.printed.len().saturating_sub(lines as usize);
        Ok(found.printed[skipped..].iter().flat_map(|line| [line.as_str(), "\n"]).collect())
    }

    async fn ask(&self, container: &Container, _: &ProbeRule) -> Result<(), NoAnswer> {
        let world = self.world();
        let running =
            world.containers.get(&container.name).and_then(|found| found.started).map(|began| began.elapsed());
        let running = running.ok_or_else(|| NoAnswer::Failed("cannot be reached".to_owned()))?;
        (world.answers.0)(container, running)
    }

    fn logs(&self, id: &str, _since: &str) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
        let id = id.to_owned();
        let lines = self.0.lines.subscribe();
        let next = move |mut lines: broadcast::Receiver<(String, LogLine)>| {
            let id = id.clone();
            async move {
                loop {
                    match lines.recv().await {
                        Ok((of, line)) if of == id => return Some((Ok(line), lines)),
                        Ok(_) => {}
                        Err(_) => return None,
                    }
                }
            }
        };
        stream::unfold(lines, next).boxed()
    }
}
