//! A cluster and its credentials, kept by a majority of the servers. What is only read is read here: it is what this
//! server has heard of.

use async_trait::async_trait;

use super::Quorum;
use super::command::{Answer, Command};
use crate::cluster::records::{Leadership, Records, new_id, read};
use crate::cluster::state::{Change, Cluster};
use crate::credentials::{Credentials, Forgotten, JoinToken, Member, NotJoined, Token};
use crate::store::StoreError;

/// So many changes are one entry of the log: what is sent at once has to arrive between two heartbeats.
const AT_ONCE: usize = 256;

#[async_trait]
impl Records for Quorum {
    fn leadership(&self) -> Leadership {
        Self::leadership(self)
    }

    /// What was agreed on before this is called, all of it: the beginning comes after it.
    async fn load(&self) -> Result<Cluster, StoreError> {
        self.submit(Command::Begin(new_id())).await?;
        self.store.call(|connection| read(connection)).await
    }

    async fn keep(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        for some in changes.chunks(AT_ONCE) {
            self.submit(Command::Keep(some.to_vec())).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Credentials for Quorum {
    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.store.tokens().await
    }

    async fn keep_token(&self, token: &Token) -> Result<bool, StoreError> {
        whether(self.submit(Command::KeepToken(token.clone())).await?)
    }

    async fn forget_token(&self, name: &str) -> Result<Forgotten, StoreError> {
        match self.submit(Command::ForgetToken(name.to_owned())).await? {
            Answer::Forgotten(forgotten) => Ok(forgotten),
            other => Err(unfit(&other)),
        }
    }

    async fn keep_join_token(&self, token: &JoinToken) -> Result<(), StoreError> {
        let now = chrono::Utc::now().timestamp();
        self.submit(Command::KeepJoinToken(token.clone(), now)).await.map(drop)
    }

    async fn join(
        &self,
        token: &str,
        name: &str,
        key: &str,
        now: i64,
    ) -> Result<Result<Member, NotJoined>, StoreError> {
        let (token, name, key) = (token.to_owned(), name.to_owned(), key.to_owned());
        match self.submit(Command::Join { token, name, key, now }).await? {
            Answer::Joined(joined) => Ok(joined),
            other => Err(unfit(&other)),
        }
    }

    async fn member(&self, name: &str) -> Result<Option<Member>, StoreError> {
        self.store.member(name).await
    }

    async fn members(&self) -> Result<Vec<Member>, StoreError> {
        self.store.members().await
    }

    async fn forget_member(&self, name: &str) -> Result<bool, StoreError> {
        whether(self.submit(Command::ForgetMember(name.to_owned())).await?)
    }
}

fn whether(answer: Answer) -> Result<bool, StoreError> {
    match answer {
        Answer::Whether(whether) => Ok(whether),
        other => Err(unfit(&other)),
    }
}

/// An answer to something else: the servers are of different versions.
fn unfit(answer: &Answer) -> StoreError {
    StoreError(format!("the answer is {answer:?}, which is none to this"))
}
