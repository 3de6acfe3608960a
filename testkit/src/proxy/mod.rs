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

/// What becomes of a response that is not to come back as the server gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// None of it comes; the connection is reset.
    Drop,
    /// Half of what was read at once comes; the connection is reset.
    Truncate,
    /// None of it comes, and the connection stays open.
    Hang,
    /// It comes so much later.
    Delay(Duration),
}

/// A proxy on a free port of 127.0.0.1 that passes everything on, until told otherwise. It ends, and its connections
/// with it, when it is dropped; it belongs to the runtime that made it.
#[derive(Debug)]
pub struct Proxy {
    port: ReservedPort,
    accepting: Option<JoinHandle<()>>,
    rules: Arc<Rules>,
}

/// What the connections go by.
#[derive(Debug)]
struct Rules {
    now: Mutex<Behaviour>,
}

#[derive(Debug)]
struct Behaviour {
    upstream: SocketAddr,
    black_hole: bool,
    latency: Duration,
    /// Responses to spoil: the text that a request must hold, and how.
    spoil: Vec<(String, Spoil)>,
    /// How many responses were spoilt.
    spoilt: usize,
    /// Cuts all connections that are open now.
    cut: CancellationToken,
}

impl Rules {
    fn now(&self) -> MutexGuard<'_, Behaviour> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the response to a request with this in it is to be spoilt, which is then to be done.
    fn take_spoil_for(&self, request: &[u8]) -> Option<Spoil> {
        let mut now = self.now();
        let holds = |text: &str| text.is_empty() || request.windows(text.len()).any(|part| part == text.as_bytes());
        let rule = now.spoil.iter().position(|(text, _)| holds(text));
        rule.map(|index| now.spoil.remove(index).1)
    }
}

impl Proxy {
    /// A proxy to the server at this URL or address, such as `http://127.0.0.1:4566`.
    #[must_use]
    pub fn to(endpoint: impl AsRef<str>) -> Self {
        let now = Behaviour {
            upstream: address_of(endpoint.as_ref()),
            black_hole: false,
            latency: Duration::ZERO,
            spoil: Vec::new(),
            spoilt: 0,
            cut: CancellationToken::new(),
        };
        let rules = Arc::new(Rules { now: Mutex::new(now) });
        let mut proxy = Self { port: ReservedPort::take(), accepting: None, rules };
        proxy.accept();
        proxy
    }

    /// The endpoint to give to a service instead of the server's.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Passes everything on again, at once, responses that were still to be spoilt too. Connections that a black hole
    /// has taken something from stay dead.
    pub fn pass(&mut self) {
        self.rules.now().black_hole = false;
        self.rules.now().latency = Duration::ZERO;
        self.rules.now().spoil.clear();
        self.accept();
    }

    /// Leads new connections to another server; open ones go on unless [`cut`](Self::cut).
    pub fn lead_to(&self, endpoint: impl AsRef<str>) {
        self.rules.now().upstream = address_of(endpoint.as_ref());
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
    /// its response comes back spoilt, if at all. Each call is for one more response.
    pub fn spoil_response_to(&self, text: &str, how: Spoil) {
        self.rules.now().spoil.push((text.to_owned(), how));
    }

    /// How many responses were spoilt so far.
    #[must_use]
    pub fn spoilt(&self) -> usize {
        self.rules.now().spoilt
    }

    /// Waits until so many responses were spoilt.
    pub async fn wait_spoilt(&self, count: usize, limit: Duration) {
        eventually("spoilt response", limit, async || match self.spoilt() {
            spoilt if spoilt >= count => Ok(()),
            spoilt => Err(format!("{spoilt} of {count}")),
        })
        .await;
    }

    fn accept(&mut self) {
        if self.accepting.is_none() {
            self.accepting = Some(tokio::spawn(accept(self.port.listen(), self.rules.clone())));
        }
    }
}

/// The address in a URL without a path, or an address.
fn address_of(endpoint: &str) -> SocketAddr {
    let address = endpoint.trim_start_matches("http://").trim_end_matches('/');
    address.parse().unwrap_or_else(|_| panic!("{endpoint} is not http://IP:PORT"))
}

async fn accept(listener: TcpListener, rules: Arc<Rules>) {
    // Fails only where the system has run out of something.
    while let Ok((mut client, _)) = listener.accept().await {
        let (cut, rules) = (rules.now().cut.clone(), rules.clone());
        let upstream = rules.now().upstream;
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
