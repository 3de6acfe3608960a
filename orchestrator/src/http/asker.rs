//! Who asks, and from where.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::pki::Peer;
use crate::tls::listener::Caller;

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Asker {
    pub(super) headers: HeaderMap,
    /// By TLS, who it is; none plainly.
    pub(super) caller: Option<Caller>,
    pub(super) remote: Option<SocketAddr>,
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let remote = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(remote)| *remote);
        Ok(Self { headers: parts.headers.clone(), caller, remote })
    }
}

impl Asker {
    /// The node whose certificate was shown; whether it is still one, [`Access::node`](super::Access::node) tells.
    pub(super) fn peer(&self) -> Option<&Peer> {
        self.caller.as_ref()?.peer.as_deref()
    }
}

pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether this was asked of us by an address or as localhost, not by a name that somebody has pointed at us.
pub(super) fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}
