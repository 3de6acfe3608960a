//! Several servers, of which a majority agrees on all that is kept: by Raft, as openraft has it.
//!
//! One of them leads, and it alone acts: the others send whoever asks to it. What is answered with `Ok` is on the disks of
//! a majority, and so on that of whoever leads next. The leader acts for as long as it knows that it leads: for two
//! seconds from each time at which it began to ask, and a majority answered. The others elect nobody for longer than that
//! after each answer; and one that has just started, and may have answered before, says nothing for as long.
//!
//! `command`: what is agreed on, and what each does with it; `disk`: the log, and what follows from it; `dump`: all
//! of it, for one that has fallen behind; `network`: how they ask each other; `members`: which there are.

mod command;
mod disk;
mod dump;
mod members;
mod network;
mod store;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use openraft::error::{InitializeError, RaftError};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{Config, Raft, Snapshot, SnapshotPolicy};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use self::command::{Answer, Command};
use self::disk::Disk;
use self::dump::Dump;
use self::members::CATCH_UP;
pub use self::members::{Known, shown};
pub(crate) use self::network::MAX_MESSAGE;
use self::network::{FullSnapshot, Network};
use super::lease::since_boot;
use super::records::Leadership;
use crate::pki::Authority;
use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;

/// For how long a server leads from when it began to ask whether it does. Shorter than [`NO_ELECTION`]: clocks run at
/// almost the same speed.
const LEADER_LEASE: Duration = Duration::from_secs(2);

/// For how long after it has heard of a leader a server helps to elect no other. openraft takes it from the longest
/// election timeout.
const NO_ELECTION: Duration = Duration::from_millis(2500);
const SHORTEST_ELECTION: Duration = Duration::from_millis(1500);

/// How often a leader tells that it leads; it is also the longest that an answer to that, or to new entries, may take.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// How often it is asked whether this server leads.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// After so many entries of the log what follows from them is put together, and so many are kept beside it.
const LOG: u64 = 1000;
const LOG_KEPT: u64 = 500;

/// So many entries are sent at once to a server that has fallen behind.
const ENTRIES_AT_ONCE: u64 = 16;

/// How often it is looked whether a write is still waited for by one that leads.
const LOOK: Duration = Duration::from_millis(100);

/// Who this server is, in the store.
const ME: &str = "me";

openraft::declare_raft_types!(
    /// What is agreed on, and by whom.
    pub Types: D = Command, R = Answer, NodeId = u64, Node = Peer, SnapshotData = Dump
);

/// One of several servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// How the others and clients reach it: `https://host:port`.
    pub url: String,
}

/// Who this server is among the others.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Me {
    id: u64,
    /// It was the first.
    founded: bool,
}

/// This server among the others.
pub struct Quorum {
    store: Arc<SqliteStore>,
    disk: Disk,
    network: Network,
    url: String,
    join: Option<String>,
    running: OnceLock<(u64, Raft<Types>)>,
    /// One change of who the servers are at a time.
    changing: tokio::sync::Mutex<()>,
    /// Until when we lead, by the time since the machine's start, and in which term.
    lease: Mutex<(Duration, u64)>,
}

impl std::fmt::Debug for Quorum {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Quorum").field("url", &self.url).field("join", &self.join).finish_non_exhaustive()
    }
}

/// What this server is asked by another, and it has not begun yet.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it has not begun yet")]
pub(crate) struct NotYet;

impl Quorum {
    /// One that others reach at `url`, and that joins those of whom one is at `join`, if it has not yet. Without, it is
    /// the first one, with what its store has.
    #[must_use]
    pub fn new(store: Arc<SqliteStore>, authority: Arc<Authority>, url: String, join: Option<String>) -> Self {
        let (disk, network) = (Disk::new(Arc::clone(&store)), Network::new(authority));
        let (running, changing, lease) = (OnceLock::new(), tokio::sync::Mutex::default(), Mutex::default());
        Self { store, disk, network, url, join, running, changing, lease }
    }

    /// Whether what is kept there is that of one of several servers.
    ///
    /// # Errors
    /// If that can't be read.
    pub async fn is_kept_in(store: &Arc<SqliteStore>) -> Result<bool, StoreError> {
        Ok(Disk::new(Arc::clone(store)).get::<Me>(ME).await?.is_some())
    }

    /// Takes part, for as long as it is polled.
    ///
    /// # Errors
    /// If it can't, for a reason that a person has to see to.
    pub async fn run(&self) -> anyhow::Result<std::convert::Infallible> {
        let raft = self.begin().await?;
        let entering = async {
            self.enter(&raft).await;
            std::future::pending().await
        };
        tokio::select! {
            never = self.confirm(&raft) => never,
            never = entering => never,
        }
    }

