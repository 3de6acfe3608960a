//! How servers ask each other: by TLS, each with a certificate of the authority that all of them have.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use openraft::error::{Fatal, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{OptionalSend, Snapshot, SnapshotMeta, Vote};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::dump::Dump;
use super::{Peer, Types};
use crate::ask::{Servers, ask};
use crate::pki::Authority;
use crate::tls::client::{Https, client};

/// The most bytes that servers send each other at once: of some hundred thousand replicas.
pub(crate) const MAX_MESSAGE: usize = 256 * 1024 * 1024;

/// How long we show one certificate: much shorter than it lasts.
const SHOWN_FOR: Duration = Duration::from_hours(30 * 24);

/// The way to the other servers. Clones share connections.
#[derive(Clone)]
pub(super) struct Network {
    authority: Arc<Authority>,
    client: Arc<Mutex<Option<(Https, Instant)>>>,
}

/// The way to one of them.
pub(super) struct PeerConnection {
    network: Network,
    id: u64,
    url: String,
}

/// Everything that was agreed on, as one server sends it to another.
#[derive(Serialize, Deserialize)]
pub(crate) struct FullSnapshot {
    pub(super) vote: Vote<u64>,
    pub(super) meta: SnapshotMeta<u64, Peer>,
    pub(super) dump: Dump,
}

impl Network {
    pub(super) fn new(authority: Arc<Authority>) -> Self {
        Self { authority, client: Arc::default() }
    }

    /// Asks the one of these servers that leads something that only servers ask.
    pub(super) async fn ask(&self, servers: &Servers, path: &str, what: &impl Serialize) -> anyhow::Result<Bytes> {
        servers.ask(&self.client()?, Method::POST, path, what, MAX_MESSAGE).await
    }

    fn client(&self) -> anyhow::Result<Https> {
        let mut known = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((client, since)) = &*known
            && since.elapsed() < SHOWN_FOR
        {
            return Ok(client.clone());
        }
        let made = client(self.authority.server_client()?, self.authority.certificate())?;
        *known = Some((made.clone(), Instant::now()));
        Ok(made)
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = PeerConnection;

    async fn new_client(&mut self, id: u64, peer: &Peer) -> PeerConnection {
        PeerConnection { network: self.clone(), id, url: peer.url.clone() }
    }
}

impl PeerConnection {
    /// What the other one answers, for better or worse; an error if it does not.
    async fn send<T: DeserializeOwned, E: DeserializeOwned>(
        &self,
        what: &str,
        message: &impl Serialize,
        limit: Duration,
    ) -> Result<Result<T, E>, Unreachable> {
        let to = format!("{}/v1/quorum/{what}", self.url);
        let sent = async {
            let client = self.network.client()?;
            Ok(serde_json::from_slice(&ask(&client, Method::POST, &to, message, MAX_MESSAGE).await?)?)
        };
        let answered = timeout(limit, sent).await;
        let answered = answered.unwrap_or_else(|_| Err(anyhow::anyhow!("{to}: no answer within {limit:?}")));
        answered.map_err(|error: anyhow::Error| Unreachable::new(&std::io::Error::other(format!("{error:#}"))))
    }
}

type Answered<T> = Result<T, RPCError<u64, Peer, RaftError<u64>>>;

impl RaftNetwork<Types> for PeerConnection {
    async fn append_entries(
        &mut self,
        message: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Answered<AppendEntriesResponse<u64>> {
        Ok(self.send("append", &message, option.hard_ttl()).await?.map_err(|error| RemoteError::new(self.id, error))?)
    }

    async fn vote(&mut self, message: VoteRequest<u64>, option: RPCOption) -> Answered<VoteResponse<u64>> {
        Ok(self.send("vote", &message, option.hard_ttl()).await?.map_err(|error| RemoteError::new(self.id, error))?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<u64>,
        snapshot: Snapshot<Types>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        let full = FullSnapshot { vote, meta: snapshot.meta, dump: *snapshot.snapshot };
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = self.send("snapshot", &full, option.hard_ttl()) => {
                Ok(sent?.map_err(|error| RemoteError::new(self.id, error))?)
            }
        }
    }
}
