//! One connection through the proxy.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Rules, Spoil};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// How many chunks of responses may be on their way, so that a slow client slows the server.
const ON_THE_WAY: usize = 16;

/// What has become of the connection.
#[derive(Default)]
struct Fate {
    /// A black hole has taken something: nothing passes any more.
    dead: AtomicBool,
    /// What is to become of the response that comes next.
    spoil: Mutex<Option<Spoil>>,
}

impl Fate {
    /// Whether what was just read is lost, by the rules as they are now.
    fn takes(&self, rules: &Rules) -> bool {
        if rules.now().black_hole {
            self.dead.store(true, Ordering::Relaxed);
        }
        self.dead.load(Ordering::Relaxed)
    }

    /// What is to become of the response that comes now.
    fn spoil(&self) -> MutexGuard<'_, Option<Spoil>> {
        self.spoil.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes bytes in both directions until one side ends; an error is a broken connection, or a response that the rules
/// have spoilt.
pub(super) async fn relay(client: &mut TcpStream, server: &mut TcpStream, rules: &Rules) -> io::Result<()> {
    // Small writes must not wait for each other.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let fate = Fate::default();
    let (sender, on_the_way) = mpsc::channel(ON_THE_WAY);
    let there = requests(from_client, to_server, rules, &fate);
    let back = async {
        let read = responses(from_server, sender, rules, &fate);
        let written = deliver(on_the_way, to_client, rules, &fate);
        tokio::try_join!(read, written).map(|_| ())
    };
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}

async fn requests(mut client: ReadHalf<'_>, mut server: WriteHalf<'_>, rules: &Rules, fate: &Fate) -> io::Result<()> {
    while let Some(request) = read(&mut client).await? {
        if fate.takes(rules) {
            continue;
        }
        if let Some(how) = rules.take_spoil_for(&request) {
            *fate.spoil() = Some(how);
        }
        server.write_all(&request).await?;
    }
    Ok(())
}

/// Reads what the server says, and notes when it is due.
async fn responses(
    mut server: ReadHalf<'_>,
    on_the_way: mpsc::Sender<(Instant, Bytes)>,
    rules: &Rules,
    fate: &Fate,
) -> io::Result<()> {
    while let Some(response) = read(&mut server).await? {
        let due = Instant::now() + rules.now().latency;
        if on_the_way.send((due, response)).await.is_err() {
            break;
        }
    }
    if fate.takes(rules) {
        // The client must not learn that the server has hung up.
        std::future::pending::<()>().await;
    }
    Ok(())
}

async fn deliver(
    mut on_the_way: mpsc::Receiver<(Instant, Bytes)>,
    mut client: WriteHalf<'_>,
    rules: &Rules,
    fate: &Fate,
) -> io::Result<()> {
    while let Some((due, response)) = on_the_way.recv().await {
        sleep_until(due).await;
        if fate.takes(rules) {
            continue;
        }
        let spoil = fate.spoil().take();
        rules.now().spoilt += usize::from(spoil.is_some());
        match spoil {
            None => {}
            Some(Spoil::Drop) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(Spoil::Truncate) => {
                client.write_all(&response[..response.len() / 2]).await?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Some(Spoil::Hang) => {
                fate.dead.store(true, Ordering::Relaxed);
                continue;
            }
            Some(Spoil::Delay(latency)) => sleep(latency).await,
        }
        client.write_all(&response).await?;
    }
    Ok(())
}

/// The next bytes; `None` at the end.
async fn read(stream: &mut ReadHalf<'_>) -> io::Result<Option<Bytes>> {
    let mut chunk = BytesMut::with_capacity(CHUNK);
    let length = stream.read_buf(&mut chunk).await?;
    Ok((length > 0).then(|| chunk.freeze()))
}
