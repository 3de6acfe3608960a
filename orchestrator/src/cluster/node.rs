//! The node's side: the loop of one host, under orders.
//!
//! It tells what it sees every two seconds, and at once when something has changed, and goes by the orders that come back.
//! While the server can't be reached it goes on by the last ones: what ends is started again. What may run in one place
//! only is stopped when the lease is over, since it may run elsewhere from then on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use futures_util::future::{Fuse, FusedFuture, FutureExt};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, info, warn};
use upbeat_service::{Backoff, Health};

use super::lease::Lease;
use super::wire::{Orders, Report, Seen, Stamp};
use crate::container::CLUSTER;
use crate::control::Shared;
use crate::desired::{Assigned, Scope};
use crate::history::History;
use crate::picture::Picture;
use crate::plan::{Deed, Step};
use crate::runtime::Runtime;

/// How long the server may take to answer, its own wait included.
const ANSWER: Duration = Duration::from_secs(4);

/// How long the engine may take to answer.
const PING: Duration = Duration::from_secs(2);

/// How often it is looked whether the lease is over.
const TICK: Duration = Duration::from_millis(250);

/// Changes that come so close together are told together.
const TOGETHER: Duration = Duration::from_millis(30);

/// The longest wait between tries to reach the server.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The way to the server.
#[async_trait]
pub trait Link: Send + Sync + 'static {
    /// Tells the server, and brings back orders. If it waits, they may take two seconds, unless there are new ones.
    async fn exchange(&self, report: Report, waits: bool) -> Result<Arc<Orders>, LinkError>;
}

/// Why there are no orders.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The server says that this is no node any more: nothing is to run here.
    #[error("this node has been taken out")]
    TakenOut,
    /// It can't be asked now: go on, and try again.
    #[error(transparent)]
    Away(#[from] anyhow::Error),
}

/// A node that goes by orders.
pub struct Node {
    link: Arc<dyn Link>,
    runtime: Arc<dyn Runtime>,
    shared: Shared,
    assigned: watch::Sender<Option<Arc<Assigned>>>,
    lease: Lease,
    had_lease: bool,
    taken_out: bool,
    orders: Option<Arc<Orders>>,
    /// Where orders are kept for an agent that is started while the server is away.
    file: Option<PathBuf>,
}

impl Node {
    /// One whose loop is shared, and takes what `assigned` says. Orders that were kept in the file count at once.
    #[must_use]
    pub fn new(
        link: Arc<dyn Link>,
        runtime: Arc<dyn Runtime>,
        shared: Shared,
        assigned: watch::Sender<Option<Arc<Assigned>>>,
        lease: Lease,
        file: Option<PathBuf>,
    ) -> Self {
        let orders = file.as_deref().and_then(|file| match read(file) {
            Ok(orders) => orders,
            Err(error) => {
                warn!(error = %format_args!("{error:#}"), "the last orders are not known");
                None
            }
        });
        let mut node = Self {
            link,
            runtime,
            shared,
            assigned,
            lease,
            had_lease: false,
            taken_out: false,
            orders: orders.map(Arc::new),
            file,
        };
        node.assign();
        node
    }

