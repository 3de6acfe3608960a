//! Tokens and members, until the process ends.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryStore;
use crate::credentials::{Credentials, Forgotten, JoinToken, Member, NotJoined, Role, Token, may_join};
use crate::store::StoreError;

#[derive(Debug, Default)]
pub(super) struct Kept {
    tokens: BTreeMap<String, Token>,
    /// By hash, with the name and key of the node that joined by it.
    join_tokens: BTreeMap<String, (JoinToken, Option<(String, String)>)>,
    members: BTreeMap<String, Member>,
}

#[async_trait]
impl Credentials for MemoryStore {
    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        Ok(self.working()?.credentials.tokens.values().cloned().collect())
    }

    async fn keep_token(&self, token: &Token) -> Result<bool, StoreError> {
        let tokens = &mut self.working()?.credentials.tokens;
        if tokens.contains_key(&token.name) {
            return Ok(false);
        }
        tokens.insert(token.name.clone(), token.clone());
        Ok(true)
    }

    async fn forget_token(&self, name: &str) -> Result<Forgotten, StoreError> {
        let tokens = &mut self.working()?.credentials.tokens;
        let admins = tokens.values().filter(|token| token.role == Role::Admin).count();
        match tokens.get(name) {
            None => Ok(Forgotten::Missing),
            Some(token) if token.role == Role::Admin && admins == 1 => Ok(Forgotten::LastAdmin),
            Some(_) => {
                tokens.remove(name);
                Ok(Forgotten::Done)
            }
        }
    }

    async fn keep_join_token(&self, token: &JoinToken) -> Result<(), StoreError> {
        let join_tokens = &mut self.working()?.credentials.join_tokens;
        join_tokens.insert(token.hash.clone(), (token.clone(), None));
        Ok(())
    }

    async fn join(
        &self,
        token: &str,
        name: &str,
        key: &str,
        now: i64,
    ) -> Result<Result<Member, NotJoined>, StoreError> {
        let mut inner = self.working()?;
        let Kept { join_tokens, members, .. } = &mut inner.credentials;
        let mut known = join_tokens.get_mut(token);
        let used = known.as_ref().and_then(|(_, used)| used.as_ref());
        let used = used.map(|(name, key)| (name.as_str(), key.as_str()));
        let member = members.get(name);
        let may = may_join(known.as_ref().map(|(token, _)| token), used, member, (name, key), now);
        let token = match may {
            Ok(token) => token,
            Err(why) => return Ok(Err(why)),
        };
        if let Some(member) = member.filter(|member| used.is_some() && member.key == key) {
            return Ok(Ok(member.clone()));
        }
        if let Some((_, used)) = &mut known {
            *used = Some((name.to_owned(), key.to_owned()));
        }
        let member = Member { name: name.to_owned(), key: key.to_owned(), admitted: token.admitted, joined: now };
        members.insert(name.to_owned(), member.clone());
        Ok(Ok(member))
    }

    async fn member(&self, name: &str) -> Result<Option<Member>, StoreError> {
        Ok(self.working()?.credentials.members.get(name).cloned())
    }

    async fn members(&self) -> Result<Vec<Member>, StoreError> {
        Ok(self.working()?.credentials.members.values().cloned().collect())
    }

    async fn forget_member(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.working()?.credentials.members.remove(name).is_some())
    }
}
