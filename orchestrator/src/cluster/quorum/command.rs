//! What servers agree on, one after the other. Each does the same with it, whenever and wherever it does.

use openraft::Entry;
use rusqlite::{Connection, ErrorCode};
use serde::{Deserialize, Serialize};

use super::Types;
use crate::cluster::records;
use crate::cluster::state::Change;
use crate::credentials::{Forgotten, JoinToken, Member, NotJoined, Token};
use crate::store::sqlite::credentials;

/// Something that is to be kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// A server begins to lead. Where there is no cluster yet, this is its id.
    Begin(String),
    /// Changes of the cluster.
    Keep(Vec<Change>),
    /// A token.
    KeepToken(Token),
    /// A token counts no more.
    ForgetToken(String),
    /// A join token, at this time.
    KeepJoinToken(JoinToken, i64),
    /// A node joins.
    Join {
        /// The join token's hash.
        token: String,
        /// The node.
        name: String,
        /// What its key is known by.
        key: String,
        /// At this time.
        now: i64,
    },
    /// A node is none any more.
    ForgetMember(String),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done, if there was anything to do.
    Done,
    /// Whether it is kept, or was there.
    Whether(bool),
    /// Of a token.
    Forgotten(Forgotten),
    /// Of a node.
    Joined(Result<Member, NotJoined>),
    /// It can't be done, on no server.
    Failed(String),
}

impl Command {
    /// Does it.
    fn apply(&self, connection: &Connection) -> anyhow::Result<Answer> {
        Ok(match self {
            Self::Begin(id) => {
                records::begin(connection, id)?;
                Answer::Done
            }
            Self::Keep(changes) => {
                records::keep(connection, changes)?;
                Answer::Done
            }
            Self::KeepToken(token) => Answer::Whether(credentials::keep_token(connection, token)?),
            Self::ForgetToken(name) => Answer::Forgotten(credentials::forget_token(connection, name)?),
            Self::KeepJoinToken(token, now) => {
                credentials::keep_join_token(connection, token, *now)?;
                Answer::Done
            }
            Self::Join { token, name, key, now } => {
                Answer::Joined(credentials::join(connection, token, name, key, *now)?)
            }
            Self::ForgetMember(name) => Answer::Whether(credentials::forget_member(connection, name)?),
        })
    }
}

/// Does what an entry of the log says, all of it or nothing.
///
/// # Errors
/// If this server's disk does not take part. What would fail on every server is an answer.
pub(super) fn apply(connection: &mut rusqlite::Transaction<'_>, entry: &Entry<Types>) -> anyhow::Result<Answer> {
    let openraft::EntryPayload::Normal(command) = &entry.payload else { return Ok(Answer::Done) };
    let savepoint = connection.savepoint()?;
    match command.apply(&savepoint) {
        Ok(answer) => {
            savepoint.commit()?;
            Ok(answer)
        }
        Err(error) if is_ours(&error) => Err(error),
        Err(error) => Ok(Answer::Failed(format!("{error:#}"))),
    }
}

/// Whether it is this server's disk that failed, and not what was to be done.
fn is_ours(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    code.is_some_and(|code| code != ErrorCode::ConstraintViolation)
}
