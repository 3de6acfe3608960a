//! Who may do what: bearer tokens with a role, one-time tokens with which a host becomes a node, and the nodes' keys.
//!
//! Of a token, only its hash is kept: it is 256 bits of chance, so that a hash that is quick to make tells no more than
//! a slow one would.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::secret::{self, sha256};
use crate::store::StoreError;

/// The first token's file in the state folder.
pub const ADMIN_TOKEN: &str = "admin-token";

/// What the first token is called.
const FIRST: &str = "first";

/// The most tokens that there may be.
pub const MAX_TOKENS: usize = 1000;

/// What a token's bearer may do; each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See what is wanted and what is.
    Read,
    /// Change what is wanted.
    Write,
    /// Say who may do what, and which hosts are nodes.
    Admin,
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

/// A token, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is called.
    pub name: String,
    /// The SHA-256 of the token, in hex.
    pub hash: String,
    /// What its bearer may do.
    pub role: Role,
    /// When it was made, in seconds since 1970.
    pub made: i64,
}

/// A token with which one host becomes a node, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// The SHA-256 of its secret, in hex.
    pub hash: String,
    /// What the node is to be called; as it says itself if this is not set.
    pub node: Option<String>,
    /// What the node is given.
    pub admitted: Admitted,
    /// Until when, in seconds since 1970.
    pub expires: i64,
}

/// What is said of a node by who lets it in; the rest it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// How many containers it may run.
    pub capacity: Option<u32>,
    /// What it has that others have not.
    pub labels: BTreeMap<String, String>,
}

/// A node that has joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What its key is known by: [`Peer::key`](crate::pki::Peer::key).
    pub key: String,
    /// What was said of it.
    pub admitted: Admitted,
    /// When, in seconds since 1970.
    pub joined: i64,
}

/// Why a host does not become a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum NotJoined {
    /// Nobody made this token, or it was taken back.
    #[error("the join token is not one of those that count")]
    Unknown,
    /// It came too late.
    #[error("the join token has expired; have another one made")]
    Expired,
    /// Another host has had it.
    #[error("the join token has been used; have another one made")]
    Used,
    /// It is for a node of another name.
    #[error("the join token is for a node of another name")]
    OtherName,
    /// There is such a node, and the token does not say that it is to be replaced.
    #[error("there is a node of that name; a join token for it by name replaces it")]
    Taken,
}

/// What became of a token that was to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forgotten {
    /// It counts no more.
    Done,
    /// There is none of that name.
    Missing,
    /// It stays: nobody could make another one without it.
    LastAdmin,
}

/// Where all that is kept. As of [`Store`](crate::store::Store), what is answered `Ok` is on the disk.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// All tokens, by name.
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// Keeps a token, unless there is one of that name. Whether it does.
    async fn keep_token(&self, token: &Token) -> Result<bool, StoreError>;

    /// Forgets a token, unless it is the last of role [`Role::Admin`].
    async fn forget_token(&self, name: &str) -> Result<Forgotten, StoreError>;

    /// Keeps a join token, and forgets those that have long expired.
    async fn keep_join_token(&self, token: &JoinToken) -> Result<(), StoreError>;

    /// Makes a member of the node with this name and key, by the join token of this hash. That token does for no other
    /// key from then on; it does again for this one, whose answer may have been lost.
    async fn join(&self, token: &str, name: &str, key: &str, now: i64)
    -> Result<Result<Member, NotJoined>, StoreError>;

    /// The member of this name.
    async fn member(&self, name: &str) -> Result<Option<Member>, StoreError>;

    /// All members, by name.
    async fn members(&self) -> Result<Vec<Member>, StoreError>;

    /// The member of this name is none any more: its certificate does not count. Whether it was one.
    async fn forget_member(&self, name: &str) -> Result<bool, StoreError>;
}

