//! Who may ask for what.
//!
//! | | plainly, on a loopback address | plainly, elsewhere | by TLS |
//! | --- | --- | --- | --- |
//! | reading | whoever is on the machine | with `--public-status` everybody | with a token; with `--public-status` everybody |
//! | writing | whoever is on the machine; if there are tokens, with one | nobody | with a token |
//!
//! A token's role says what it is good for. One that comes plainly from elsewhere is refused, so that whoever sent it
//! finds out that others may have read it. A node is who shows a certificate of a member, and may do what nodes do, and
//! nothing else.
//!
//! What containers print is read by whoever may read without `--public-status`.
//!
//! A browser on the machine must not do it for a page from elsewhere: a write needs a content type or a method that
//! makes browsers ask first, and a host that no name service gives out.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use axum::http::header;
use upbeat_service::tokens::{Tokens, bearer};

use super::Problem;
pub(super) use super::asker::Asker;
use super::asker::{is_local, is_loopback};
use crate::credentials::{Credentials, Member, Role, find};
use crate::pki::Kind;
use crate::store::StoreError;

/// Who may ask for what.
#[derive(Clone)]
pub struct Access {
    file: Option<Arc<Tokens>>,
    credentials: Option<Arc<dyn Credentials>>,
    /// Everybody may read.
    public: bool,
    /// Only this machine can reach us plainly.
    loopback: bool,
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, public, loopback, .. } = self;
        formatter
            .debug_struct("Access")
            .field("file", file)
            .field("public", public)
            .field("loopback", loopback)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// By the settings; `listen` is where it is listened on plainly.
    ///
    /// # Errors
    /// If it would be open to everybody without anybody having said so, or closed to all.
    pub fn new(public_status: bool, token_file: Option<&Path>, listen: SocketAddr) -> anyhow::Result<Self> {
        let loopback = is_loopback(listen.ip());
        ensure!(
            loopback || public_status,
            "--listen (LISTEN) {listen} can be reached from other machines without TLS; listen on 127.0.0.1:8080 and, \
             for other machines, with --tls-listen (TLS_LISTEN), or let all read with --public-status (PUBLIC_STATUS)"
        );
        let file = token_file.map(Tokens::of_file).transpose().context("--token-file (TOKEN_FILE)")?;
        Ok(Self { file: file.map(Arc::new), credentials: None, public: public_status, loopback })
    }

    /// Besides, whoever has a token or is a member by these.
    #[must_use]
    pub fn by(mut self, credentials: Arc<dyn Credentials>) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Whether who asks may read.
    pub(super) async fn read(&self, asker: &Asker) -> Result<(), Problem> {
        let is_here = asker.caller.is_none() && self.loopback;
        let open = if is_here { is_local(&asker.headers) } else { self.public };
        self.refuse_leaked(asker)?;
        if open { Ok(()) } else { self.token(asker, Role::Read).await }
    }

    /// Whether who asks may read what is not for all to read, also where reading is open to all.
    pub(super) async fn read_private(&self, asker: &Asker) -> Result<(), Problem> {
        self.refuse_leaked(asker)?;
        let is_here = asker.caller.is_none() && self.loopback && is_local(&asker.headers);
        if is_here { Ok(()) } else { self.token(asker, Role::Read).await }
    }

    /// Whether who asks may change something.
    pub(super) async fn write(&self, asker: &Asker) -> Result<(), Problem> {
        self.change(asker, Role::Write).await
    }

    /// Whether who asks may say who may do what.
    pub(super) async fn admin(&self, asker: &Asker) -> Result<(), Problem> {
        self.change(asker, Role::Admin).await
    }

    /// The node that asks.
    pub(super) async fn node(&self, asker: &Asker) -> Result<Member, Problem> {
        let node = asker.peer().filter(|peer| peer.kind == Kind::Node);
        let (Some(peer), Some(credentials)) = (node, &self.credentials) else {
            return Err(Problem::unauthorized("a node's certificate is needed, by TLS", false));
        };
        let member = credentials.member(&peer.name).await.map_err(|error| unavailable(&error))?;
        member
            .filter(|member| member.key == peer.key)
            .ok_or_else(|| Problem::new(403, format!("{} has been taken out; it has to join again", peer.name)))
    }

    /// Whether another server asks.
    pub(super) fn server(asker: &Asker) -> Result<(), Problem> {
        if asker.peer().is_some_and(|peer| peer.kind == Kind::Server) {
            Ok(())
        } else {
            Err(Problem::unauthorized("a server's certificate is needed, by TLS", false))
        }
    }

    /// Whether who asks came by TLS.
    pub(super) fn secure(asker: &Asker) -> Result<(), Problem> {
        if asker.caller.is_some() { Ok(()) } else { Err(Problem::new(403, "this is answered by TLS alone")) }
    }

    async fn change(&self, asker: &Asker, role: Role) -> Result<(), Problem> {
        self.refuse_leaked(asker)?;
        let is_here = asker.caller.is_none() && self.loopback && is_local(&asker.headers);
        if is_here && !self.is_guarded().await? {
            return Ok(());
        }
        self.token(asker, role).await
    }

    /// A token that has come from elsewhere for all to read.
    fn refuse_leaked(&self, asker: &Asker) -> Result<(), Problem> {
        let is_leaked = !self.may_bear(asker) && asker.headers.contains_key(header::AUTHORIZATION);
        if is_leaked {
            return Err(Problem::new(
                403,
                "a token was sent without TLS, and others may have read it: replace it, and send it by TLS \
                 (--tls-listen, TLS_LISTEN)",
            ));
        }
        Ok(())
    }

    /// Whether nobody else can have read what was sent.
    fn may_bear(&self, asker: &Asker) -> bool {
        asker.caller.is_some() || self.loopback || asker.remote.is_some_and(|remote| is_loopback(remote.ip()))
    }

    /// Whether somebody has a token of role admin. Before, those on the machine could not help themselves otherwise.
    async fn is_guarded(&self) -> Result<bool, Problem> {
        if self.file.is_some() {
            return Ok(true);
        }
        let Some(credentials) = &self.credentials else { return Ok(false) };
        let tokens = credentials.tokens().await.map_err(|error| unavailable(&error))?;
        Ok(tokens.iter().any(|token| token.role == Role::Admin))
    }

    async fn token(&self, asker: &Asker, role: Role) -> Result<(), Problem> {
        match bearer(&asker.headers).filter(|_| self.may_bear(asker)) {
            Some(token) => match self.role(token).await? {
                Some(has) if has >= role => Ok(()),
                Some(has) => Err(Problem::new(403, format!("the token's role is {has}, and {role} is needed"))),
                None => Err(Problem::unauthorized("the token is not one of those that count", true)),
            },
            None if asker.caller.is_some() || (self.may_bear(asker) && self.is_guarded().await?) => {
                Err(Problem::unauthorized("a token is needed: Authorization: Bearer …", false))
            }
            None => Err(Problem::new(
                403,
                "closed to other machines; --tls-listen (TLS_LISTEN) opens it to who has a token",
            )),
        }
    }

    /// What the bearer of this may do.
    async fn role(&self, token: &[u8]) -> Result<Option<Role>, Problem> {
        if let Some(file) = &self.file
            && file.have(token).await
        {
            return Ok(Some(Role::Admin));
        }
        let Some(credentials) = &self.credentials else { return Ok(None) };
        let tokens = credentials.tokens().await.map_err(|error| unavailable(&error))?;
        Ok(find(&tokens, token).map(|token| token.role))
    }
}

