//! Tokens and members, in tables of their own.

use anyhow::Context;
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteStore;
use crate::credentials::{Credentials, Forgotten, JoinToken, Member, NotJoined, Role, Token, may_join};
use crate::store::StoreError;

/// Beside the other tables, from whichever version they are: nothing of those is touched.
pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS tokens (
        name TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, role TEXT NOT NULL, made INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS join_tokens (
        hash TEXT PRIMARY KEY, node TEXT, admitted TEXT NOT NULL, expires INTEGER NOT NULL,
        used_key TEXT, used_name TEXT) STRICT;
    CREATE TABLE IF NOT EXISTS members (
        name TEXT PRIMARY KEY, key TEXT NOT NULL, admitted TEXT NOT NULL, joined INTEGER NOT NULL) STRICT;
";

/// For so many seconds after it has expired, a join token is known, so that its bearer is told why it does not do.
const KNOWN_FOR: i64 = 24 * 60 * 60;

#[async_trait]
impl Credentials for SqliteStore {
    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.call(|connection| {
            let mut rows = connection.prepare_cached("SELECT name, hash, role, made FROM tokens ORDER BY name")?;
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            rows.map(|row| {
                let (name, hash, role, made): (_, _, String, _) = row?;
                Ok(Token { name, hash, role: role_of(&role)?, made })
            })
            .collect()
        })
        .await
    }

    async fn keep_token(&self, token: &Token) -> Result<bool, StoreError> {
        let token = token.clone();
        self.write(move |transaction| keep_token(transaction, &token)).await
    }

    async fn forget_token(&self, name: &str) -> Result<Forgotten, StoreError> {
        let name = name.to_owned();
        self.write(move |transaction| forget_token(transaction, &name)).await
    }

    async fn keep_join_token(&self, token: &JoinToken) -> Result<(), StoreError> {
        let (token, now) = (token.clone(), chrono::Utc::now().timestamp());
        self.write(move |transaction| keep_join_token(transaction, &token, now)).await
    }

    async fn join(
        &self,
        token: &str,
        name: &str,
        key: &str,
        now: i64,
    ) -> Result<Result<Member, NotJoined>, StoreError> {
        let (token, name, key) = (token.to_owned(), name.to_owned(), key.to_owned());
        self.write(move |transaction| join(transaction, &token, &name, &key, now)).await
    }

    async fn member(&self, name: &str) -> Result<Option<Member>, StoreError> {
        let name = name.to_owned();
        self.call(move |connection| member(connection, &name)).await
    }

    async fn members(&self) -> Result<Vec<Member>, StoreError> {
        self.call(|connection| {
            let mut rows = connection.prepare("SELECT name, key, admitted, joined FROM members ORDER BY name")?;
            let rows = rows.query_map([], columns)?;
            rows.map(|row| member_of(row?)).collect()
        })
        .await
    }

    async fn forget_member(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |transaction| forget_member(transaction, &name)).await
    }
}

pub(crate) fn keep_token(connection: &Connection, token: &Token) -> anyhow::Result<bool> {
    let Token { name, hash, role, made } = token;
    let row = params![name, hash, serde_json::to_string(role)?, made];
    let added = "INSERT INTO tokens VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    Ok(connection.execute(added, row)? > 0)
}

pub(crate) fn forget_token(connection: &Connection, name: &str) -> anyhow::Result<Forgotten> {
    let role = "SELECT role FROM tokens WHERE name = ?1";
    let role: Option<String> = connection.query_row(role, [name], |row| row.get(0)).optional()?;
    let Some(role) = role else { return Ok(Forgotten::Missing) };
    let others = "SELECT count(*) FROM tokens WHERE role = ?1 AND name <> ?2";
    let others: i64 = connection.query_row(others, [&role, name], |row| row.get(0))?;
    if role_of(&role)? == Role::Admin && others == 0 {
        return Ok(Forgotten::LastAdmin);
    }
    connection.execute("DELETE FROM tokens WHERE name = ?1", [name])?;
    Ok(Forgotten::Done)
}

pub(crate) fn keep_join_token(connection: &Connection, token: &JoinToken, now: i64) -> anyhow::Result<()> {
    let JoinToken { hash, node, admitted, expires } = token;
    connection.execute("DELETE FROM join_tokens WHERE expires < ?1", [now - KNOWN_FOR])?;
    let row = params![hash, node, serde_json::to_string(admitted)?, expires];
    connection.execute("INSERT INTO join_tokens VALUES (?1, ?2, ?3, ?4, NULL, NULL)", row)?;
    Ok(())
}

pub(crate) fn join(
    connection: &Connection,
    token: &str,
    name: &str,
    key: &str,
    now: i64,
) -> anyhow::Result<Result<Member, NotJoined>> {
    let (known, used) = join_token(connection, token)?.unzip();
    let used = used.flatten();
    let member = member(connection, name)?;
    let used = used.as_ref().map(|(name, key)| (name.as_str(), key.as_str()));
    let token = match may_join(known.as_ref(), used, member.as_ref(), (name, key), now) {
        Ok(token) => token,
        Err(why) => return Ok(Err(why)),
    };
    if let Some(member) = member.filter(|member| used.is_some() && member.key == key) {
        return Ok(Ok(member));
    }
    let used = "UPDATE join_tokens SET used_key = ?2, used_name = ?3 WHERE hash = ?1";
    connection.execute(used, [&token.hash, key, name])?;
    let member = Member { name: name.to_owned(), key: key.to_owned(), admitted: token.admitted, joined: now };
    let row = params![name, key, serde_json::to_string(&member.admitted)?, now];
    connection.execute("INSERT OR REPLACE INTO members VALUES (?1, ?2, ?3, ?4)", row)?;
    Ok(Ok(member))
}

pub(crate) fn forget_member(connection: &Connection, name: &str) -> anyhow::Result<bool> {
    Ok(connection.execute("DELETE FROM members WHERE name = ?1", [name])? > 0)
}

fn role_of(text: &str) -> anyhow::Result<Role> {
    serde_json::from_str(text).with_context(|| format!("{text} is no role"))
}

/// A node's name and key.
type Used = Option<(String, String)>;

/// A join token, and what became a node by it.
fn join_token(connection: &Connection, hash: &str) -> anyhow::Result<Option<(JoinToken, Used)>> {
    let query = "SELECT node, admitted, expires, used_name, used_key FROM join_tokens WHERE hash = ?1";
    let mut query = connection.prepare_cached(query)?;
    let row = query.query_row([hash], |row| {
        let used = row.get::<_, Option<String>>(3)?.zip(row.get::<_, Option<String>>(4)?);
        Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, used))
    });
    let Some((node, admitted, expires, used)) = row.optional()? else { return Ok(None) };
    let admitted = serde_json::from_str(&admitted).context("a join token can't be read")?;
    Ok(Some((JoinToken { hash: hash.to_owned(), node, admitted, expires }, used)))
}

fn member(connection: &Connection, name: &str) -> anyhow::Result<Option<Member>> {
    let mut query = connection.prepare_cached("SELECT name, key, admitted, joined FROM members WHERE name = ?1")?;
    query.query_row([name], columns).optional()?.map(member_of).transpose()
}

type Columns = (String, String, String, i64);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn member_of((name, key, admitted, joined): Columns) -> anyhow::Result<Member> {
    let admitted = serde_json::from_str(&admitted).with_context(|| format!("{name} can't be read"))?;
    Ok(Member { name, key, admitted, joined })
}
