//! A connection that does not stay for nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::doorman::Entry;

/// How long nothing may move on a connection. Longer than an answer takes to begin.
const IDLE: Duration = Duration::from_mins(2);

/// A connection that ends when nothing has moved on it for long.
#[derive(Debug)]
pub struct Connection<S = TlsStream<TcpStream>> {
    stream: S,
    moved: Instant,
    idle: Pin<Box<Sleep>>,
    _entry: Entry,
}

impl<S> Connection<S> {
    pub(super) fn new(stream: S, entry: Entry) -> Self {
        Self { stream, moved: Instant::now(), idle: Box::pin(sleep(IDLE)), _entry: entry }
    }

    /// Passes on what came of a try to move something, or that nothing has moved for too long.
    fn watch<T>(&mut self, tried: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            self.moved = Instant::now();
            return tried;
        }
        while self.idle.as_mut().poll(context).is_ready() {
            if self.moved.elapsed() >= IDLE {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            let next = self.moved + IDLE;
            self.idle.as_mut().reset(next);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_read(context, into);
        self.watch(tried, context)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(tried, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A flush of nothing moves nothing.
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Pending => self.watch(Poll::Pending, context),
            done @ Poll::Ready(_) => done,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(tried, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::tls::doorman::Doorman;

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_nothing_has_moved_for_long_and_not_before() {
        let (mut far, near) = duplex(4);
        let mut connection = Connection::new(near, Doorman::default().admit_node().unwrap());
        let began = Instant::now();
        let speaking = async {
            for _ in 0..5 {
                sleep(IDLE * 9 / 10).await;
                far.write_all(b"x").await.unwrap();
            }
        };
        let mut read = [0; 5];
        let ((), heard) = tokio::join!(speaking, connection.read_exact(&mut read));
        assert_eq!(heard.unwrap(), 5);
        let spoken = began.elapsed();
        let ended = connection.read(&mut read).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= spoken + IDLE);
        let stuck = connection.write_all(b"more than the other has room for").await.unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut, "who does not read is not waited for either");
    }
}
