//! An agent sends what its replicas printed, when the server wants that.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::warn;

use super::link::ServerLink;
use super::tails::{Printed, Tail};
use crate::container::CLUSTER;
use crate::desired::Scope;
use crate::picture::Picture;
use crate::runtime::{Runtime, RuntimeError};

/// How many are read at a time.
const AT_ONCE: usize = 4;

/// How many may wait for that.
pub const WAITING: usize = 16;

/// How long the engine may take: a little less than the server waits.
const LIMIT: Duration = Duration::from_secs(8);

/// Sends what comes in to be sent, for as long as it is polled.
pub async fn send(
    link: Arc<ServerLink>,
    runtime: Arc<dyn Runtime>,
    picture: watch::Receiver<Arc<Picture>>,
    wanted: mpsc::Receiver<Tail>,
) {
    let wanted = stream::unfold(wanted, |mut wanted| async move { Some((wanted.recv().await?, wanted)) });
    let send = |tail: Tail| {
        let (link, runtime, id) = (&link, &runtime, id(&picture.borrow(), &tail.name));
        async move {
            let printed = match id {
                Some(id) => read(&**runtime, &id, tail.lines).await,
                None => Printed::Missing(format!("there is no {} here", tail.name)),
            };
            if let Err(error) = link.send(tail.id, &printed).await {
                warn!(container = %tail.name, error = %format_args!("{error:#}"), "cannot send what it printed");
            }
        }
    };
    wanted.for_each_concurrent(AT_ONCE, send).await;
}

/// The id of the cluster's container of this name: somebody else's may have it, now or soon, and is nobody's business.
fn id(picture: &Picture, name: &str) -> Option<String> {
    let Scope::Assigned(assigned) = &picture.desired.scope else { return None };
    let container = picture.observed.containers.get(name);
    let ours = container.filter(|container| container.labels.get(CLUSTER) == Some(&assigned.cluster));
    ours.map(|container| container.id.clone())
}

async fn read(runtime: &dyn Runtime, id: &str, lines: u32) -> Printed {
    match timeout(LIMIT, runtime.tail(id, lines)).await {
        Ok(Ok(text)) => Printed::Text(text),
        Ok(Err(RuntimeError::Missing(why))) => Printed::Missing(why),
        Ok(Err(RuntimeError::Unreachable(why))) => Printed::Unreachable(why),
        Ok(Err(RuntimeError::Refused(why) | RuntimeError::Exists(why))) => Printed::Refused(why),
        Err(_) => Printed::Unreachable(format!("the engine has not answered for {LIMIT:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::Assigned;
    use crate::runtime::simulator::{Behaviour, Simulator};

    #[tokio::test]
    async fn only_of_the_cluster_s_own_containers_is_told_what_they_printed() {
        let engine = Simulator::new();
        let mut picture = Picture::default();
        for (name, cluster) in [("web.0.1", Some("us")), ("web.1.2", Some("others")), ("web.2.3", None)] {
            engine.run(name, Behaviour::default());
            let id = engine.list().await.unwrap().pop().unwrap();
            let mut container = engine.inspect(&id).await.unwrap().unwrap();
            container.labels.extend(cluster.map(|cluster| (CLUSTER.to_owned(), cluster.to_owned())));
            picture.observed.containers.insert(container.name.clone(), container);
        }
        assert_eq!(id(&picture, "web.0.1"), None, "there are no orders");
        let assigned = Assigned { cluster: "us".to_owned(), ..Assigned::default() };
        picture.desired.scope = Scope::Assigned(Arc::new(assigned));
        let container = &picture.observed.containers["web.0.1"];
        assert_eq!(id(&picture, "web.0.1").as_ref(), Some(&container.id));
        for name in ["web.1.2", "web.2.3", "web.3.4"] {
            assert_eq!(id(&picture, name), None, "{name}");
        }
        engine.print("web.0.1", "hello");
        assert_eq!(read(&engine, &container.id, 1).await, Printed::Text("hello\n".to_owned()));
        assert!(matches!(read(&engine, "none", 1).await, Printed::Missing(_)));
    }
}
