//! Which servers there are, and how they become more or fewer.

use std::time::Duration;

use anyhow::ensure;
use openraft::{ChangeMembers, Raft, RaftMetrics};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{NotYet, Peer, Quorum, Types};
use crate::ask::Servers;

/// How long all that was agreed on may take to be sent, and one that is new to catch up.
pub(super) const CATCH_UP: Duration = Duration::from_mins(1);

/// How often one that is to join asks.
const ENTER_AGAIN: Duration = Duration::from_secs(1);

/// What is known of one of the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id, and whether that is ours.
    pub id: u64,
    /// How it is reached.
    pub url: String,
    /// Whether it leads.
    pub leads: bool,
    /// Whether it counts for a majority.
    pub votes: bool,
    /// How many entries of the log it has not got yet; the leader alone knows.
    pub behind: Option<u64>,
}

impl Quorum {
    /// Asks to become one of them, until we are.
    pub(super) async fn enter(&self, raft: &Raft<Types>) {
        let (Some(join), Some((id, _))) = (&self.join, self.running.get()) else { return };
        let (servers, mut told) = (Servers::new(vec![join.clone()]), String::new());
        let asked = serde_json::json!({ "id": shown(*id), "url": self.url });
        while !counts(&raft.metrics().borrow(), *id) {
            if let Err(error) = self.network.ask(&servers, "/v1/servers", &asked).await {
                let why = format!("{error:#}");
                if why != told {
                    warn!(error = %why, "cannot join yet");
                    told = why;
                }
            }
            sleep(ENTER_AGAIN).await;
        }
        info!("joined the other servers");
    }

    /// All of them, in the order of their addresses.
    #[must_use]
    pub fn servers(&self) -> Vec<Known> {
        let Some((me, raft)) = self.running.get() else { return Vec::new() };
        // Not borrowed: whoever borrows it twice at a time may wait for itself.
        let metrics = raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let (ours, leader) = (self.leads(), self.leader());
        let known = membership.nodes().map(|(id, peer)| Known {
            id: *id,
            url: peer.url.clone(),
            leads: if id == me { ours } else { leader.as_ref() == Some(&peer.url) },
            votes: counts(&metrics, *id),
            behind: if *id == *me { None } else { behind(&metrics, *id) },
        });
        let mut known: Vec<_> = known.collect();
        known.sort_by(|one, other| one.url.cmp(&other.url));
        known
    }

    /// Has this one be one of the servers.
    ///
    /// # Errors
    /// If it does not catch up, or a majority does not agree.
    pub async fn add(&self, id: u64, url: String) -> anyhow::Result<()> {
        let (_, raft) = self.running.get().ok_or(NotYet)?;
        let _one_at_a_time = self.changing.lock().await;
        if self.servers().iter().any(|known| known.id == id && known.votes) {
            return Ok(());
        }
        let others = self.servers().into_iter().filter(|known| known.id != id);
        ensure!(others.into_iter().all(|known| known.url != url), "there is a server at {url} already");
        self.shorten(raft).await?;
        raft.add_learner(id, Peer { url }, false).await?;
        // Only then: one that is not there yet, and is counted, may leave the others without a majority.
        let last = raft.metrics().borrow().last_log_index;
        let has_it_all = |metrics: &RaftMetrics<u64, Peer>| {
            let matched = metrics.replication.as_ref().and_then(|all| all.get(&id)).copied().flatten();
            matched.map(|matched| matched.index) >= last
        };
        if let Err(error) = raft.wait(Some(CATCH_UP)).metrics(has_it_all, "to catch up").await {
            raft.change_membership(ChangeMembers::RemoveNodes([id].into()), false).await?;
            return Err(anyhow::Error::new(error).context("it does not answer, or is too slow"));
        }
        raft.change_membership(ChangeMembers::AddVoterIds([id].into()), true).await?;
        Ok(())
    }

    /// Has what the log says put together, if it never was: one that is new is sent that, and with it what there was
    /// before there was a log.
    async fn shorten(&self, raft: &Raft<Types>) -> anyhow::Result<()> {
        if raft.metrics().borrow().purged.is_some() {
            return Ok(());
        }
        raft.trigger().snapshot().await?;
        let done =
            raft.wait(Some(CATCH_UP)).metrics(|metrics| metrics.snapshot.is_some(), "to be put together").await?;
        let upto = done.snapshot.map_or(0, |snapshot| snapshot.index);
        raft.trigger().purge_log(upto).await?;
        raft.wait(Some(CATCH_UP)).metrics(|metrics| metrics.purged.is_some(), "to be shortened").await?;
        Ok(())
    }

    /// Has this one be none of the servers any more. Whether it was one.
    ///
    /// # Errors
    /// If a majority does not agree.
    pub async fn remove(&self, id: u64) -> anyhow::Result<bool> {
        let (_, raft) = self.running.get().ok_or(NotYet)?;
        let _one_at_a_time = self.changing.lock().await;
        let Some(known) = self.servers().into_iter().find(|known| known.id == id) else { return Ok(false) };
        let change = if known.votes {
            ChangeMembers::RemoveVoters([id].into())
        } else {
            ChangeMembers::RemoveNodes([id].into())
        };
        raft.change_membership(change, false).await?;
        Ok(true)
    }
}

/// A server's id as people see it.
#[must_use]
pub fn shown(id: u64) -> String {
    format!("{id:016x}")
}

/// Whether it counts for a majority, also while it changes which servers do.
fn counts(metrics: &RaftMetrics<u64, Peer>, id: u64) -> bool {
    let configs = metrics.membership_config.membership().get_joint_config();
    !configs.is_empty() && configs.iter().all(|config| config.contains(&id))
}

fn behind(metrics: &RaftMetrics<u64, Peer>, id: u64) -> Option<u64> {
    let matched = metrics.replication.as_ref()?.get(&id)?;
    let has = matched.map_or(0, |matched| matched.index + 1);
    Some(metrics.last_log_index.map_or(0, |last| last + 1).saturating_sub(has))
}
