//! Ports that stay ours.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// The most connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A port of 127.0.0.1 that nobody else is given while this lives, whether or not somebody listens on it.
///
/// It is bound but does not listen, so connections are refused until [`listen`](Self::listen) is called or another
/// process listens on it, which must set `SO_REUSEADDR` first, as nearly all servers do.
#[derive(Debug)]
pub struct ReservedPort {
    address: SocketAddr,
    /// Only Linux lets another socket listen on what is bound; elsewhere the port is not held, and mostly stays free.
    _reserved: Option<TcpSocket>,
}

impl ReservedPort {
    /// Takes a free port.
    #[must_use]
    pub fn take() -> Self {
        let reserved = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = reserved.local_addr().expect("the address of a bound socket can be read");
        Self { address, _reserved: cfg!(target_os = "linux").then_some(reserved) }
    }

    /// The port with 127.0.0.1 before it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port's number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.address.port()
    }

    /// Listens on the port, which can be done again once the listener is dropped.
    #[must_use]
    pub fn listen(&self) -> TcpListener {
        bind(self.address).listen(BACKLOG).unwrap_or_else(|error| panic!("cannot listen on {}: {error}", self.address))
    }
}

fn bind(address: SocketAddr) -> TcpSocket {
    let bound = TcpSocket::new_v4().and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    });
    bound.unwrap_or_else(|error| panic!("cannot bind {address}: {error}"))
}
