//! Who may ask for what.
//!
//! | | on a loopback address | elsewhere |
//! | --- | --- | --- |
//! | reading | whoever is on the machine | with a token; with `--public-status` everybody |
//! | writing | whoever is on the machine; if there are tokens, with one | with a token |
//!
//! A browser on the machine must not do it for a page from elsewhere: a write needs a content type or a method that
//! makes browsers ask first, and a host that no name service gives out.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use axum::http::{HeaderMap, header};
use upbeat_service::tokens::{Tokens, bearer};

use super::Problem;

/// Who may ask for what.
#[derive(Clone, Debug)]
pub struct Access {
    tokens: Option<Arc<Tokens>>,
    /// Everybody may read.
    reads: bool,
    /// Only this machine can reach us.
    loopback: bool,
}

impl Access {
    /// By the settings.
    ///
    /// # Errors
    /// If it would be open to everybody, or closed to all, without anybody having said so.
    pub fn new(public_status: bool, token_file: Option<&Path>, listen: SocketAddr) -> anyhow::Result<Self> {
        let loopback = listen.ip().to_canonical().is_loopback();
        ensure!(
            loopback || public_status || token_file.is_some(),
            "--listen (LISTEN) {listen} can be reached from other machines; say who may ask with --token-file \
             (TOKEN_FILE), let all read with --public-status (PUBLIC_STATUS), or listen on 127.0.0.1:8080"
        );
        let tokens = token_file.map(Tokens::of_file).transpose().context("--token-file (TOKEN_FILE)")?;
        Ok(Self { tokens: tokens.map(Arc::new), reads: loopback || public_status, loopback })
    }

    /// Whether a request with these headers may read.
    pub(super) async fn read(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.reads && (!self.loopback || is_local(headers)) {
            return Ok(());
        }
        self.token(headers).await
    }

    /// Whether a request with these headers may change something.
    pub(super) async fn write(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.tokens.is_none() && self.loopback && is_local(headers) {
            return Ok(());
        }
        self.token(headers).await
    }

    async fn token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(tokens) = &self.tokens else {
            return Err(Problem::new(
                403,
                "closed to other machines; --token-file (TOKEN_FILE) opens it to who has a token",
            ));
        };
        match bearer(headers) {
            Some(token) if tokens.have(token).await => Ok(()),
            Some(_) => Err(Problem::unauthorized("the token is not one of those that count", true)),
            None => Err(Problem::unauthorized("a token is needed: Authorization: Bearer …", false)),
        }
    }
}

/// Whether this was asked of us by an address or as localhost, not by a name that somebody has pointed at us.
fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    async fn statuses(access: &Access, headers: &[(&'static str, String)]) -> [u16; 2] {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let status = |result: Result<(), Problem>| result.err().map_or(200, |problem| problem.status());
        [status(access.read(&headers).await), status(access.write(&headers).await)]
    }

    #[tokio::test]
    async fn reading_and_writing_are_open_to_those_who_are_meant() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TOKEN).unwrap();
        let with = [("authorization", format!("Bearer {TOKEN}"))];
        let wrong = [("authorization", "Bearer fedcba9876543210".to_owned())];
        let rebound = [("host", "evil.example:8080".to_owned())];
        let local = [("host", "[::1]:8080".to_owned())];
        let of = |public, tokens: bool, listen: &str| {
            Access::new(public, tokens.then_some(file.path()), listen.parse().unwrap()).unwrap()
        };
        let open = of(false, false, "127.0.0.1:8080");
        assert_eq!(statuses(&open, &[]).await, [200, 200]);
        assert_eq!(statuses(&open, &local).await, [200, 200]);
        assert_eq!(statuses(&open, &rebound).await, [403, 403]);
        let guarded = of(false, true, "127.0.0.1:8080");
        assert_eq!(statuses(&guarded, &[]).await, [200, 401]);
        assert_eq!(statuses(&guarded, &with).await, [200, 200]);
        let public = of(true, false, "0.0.0.0:8080");
        assert_eq!(statuses(&public, &rebound).await, [200, 403]);
        let both = of(true, true, "0.0.0.0:8080");
        assert_eq!(statuses(&both, &[]).await, [200, 401]);
        let remote = of(false, true, "0.0.0.0:8080");
        assert_eq!(statuses(&remote, &[]).await, [401, 401]);
        assert_eq!(statuses(&remote, &wrong).await, [401, 401]);
        assert_eq!(statuses(&remote, &with).await, [200, 200]);
    }

    #[test]
    fn beyond_loopback_somebody_has_to_say_who_may_ask() {
        let why = Access::new(false, None, "0.0.0.0:8080".parse().unwrap()).unwrap_err().to_string();
        assert!(["--listen", "--token-file", "--public-status"].iter().all(|flag| why.contains(flag)), "{why}");
    }
}
