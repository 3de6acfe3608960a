//! A network that can be broken: a TCP proxy whose behaviour is switched while it runs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::eventually;
use crate::port::ReservedPort;

mod relay;

use relay::relay;

/// A proxy on a free port of 127.0.0.1 that passes everything on, until told otherwise. It ends, and its connections
/// with it, when it is dropped; it belongs to the runtime that made it.
#[derive(Debug)]
pub struct Proxy {
    port: ReservedPort,
    upstream: SocketAddr,
    accepting: Option<JoinHandle<()>>,
    rules: Arc<Rules>,
}

/// What the connections go by.
#[derive(Debug, Default)]
struct Rules {
    now: Mutex<Behaviour>,
}

#[derive(Debug, Default)]
struct Behaviour {
    black_hole: bool,
    latency: Duration,
    /// Responses to drop: the text that a request must hold.
    drop_response_to: Vec<String>,
    /// How many responses were dropped.
    dropped: usize,
    /// Cuts all connections that are open now.
    cut: CancellationToken,
}

impl Rules {
    fn now(&self) -> MutexGuard<'_, Behaviour> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the response to a request with this in it is to be dropped, which is then to be done.
    fn take_drop_for(&self, request: &[u8]) -> bool {
        let mut now = self.now();
        let holds = |text: &String| text.is_empty() || request.windows(text.len()).any(|part| part == text.as_bytes());
        let rule = now.drop_response_to.iter().position(holds);
        rule.map(|index| now.drop_response_to.remove(index)).is_some()
    }
}

impl Proxy {
    /// A proxy to the server at this URL or address, such as `http://127.0.0.1:4566`.
    #[must_use]
    pub fn to(endpoint: impl AsRef<str>) -> Self {
        let endpoint = endpoint.as_ref();
        let address = endpoint.trim_start_matches("http://").trim_end_matches('/');
        let upstream = address.parse().unwrap_or_else(|_| panic!("{endpoint} is not http://IP:PORT"));
        let mut proxy = Self { port: ReservedPort::take(), upstream, accepting: None, rules: Arc::default() };
        proxy.accept();
        proxy
    }

    /// The endpoint to give to a service instead of the server's.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Passes everything on again, at once. Connections that a black hole has taken something from stay dead.
    pub fn pass(&mut self) {
        self.rules.now().black_hole = false;
        self.rules.now().latency = Duration::ZERO;
        self.accept();
    }

    /// Refuses new connections, as a server that is down; open ones go on unless [`cut`](Self::cut).
    pub async fn refuse(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // The port is closed once the task is gone.
            let _ = accepting.await;
        }
    }

    /// Accepts connections and never answers, on new connections and on open ones. What is sent either way is lost,
    /// and a connection that has lost something never speaks again.
    pub fn black_hole(&mut self) {
        self.rules.now().black_hole = true;
        self.accept();
    }

    /// Resets all connections that are open.
    pub fn cut(&self) {
        std::mem::take(&mut self.rules.now().cut).cancel();
    }

    /// Every response comes so much later than the server gave it, until [`pass`](Self::pass).
    pub fn delay(&self, latency: Duration) {
        self.rules.now().latency = latency;
    }

    /// The next request that holds `text` (in its head or body; every request holds an empty one) reaches the server;
    /// its response does not come back, the connection is reset instead. Each call is for one more response.
    pub fn drop_response_to(&self, text: &str) {
        self.rules.now().drop_response_to.push(text.to_owned());
    }

    /// How many responses were dropped so far.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.rules.now().dropped
    }

    /// Waits until so many responses were dropped.
    pub async fn wait_dropped(&self, count: usize, limit: Duration) {
        eventually("dropped response", limit, async || match self.dropped() {
            dropped if dropped >= count => Ok(()),
            dropped => Err(format!("{dropped} of {count}")),
        })
        .await;
    }

    fn accept(&mut self) {
        if self.accepting.is_none() {
            let (listener, upstream, rules) = (self.port.listen(), self.upstream, self.rules.clone());
            self.accepting = Some(tokio::spawn(accept(listener, upstream, rules)));
        }
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, rules: Arc<Rules>) {
    // Fails only where the system has run out of something.
    while let Ok((mut client, _)) = listener.accept().await {
        let (cut, rules) = (rules.now().cut.clone(), rules.clone());
        tokio::spawn(async move {
            let Ok(mut server) = TcpStream::connect(upstream).await else { return };
            let ended = cut.run_until_cancelled(relay(&mut client, &mut server, &rules)).await;
            if !matches!(ended, Some(Ok(()))) {
                // Dropped after this, they are reset rather than ended in order. Fails if they are already.
                let _ = client.set_zero_linger();
                let _ = server.set_zero_linger();
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.cut();
    }
}
