//! One text, from the request to the answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use upbeat_service::traces::TraceContext;

use crate::cache::{Cache, Found};
use crate::error::ShoutError;
use crate::text::{capitalised, is_capitalised, reversed};
use crate::upstream::Upstream;

/// Texts that are longer are worked on beside the threads that serve: a megabyte takes many milliseconds.
const LONG: usize = 32 * 1024;

/// Reverses and capitalises.
#[derive(Debug)]
pub struct Shouter {
    upstream: Option<Upstream>,
    cache: Cache,
    deadline: Duration,
}

/// A text, reversed and in capitals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shouted {
    /// The text.
    pub text: Arc<str>,
    /// How it was had.
    pub from: From,
}

/// How an answer was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// It was in the cache.
    Cache,
    /// Somebody else asked for the same at the same time.
    Shared,
    /// The upstream capitalised it.
    Upstream,
    /// It was capitalised here.
    Here,
}

impl Shouter {
    /// Without an upstream it capitalises by itself. Each text has until the deadline.
    #[must_use]
    pub const fn new(upstream: Option<Upstream>, cache: Cache, deadline: Duration) -> Self {
        Self { upstream, cache, deadline }
    }

    /// The text reversed by grapheme clusters, and in capitals.
    /// The upstream is told which `span` it belongs to, if it is asked for this.
    pub async fn shout(&self, text: &str, span: Option<&TraceContext>) -> Result<Shouted, ShoutError> {
        if let Some(text) = self.cache.get(text).await {
            return Ok(Shouted { text, from: From::Cache });
        }
        // All that this takes is on the heap, so that a hit does not carry it along.
        Box::pin(self.fetch(text, span)).await
    }

    async fn fetch(&self, text: &str, span: Option<&TraceContext>) -> Result<Shouted, ShoutError> {
        let deadline = Instant::now() + self.deadline;
        let good = |answer: &str| is_capitalised(&reversed(text), answer);
        let shouted = self.cache.get_or_make(text, good, self.make(text, deadline, span));
        let shouted = timeout_at(deadline, shouted).await;
        let (text, found) =
            shouted.unwrap_or_else(|_| Err(ShoutError::Late(format!("no answer within {:?}", self.deadline))))?;
        let from = match found {
            Found::Kept => From::Cache,
            Found::Shared => From::Shared,
            Found::Made if self.upstream.is_some() => From::Upstream,
            Found::Made => From::Here,
        };
        Ok(Shouted { text, from })
    }

    async fn make(&self, text: &str, deadline: Instant, span: Option<&TraceContext>) -> Result<Arc<str>, ShoutError> {
        let turned = aside(text, reversed).await;
        let shouted = match &self.upstream {
            Some(upstream) => upstream.capitalise(&turned, deadline, span).await?,
            None => aside(&turned, capitalised).await,
        };
        Ok(shouted.into())
    }
}

/// Does it here if that is soon done, else on a thread for such work.
async fn aside(text: &str, work: impl Fn(&str) -> String + Copy + Send + 'static) -> String {
    if text.len() < LONG {
        return work(text);
    }
    let owned = text.to_owned();
    // It fails only if the runtime is shutting down.
    spawn_blocking(move || work(&owned)).await.unwrap_or_else(|_| work(text))
}

impl From {
    /// A word for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Shared => "shared",
            Self::Upstream => "upstream",
            Self::Here => "here",
        }
    }
}