    async fn begin(&self) -> anyhow::Result<Raft<Types>> {
        let me = self.me().await?;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let config = Config {
            cluster_name: "upbeat-orchestrator".to_owned(),
            heartbeat_interval: millis(HEARTBEAT),
            election_timeout_min: millis(SHORTEST_ELECTION),
            election_timeout_max: millis(NO_ELECTION),
            install_snapshot_timeout: millis(CATCH_UP),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(LOG),
            replication_lag_threshold: LOG + LOG_KEPT,
            max_in_snapshot_log_to_keep: LOG_KEPT,
            max_payload_entries: ENTRIES_AT_ONCE,
            ..Config::default()
        };
        let config = Arc::new(config.validate()?);
        let raft = Raft::new(me.id, config, self.network.clone(), self.disk.clone(), self.disk.clone()).await?;
        if me.founded {
            let alone = BTreeMap::from([(me.id, Peer { url: self.url.clone() })]);
            match raft.initialize(alone).await {
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let known = raft.metrics().borrow().membership_config.membership().get_node(&me.id).cloned();
        if let Some(known) = known.filter(|known| known.url != self.url) {
            bail!(
                "--advertise (ADVERTISE) {}: the others know this server as {}; have it removed, and join with an empty \
                 --state",
                self.url,
                known.url
            );
        }
        info!(id = %shown(me.id), url = %self.url, "one of several servers");
        self.running.get_or_init(|| (me.id, raft.clone()));
        Ok(raft)
    }

    /// Who we are. A server that was one before waits, since it may have helped to elect a leader that still acts.
    async fn me(&self) -> anyhow::Result<Me> {
        if let Some(me) = self.disk.get::<Me>(ME).await? {
            ensure!(
                !(me.founded && self.join.is_some()),
                "--join (JOIN): this server is one of those to be joined; leave it away, or give an empty --state"
            );
            sleep(NO_ELECTION).await;
            return Ok(me);
        }
        let founded = self.join.is_none();
        if !founded {
            let counted = self.store.call(|connection| {
                Ok(connection.query_row("SELECT count(*) FROM cluster", [], |row| row.get::<_, i64>(0))?)
            });
            ensure!(
                counted.await? == 0,
                "--join (JOIN): there is a cluster in --state (STATE) already, and it would be lost; give a folder with \
                 nothing but the others' authority.pem"
            );
        }
        let me = Me { id: fastrand::u64(1..), founded };
        self.disk.put(ME, &me).await.context("cannot keep who this server is")?;
        Ok(me)
    }

    /// Asks again and again whether we lead.
    async fn confirm(&self, raft: &Raft<Types>) -> anyhow::Result<std::convert::Infallible> {
        let mut led = false;
        loop {
            let asked = since_boot();
            match timeout(LEADER_LEASE, raft.ensure_linearizable()).await {
                Ok(Ok(read)) => {
                    // The leader has begun its term with an entry of its own.
                    let term = read.map_or(0, |read| read.leader_id.term);
                    self.set_lease(asked + LEADER_LEASE, term);
                }
                Ok(Err(RaftError::Fatal(error))) => {
                    return Err(anyhow::Error::new(error).context("it takes no part any more"));
                }
                Ok(Err(RaftError::APIError(_))) => self.set_lease(Duration::ZERO, 0),
                // What was confirmed before holds for as long as it does.
                Err(_) => {}
            }
            if let Err(error) = &raft.metrics().borrow().running_state {
                bail!("it takes no part any more: {error}");
            }
            let leads = self.leads();
            if leads != led {
                led = leads;
                if leads { info!("this server leads") } else { warn!("this server leads no more") }
            }
            sleep(ASK_EVERY).await;
        }
    }

    fn set_lease(&self, until: Duration, term: u64) {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = (until, term);
    }

    /// The term in which this server leads, and may act.
    fn term(&self) -> Option<u64> {
        let (until, term) = *self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        (since_boot() < until).then_some(term)
    }

    /// Whether this server leads, and may act.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.term().is_some()
    }

    /// Which server does, as far as we know.
    pub(super) fn leadership(&self) -> Leadership {
        if let Some(term) = self.term() {
            Leadership::Ours(term)
        } else if self.leader().is_some() {
            Leadership::Anothers
        } else {
            Leadership::Nobodys("no majority of the servers has elected one of them".to_owned())
        }
    }

    /// The one that leads, if it is another one.
    #[must_use]
    pub fn leader(&self) -> Option<String> {
        let (me, raft) = self.running.get()?;
        let metrics = raft.metrics().borrow().clone();
        let leader = metrics.current_leader.filter(|leader| leader != me)?;
        metrics.membership_config.membership().get_node(&leader).map(|leader| leader.url.clone())
    }

    /// Has the servers agree on this; done is what a majority has on its disks, and this one has done.
    async fn submit(&self, command: Command) -> Result<Answer, StoreError> {
        let (_, raft) = self.running.get().ok_or_else(|| StoreError(NotYet.to_string()))?;
        let mut write = pin!(raft.client_write(command));
        loop {
            tokio::select! {
                answer = &mut write => return match answer.map(|answer| answer.data) {
                    Ok(Answer::Failed(why)) => Err(StoreError(why)),
                    Ok(answer) => Ok(answer),
                    Err(error) => Err(StoreError(error.to_string())),
                },
                () = sleep(LOOK) => if !self.leads() {
                    return Err(StoreError("no majority of the servers answers".to_owned()));
                },
            }
        }
    }

    pub(crate) async fn append(
        &self,
        message: AppendEntriesRequest<Types>,
    ) -> Result<Result<AppendEntriesResponse<u64>, RaftError<u64>>, NotYet> {
        Ok(self.running.get().ok_or(NotYet)?.1.append_entries(message).await)
    }

    pub(crate) async fn vote(
        &self,
        message: VoteRequest<u64>,
    ) -> Result<Result<VoteResponse<u64>, RaftError<u64>>, NotYet> {
        Ok(self.running.get().ok_or(NotYet)?.1.vote(message).await)
    }

    pub(crate) async fn install(
        &self,
        FullSnapshot { vote, meta, dump }: FullSnapshot,
    ) -> Result<Result<SnapshotResponse<u64>, openraft::error::Fatal<u64>>, NotYet> {
        let snapshot = Snapshot { meta, snapshot: Box::new(dump) };
        Ok(self.running.get().ok_or(NotYet)?.1.install_full_snapshot(vote, snapshot).await)
    }
}
