//! The secure door: connections by TLS, of nodes, who show a certificate, and of others.
//!
//! Whoever comes is let in quickly or not at all: handshakes run beside each other, for a limited time; there are only so
//! many connections of others, and of one address; a connection on which nothing moves is closed. What others do can't
//! keep nodes out that are in already, nor can it stop the accepting.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use super::connection::Connection;
use super::doorman::{Doorman, Entry};
use crate::pki::{self, Peer};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How many connections may wait to be served.
const WAITING: usize = 64;

/// How long no connection is accepted after that has failed: there are too many open files, as a rule.
const PAUSE: Duration = Duration::from_secs(1);

/// How long open requests may take at the end.
const CLOSE: Duration = Duration::from_secs(1);

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Where it comes from.
    pub remote: SocketAddr,
    /// The node that it is, by its certificate.
    pub peer: Option<Arc<Peer>>,
}

/// Connections by TLS.
#[derive(Debug)]
pub struct TlsListener {
    address: SocketAddr,
    accepted: mpsc::Receiver<(Connection, Caller)>,
    /// The accepting, which ends with this.
    _accepting: AbortOnDropHandle<()>,
}

impl TlsListener {
    /// On this socket.
    ///
    /// # Errors
    /// If its address can't be told.
    pub fn new(listener: TcpListener, config: ServerConfig) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (give, accepted) = mpsc::channel(WAITING);
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), give));
        Ok(Self { address, accepted, _accepting: AbortOnDropHandle::new(accepting) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Listener for TlsListener {
    type Io = Connection;
    type Addr = Caller;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            // It has ended by a panic, which has been told.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Caller { remote: self.address, peer: None })
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        stream.remote_addr().clone()
    }
}

/// Serves these routes by TLS until `stop`, then lets open requests end. They are told the [`Caller`] by an extension.
pub async fn serve(listener: TlsListener, routes: Router, stop: CancellationToken) {
    let app = routes.layer(from_fn(tell_caller)).into_make_service_with_connect_info::<Caller>();
    let closed = {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            sleep(CLOSE).await;
        }
    };
    tokio::select! {
        _ = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()) => {}
        () = closed => {}
    }
}

async fn tell_caller(
    ConnectInfo(caller): ConnectInfo<Caller>,
    mut request: Request,
    next: Next,
) -> axum::response::Response {
    request.extensions_mut().insert(ConnectInfo(caller.remote));
    request.extensions_mut().insert(caller);
    next.run(request).await
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, give: mpsc::Sender<(Connection, Caller)>) {
    let doorman = Doorman::default();
    let mut handshakes = JoinSet::new();
    let mut full = Occasionally::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = handshakes.join_next() => continue,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "no connection can be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(entry) = doorman.admit(remote.ip().to_canonical()) else {
            // It is closed: to let it wait would be to let it keep a place in the queue.
            if full.now() {
                warn!(remote = %remote.ip(), "too many connections");
            }
            continue;
        };
        let (acceptor, doorman, give) = (acceptor.clone(), doorman.clone(), give.clone());
        handshakes.spawn(async move {
            match timeout(HANDSHAKE, handshake(acceptor, stream, remote, entry, &doorman)).await {
                // Nobody takes it any more when we stop.
                Ok(Ok(connection)) => drop(give.send(connection).await),
                Ok(Err(error)) => debug!(remote = %remote.ip(), %error, "no TLS"),
                Err(_) => debug!(remote = %remote.ip(), "no TLS in time"),
            }
        });
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    remote: SocketAddr,
    entry: Entry,
    doorman: &Doorman,
) -> io::Result<(Connection, Caller)> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = certificate.map(pki::peer).transpose().map_err(|error| io::Error::other(format!("{error:#}")))?;
    let entry = match &peer {
        Some(peer) => doorman.admit_node().ok_or_else(|| {
            info!(node = %peer.name, "too many connections of nodes");
            io::Error::other("too many connections of nodes")
        })?,
        None => entry,
    };
    Ok((Connection::new(stream, entry), Caller { remote, peer: peer.map(Arc::new) }))
}

/// What is not told more than once a minute.
#[derive(Default)]
struct Occasionally(Option<Instant>);

impl Occasionally {
    fn now(&mut self) -> bool {
        let is_due = self.0.is_none_or(|last| last.elapsed() > Duration::from_mins(1));
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}