/// Whether a node of this name and key may join by this token, by which another one (`used`) may have joined.
pub(crate) fn may_join(
    token: Option<&JoinToken>,
    used: Option<(&str, &str)>,
    member: Option<&Member>,
    by: (&str, &str),
    now: i64,
) -> Result<JoinToken, NotJoined> {
    let token = token.ok_or(NotJoined::Unknown)?;
    let (name, key) = by;
    // Again for the same one, unless it has been taken out meanwhile.
    if used.is_some_and(|used| used != by || member.is_none_or(|member| member.key != key)) {
        return Err(NotJoined::Used);
    }
    if now >= token.expires {
        return Err(NotJoined::Expired);
    }
    if token.node.as_deref().is_some_and(|node| node != name) {
        return Err(NotJoined::OtherName);
    }
    if token.node.is_none() && member.is_some_and(|member| member.key != key) {
        return Err(NotJoined::Taken);
    }
    Ok(token.clone())
}

/// A new token of this name and role, and how it is kept.
///
/// # Errors
/// If the system gives no random numbers.
pub fn new_token(name: &str, role: Role, made: i64) -> anyhow::Result<(String, Token)> {
    let token = secret::new()?;
    let kept = Token { name: name.to_owned(), hash: sha256(token.as_bytes()), role, made };
    Ok((token, kept))
}

/// The token of these that this is. Takes as long for a wrong one as for a right one.
pub(crate) fn find<'a>(tokens: &'a [Token], token: &[u8]) -> Option<&'a Token> {
    let hash = sha256(token);
    let equal = |known: &&Token| bool::from(known.hash.as_bytes().ct_eq(hash.as_bytes()));
    tokens.iter().fold(None, |found, known| if equal(&known) { Some(known) } else { found })
}