    /// Tells and goes by what comes back, for as long as it is polled.
    pub async fn run(mut self, health: Health) {
        let limit = (ANSWER + PING + LONGEST_WAIT) * 3;
        let beat = health.task("node", limit);
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_WAIT);
        let mut picture = self.shared.picture.clone();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Report::default();
        // One that waits is always under way; one that tells of a change besides, now and then.
        let mut beats = Box::pin(self.tell(true, Duration::ZERO).fuse());
        let mut news: std::pin::Pin<Box<Fuse<_>>> = Box::pin(Fuse::terminated());
        loop {
            tokio::select! {
                (report, sent, answer) = &mut beats => {
                    beat.beat(limit);
                    let wait = match answer {
                        Ok(orders) => {
                            backoff.reset();
                            told = report;
                            self.take(sent, orders);
                            Duration::ZERO
                        }
                        Err(LinkError::TakenOut) => {
                            self.see_taken_out(true);
                            LONGEST_WAIT
                        }
                        Err(LinkError::Away(error)) => {
                            if self.lease.left().is_some() {
                                warn!(error = %format_args!("{error:#}"), "the server does not answer");
                            }
                            backoff.next_wait()
                        }
                    };
                    beats.set(self.tell(true, wait).fuse());
                }
                (report, sent, answer) = &mut news => if let Ok(orders) = answer {
                    told = report;
                    self.take(sent, orders);
                    // Something may have changed meanwhile.
                    picture.mark_changed();
                },
                changed = picture.changed() => {
                    if changed.is_err() {
                        // The loop has ended.
                        return beat.finish();
                    }
                    let is_news = report(&picture.borrow_and_update()).replicas != told.replicas
                        || report(&picture.borrow()).stamp != told.stamp;
                    if is_news && news.is_terminated() {
                        news.set(self.tell(false, TOGETHER).fuse());
                    }
                }
                _ = ticks.tick() => if self.lease.left().is_some() != self.had_lease {
                    self.assign();
                },
            }
        }
    }

    /// One exchange, after a wait.
    fn tell(
        &self,
        waits: bool,
        wait: Duration,
    ) -> impl Future<Output = (Report, Duration, Result<Arc<Orders>, LinkError>)> + Send + 'static {
        let (link, runtime, picture) = (Arc::clone(&self.link), Arc::clone(&self.runtime), self.shared.picture.clone());
        let clock = self.lease.clock();
        async move {
            sleep(wait).await;
            let began = Instant::now();
            let engine = match timeout(PING, runtime.ping()).await {
                Ok(answer) => answer.err().map(|error| error.to_string()),
                Err(_) => Some(format!("the engine has not answered for {PING:?}")),
            };
            let mut report = report(&picture.borrow());
            report.engine = engine.or(report.engine);
            let sent = clock();
            let answer = match timeout(ANSWER, link.exchange(report.clone(), waits)).await {
                Ok(answer) => answer,
                Err(_) => Err(anyhow::anyhow!("no answer within {ANSWER:?}").into()),
            };
            if answer.is_ok() && waits && began.elapsed() < TOGETHER {
                // Whatever it answers, and however soon: this is no hot loop.
                sleep(TOGETHER).await;
            }
            (report, sent, answer)
        }
    }

    /// The server has answered what was sent then.
    fn take(&mut self, sent: Duration, orders: Arc<Orders>) {
        self.lease.renew(sent);
        self.see_taken_out(false);
        let known = self.orders.as_ref().map(|known| known.stamp);
        let newer = known
            .is_none_or(|known: Stamp| known.term != orders.stamp.term || known.generation < orders.stamp.generation);
        if newer {
            if let Some(file) = &self.file
                && let Err(error) = write(file, &orders)
            {
                warn!(error = %format_args!("{error:#}"), "the orders can't be kept for the next start");
            }
            self.orders = Some(orders);
        }
        if newer || !self.had_lease {
            self.assign();
        }
    }

    fn see_taken_out(&mut self, taken_out: bool) {
        if taken_out != self.taken_out {
            self.taken_out = taken_out;
            if taken_out {
                error!("this node has been taken out of the cluster; what it ran for it is stopped");
            }
            self.assign();
        }
    }

    /// Has the loop go by the orders, as far as the lease goes.
    fn assign(&mut self) {
        let has_lease = self.lease.left().is_some();
        if has_lease != self.had_lease {
            self.had_lease = has_lease;
            if has_lease {
                info!("the server answers");
            } else {
                warn!("the server has not been heard of for long; what may run in one place only is stopped");
            }
        }
        let Some(orders) = &self.orders else { return };
        self.assigned.send_replace(Some(Arc::new(orders.assigned(has_lease, self.taken_out))));
        self.shared.marks.leave(|_| {});
    }
}

/// What a loop's picture tells.
fn report(picture: &Picture) -> Report {
    let engine = picture.engine.clone().or_else(|| (!picture.seen).then(|| "it has not been looked at yet".to_owned()));
    let Scope::Assigned(assigned) = &picture.desired.scope else {
        return Report { stamp: None, engine, ..Report::default() };
    };
    let ours = picture.observed.containers.values();
    let ours = ours.filter(|container| container.labels.get(CLUSTER) == Some(&assigned.cluster));
    let mut replicas: std::collections::BTreeMap<String, Seen> =
        ours.map(|container| (container.name.clone(), Seen::of(container))).collect();
    for (name, deed) in &picture.observed.busy {
        if *deed == Deed::Create {
            replicas.entry(name.clone()).or_default();
        }
    }
    // Those that there should be, and are not: why.
    for name in assigned.replicas.keys() {
        replicas.entry(name.clone()).or_default();
    }
    for (name, seen) in &mut replicas {
        let history = picture.observed.history.get(name);
        let has_probe = assigned.replicas.get(name).is_some_and(|replica| replica.probe.is_some());
        // While something is done to it, what it said before counts no more.
        let is_answered = history.is_some_and(History::is_answered) && !picture.observed.busy.contains_key(name);
        seen.awaits = has_probe && !is_answered;
        let Some(history) = history else { continue };
        let container = picture.observed.containers.get(name);
        seen.ill = container.and_then(|container| history.illness(container)).or_else(|| history.alarm.clone());
        seen.settling = history.is_settling();
        (seen.troubles, seen.restarts) = (history.troubles(), history.restarts());
        seen.degraded = history.degraded;
        seen.problem.clone_from(&history.failure);
    }
    for verdict in &picture.plan.verdicts {
        if let (Step::GiveUp(why), Some(seen)) = (&verdict.step, replicas.get_mut(&verdict.name)) {
            seen.problem = Some(why.clone());
        }
    }
    Report { stamp: Some(assigned.stamp), engine, replicas }
}

fn read(file: &Path) -> anyhow::Result<Option<Orders>> {
    let shown = file.display();
    match std::fs::read(file) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| format!("{shown} can't be read"))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{shown} can't be read")),
    }
}

/// There are secrets in it.
fn write(file: &Path, orders: &Orders) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let new = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options.create(true).write(true).truncate(true).mode(0o600).open(&new)?;
    opened.write_all(&serde_json::to_vec(orders)?)?;
    opened.sync_all()?;
    std::fs::rename(&new, file)?;
    Ok(())
}