pub(super) fn unavailable(error: &StoreError) -> Problem {
    Problem::new(503, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::new_token;
    use crate::pki::{self, Authority, Peer};
    use crate::store::memory::MemoryStore;
    use crate::tls::listener::Caller;

    const TOKEN: &str = "0123456789abcdef";

    /// Who asks with these headers.
    fn asker(headers: &[(&'static str, String)]) -> Asker {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Asker { headers, ..Asker::default() }
    }

    fn bearing(token: &str) -> Asker {
        asker(&[("authorization", format!("Bearer {token}"))])
    }

    fn by_tls(asker: Asker, peer: Option<Peer>) -> Asker {
        let remote = "10.0.0.9:1000".parse().unwrap();
        Asker { caller: Some(Caller { remote, peer: peer.map(Arc::new) }), remote: Some(remote), ..asker }
    }

    /// Reading, writing, and saying who may.
    async fn statuses(access: &Access, asker: &Asker) -> [u16; 3] {
        let status = |result: Result<(), Problem>| result.err().map_or(200, |problem| problem.status());
        [status(access.read(asker).await), status(access.write(asker).await), status(access.admin(asker).await)]
    }

    fn access(public: bool, file: Option<&Path>, listen: &str) -> Access {
        Access::new(public, file, listen.parse().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn plainly_it_is_open_to_those_who_are_meant() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TOKEN).unwrap();
        let nobody = Asker::default();
        let rebound = asker(&[("host", "evil.example:8080".to_owned())]);
        let local = asker(&[("host", "[::1]:8080".to_owned())]);
        let open = access(false, None, "127.0.0.1:8080");
        assert_eq!(statuses(&open, &nobody).await, [200, 200, 200]);
        assert_eq!(statuses(&open, &local).await, [200, 200, 200]);
        assert_eq!(statuses(&open, &rebound).await, [403, 403, 403]);
        let guarded = access(false, Some(file.path()), "127.0.0.1:8080");
        assert_eq!(statuses(&guarded, &nobody).await, [200, 401, 401]);
        assert_eq!(statuses(&guarded, &rebound).await, [401, 401, 401]);
        assert_eq!(statuses(&guarded, &bearing(TOKEN)).await, [200, 200, 200]);
        assert_eq!(statuses(&guarded, &bearing("fedcba9876543210")).await, [200, 401, 401]);
        let public = access(true, None, "0.0.0.0:8080");
        assert_eq!(statuses(&public, &rebound).await, [200, 403, 403]);
    }

    #[tokio::test]
    async fn what_containers_print_is_not_open_to_all_where_reading_is() {
        let store = Arc::new(MemoryStore::default());
        let (token, kept) = new_token("r", Role::Read, 1).unwrap();
        store.keep_token(&kept).await.unwrap();
        let private = async |access: &Access, asker: &Asker| {
            access.read_private(asker).await.err().map_or(200, |problem| problem.status())
        };
        let public = access(true, None, "0.0.0.0:8080").by(store.clone());
        assert_eq!(statuses(&public, &Asker::default()).await[0], 200);
        assert_eq!(private(&public, &Asker::default()).await, 403);
        assert_eq!(private(&public, &by_tls(Asker::default(), None)).await, 401);
        assert_eq!(private(&public, &by_tls(bearing(&token), None)).await, 200);
        let local = access(true, None, "127.0.0.1:8080").by(store);
        assert_eq!(private(&local, &Asker::default()).await, 200);
        let rebound = asker(&[("host", "evil.example:8080".to_owned())]);
        assert_eq!((statuses(&local, &rebound).await[0], private(&local, &rebound).await), (403, 403));
    }

    #[tokio::test]
    async fn a_token_that_comes_plainly_from_elsewhere_is_refused_also_for_reading() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TOKEN).unwrap();
        let both = access(true, Some(file.path()), "0.0.0.0:8080");
        assert_eq!(statuses(&both, &Asker::default()).await, [200, 403, 403]);
        let from = |remote: &str| Asker { remote: Some(remote.parse().unwrap()), ..bearing(TOKEN) };
        assert_eq!(statuses(&both, &from("10.0.0.9:1000")).await, [403, 403, 403]);
        assert_eq!(statuses(&both, &from("[::ffff:127.0.0.1]:1000")).await, [200, 200, 200]);
    }

    #[tokio::test]
    async fn by_tls_it_is_the_role_that_counts() {
        let store = Arc::new(MemoryStore::default());
        let access = access(false, None, "127.0.0.1:8080").by(store.clone());
        assert_eq!(statuses(&access, &by_tls(bearing(TOKEN), None)).await, [401; 3], "there are no tokens");
        for (name, role, expected) in
            [("r", Role::Read, [200, 403, 403]), ("w", Role::Write, [200, 200, 403]), ("a", Role::Admin, [200; 3])]
        {
            let (token, kept) = new_token(name, role, 1).unwrap();
            store.keep_token(&kept).await.unwrap();
            assert_eq!(statuses(&access, &by_tls(bearing(&token), None)).await, expected, "{role}");
            assert_eq!(statuses(&access, &by_tls(bearing(&kept.hash), None)).await, [401; 3], "its hash is no token");
            let is_open = role < Role::Admin;
            let local = statuses(&access, &Asker::default()).await;
            assert_eq!(local, if is_open { [200; 3] } else { [200, 401, 401] }, "who is here can't be locked out");
        }
        assert_eq!(statuses(&access, &by_tls(Asker::default(), None)).await, [401; 3]);
        store.set_broken(true);
        assert_eq!(statuses(&access, &by_tls(bearing(TOKEN), None)).await, [503; 3]);
    }

    #[tokio::test]
    async fn a_node_is_who_shows_a_members_certificate_and_may_nothing_else() {
        let (store, folder) = (Arc::new(MemoryStore::default()), tempfile::tempdir().unwrap());
        store.keep_token(&new_token("a", Role::Admin, 1).unwrap().1).await.unwrap();
        let access = access(false, None, "127.0.0.1:8080").by(store.clone());
        let authority = Authority::open(folder.path()).unwrap();
        let request = pki::request(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let (certificate, key) = authority.admit("n", &request).unwrap();
        let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(certificate.as_bytes()).unwrap();
        let peer = pki::peer(&certificate).unwrap();
        let node = by_tls(Asker::default(), Some(peer));
        let status = async |asker: &Asker| access.node(asker).await.err().map_or(200, |problem| problem.status());
        assert_eq!(status(&node).await, 403, "it is no member");
        let token = crate::credentials::JoinToken {
            hash: "h".to_owned(),
            node: None,
            admitted: crate::credentials::Admitted::default(),
            expires: 9,
        };
        store.keep_join_token(&token).await.unwrap();
        store.join("h", "n", &key, 1).await.unwrap().unwrap();
        assert_eq!(status(&node).await, 200);
        assert_eq!(statuses(&access, &node).await, [401, 401, 401]);
        let peer = node.peer().unwrap().clone();
        let other = Peer { key: "another".to_owned(), ..peer };
        assert_eq!(status(&by_tls(Asker::default(), Some(other))).await, 403, "its name, and not its key");
        assert_eq!(status(&by_tls(Asker::default(), None)).await, 401);
        assert_eq!(status(&Asker::default()).await, 401);
        store.forget_member("n").await.unwrap();
        assert_eq!(status(&node).await, 403);
    }

    #[test]
    fn beyond_loopback_it_is_not_listened_plainly_unless_somebody_says_that_all_may_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TOKEN).unwrap();
        for file in [None, Some(file.path())] {
            let why = Access::new(false, file, "0.0.0.0:8080".parse().unwrap()).unwrap_err().to_string();
            assert!(["--listen", "--tls-listen", "--public-status"].iter().all(|flag| why.contains(flag)), "{why}");
        }
    }
}