/// Where nobody is an admin yet, makes the first token, and has it in a file of its owner's alone.
///
/// # Errors
/// If the store or the folder does not take it.
pub async fn first_token(store: &dyn Credentials, folder: &Path, now: i64) -> anyhow::Result<()> {
    if store.tokens().await?.iter().any(|token| token.role == Role::Admin) {
        return Ok(());
    }
    let path = folder.join(ADMIN_TOKEN);
    // The file first: a token that counts and that nobody knows would lock everybody out.
    let (token, _) = new_token(FIRST, Role::Admin, now)?;
    let written = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || secret::write_once(&path, &format!("{token}\n"))).await??
    };
    let token = written.trim();
    anyhow::ensure!(token.len() == 64, "{}: not a token of ours; take it away", path.display());
    let kept = Token { name: FIRST.to_owned(), hash: sha256(token.as_bytes()), role: Role::Admin, made: now };
    store.keep_token(&kept).await.context("cannot keep the first token")?;
    tracing::info!(file = %path.display(), "the first admin token is in this file");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::cluster::quorum::Quorum;
    use crate::pki::Authority;
    use crate::store::memory::MemoryStore;
    use crate::store::sqlite::SqliteStore;

    fn token(name: &str, role: Role) -> Token {
        new_token(name, role, 1).unwrap().1
    }

    /// The same of every store.
    async fn contract(store: &dyn Credentials) {
        let (root, reader) = (token("root", Role::Admin), token("reader", Role::Read));
        assert!(store.keep_token(&root).await.unwrap() && store.keep_token(&reader).await.unwrap());
        assert!(!store.keep_token(&token("reader", Role::Admin)).await.unwrap(), "names are taken once");
        assert_eq!(store.tokens().await.unwrap(), [reader, root]);
        assert_eq!(store.forget_token("root").await.unwrap(), Forgotten::LastAdmin);
        assert_eq!(store.forget_token("nobody").await.unwrap(), Forgotten::Missing);
        assert!(store.keep_token(&token("second", Role::Admin)).await.unwrap());
        assert_eq!(store.forget_token("root").await.unwrap(), Forgotten::Done);
        assert_eq!(store.forget_token("reader").await.unwrap(), Forgotten::Done);

        let admitted = Admitted { capacity: Some(7), labels: BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]) };
        let now = chrono::Utc::now().timestamp();
        let join = |hash: &str, node: Option<&str>, lasts: i64| JoinToken {
            hash: hash.to_owned(),
            node: node.map(str::to_owned),
            admitted: admitted.clone(),
            expires: now + lasts,
        };
        for token in [join("a", None, 100), join("b", None, 100), join("c", Some("n2"), 100), join("d", None, 10)] {
            store.keep_join_token(&token).await.unwrap();
        }
        let joined = async |token, name, key| store.join(token, name, key, now + 50).await.unwrap();
        assert_eq!(joined("x", "n1", "k1").await, Err(NotJoined::Unknown));
        assert_eq!(joined("d", "n1", "k1").await, Err(NotJoined::Expired));
        assert_eq!(joined("c", "n1", "k1").await, Err(NotJoined::OtherName));
        let member = joined("a", "n1", "k1").await.unwrap();
        let expected =
            Member { name: "n1".to_owned(), key: "k1".to_owned(), admitted: admitted.clone(), joined: now + 50 };
        assert_eq!(member, expected);
        assert_eq!(joined("a", "n1", "k1").await.unwrap(), expected, "its answer may have been lost");
        assert_eq!(joined("a", "n1", "k2").await, Err(NotJoined::Used));
        assert_eq!(joined("a", "n9", "k9").await, Err(NotJoined::Used));
        assert_eq!(joined("a", "n9", "k1").await, Err(NotJoined::Used), "one token, one node");
        assert_eq!(joined("b", "n1", "k2").await, Err(NotJoined::Taken));
        assert_eq!(store.member("n1").await.unwrap(), Some(expected.clone()));
        joined("b", "n2", "k2").await.unwrap();
        joined("c", "n2", "k3").await.unwrap();
        assert_eq!(store.member("n2").await.unwrap().unwrap().key, "k3", "replaced by a token that names it");
        let names: Vec<_> = store.members().await.unwrap().into_iter().map(|member| member.name).collect();
        assert_eq!(names, ["n1", "n2"]);
        assert!(store.forget_member("n1").await.unwrap() && !store.forget_member("n1").await.unwrap());
        assert_eq!(store.member("n1").await.unwrap(), None);
        assert_eq!(joined("a", "n1", "k1").await, Err(NotJoined::Used), "who was taken out does not come back");
    }

    #[tokio::test]
    async fn what_is_kept_is_found_again_and_a_join_token_works_once() {
        contract(&MemoryStore::default()).await;
        let folder = tempfile::tempdir().unwrap();
        contract(&SqliteStore::new(folder.path().join("store")).unwrap()).await;
        let store = Arc::new(SqliteStore::new(folder.path().join("agreed")).unwrap());
        let authority = Arc::new(Authority::open(folder.path()).unwrap());
        let quorum = Arc::new(Quorum::new(store, authority, "https://localhost:1".to_owned(), None));
        let running = tokio::spawn({
            let quorum = Arc::clone(&quorum);
            async move { quorum.run().await }
        });
        while !quorum.leads() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        contract(&*quorum).await;
        running.abort();
    }

    #[tokio::test]
    async fn of_many_who_show_a_join_token_at_once_one_becomes_a_node() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let stores = [SqliteStore::new(path.clone()).unwrap(), SqliteStore::new(path).unwrap()];
        let expires = i64::MAX;
        let token = JoinToken { hash: "a".to_owned(), node: None, admitted: Admitted::default(), expires };
        stores[0].keep_join_token(&token).await.unwrap();
        let joining = (0..20_usize).map(|n| {
            let store = &stores[n % 2];
            async move { store.join("a", &format!("n{n}"), &format!("k{n}"), 1).await.unwrap() }
        });
        let joined = futures_util::future::join_all(joining).await;
        assert_eq!(joined.iter().filter(|joined| joined.is_ok()).count(), 1, "{joined:?}");
        assert_eq!(stores[1].members().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_first_token_is_made_once_and_is_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::default();
        for _ in 0..2 {
            first_token(&store, folder.path(), 1).await.unwrap();
            let told = std::fs::read_to_string(folder.path().join(ADMIN_TOKEN)).unwrap();
            let tokens = store.tokens().await.unwrap();
            assert_eq!((tokens.len(), find(&tokens, told.trim().as_bytes())), (1, Some(&tokens[0])));
            assert!(find(&tokens, b"x").is_none() && find(&tokens, tokens[0].hash.as_bytes()).is_none());
        }
        // Killed between the file and the store: what is in the file counts.
        let fresh = MemoryStore::default();
        first_token(&fresh, folder.path(), 1).await.unwrap();
        assert_eq!(fresh.tokens().await.unwrap()[0].hash, store.tokens().await.unwrap()[0].hash);
    }

    #[test]
    fn roles_are_in_order() {
        assert!(Role::Read < Role::Write && Role::Write < Role::Admin);
    }
}
