//! Answers that were made before, and equal texts that are being made.
//!
//! An answer is kept in memory, in Redis, or nowhere. In any case, of equal texts that are asked for at the same time one is
//! made, and all others wait for it: moka sees to that, also where it keeps nothing. A failure is told to all who wait, and
//! never kept.
//!
//! # Why moka
//! Bounded by weight, with a time to live, and one maker a key; it admits by frequency, so that a flood of texts that come
//! once does not drive out those that come often. `quick_cache` has no time to live; `lru` and `cached` have one lock.

mod redis;

use std::sync::Arc;
use std::time::Duration;

use upbeat_service::{Metrics, Readiness};

use self::redis::Redis;
use crate::error::ShoutError;
use crate::meter::CacheMeter;
use crate::settings::Keep;

/// What an entry takes besides its two texts, about.
const OVERHEAD: usize = 200;

/// Where answers are kept.
#[derive(Debug)]
pub struct Cache {
    here: moka::future::Cache<String, Arc<str>>,
    redis: Option<Redis>,
    meter: CacheMeter,
}

/// Where an answer is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was there.
    Kept,
    /// It was made for this request.
    Made,
    /// It was made for another one at the same time.
    Shared,
}

impl Cache {
    /// Keeps answers there. `space` tells apart those who share a Redis and do not answer alike, and `size` is for memory.
    pub fn new(
        keep: &Keep,
        space: &str,
        size: u64,
        ttl: Duration,
        metrics: &Metrics,
        readiness: &Readiness,
    ) -> anyhow::Result<Self> {
        let meter = CacheMeter::new(metrics);
        let redis = match keep {
            Keep::Redis(url) => Some(Redis::new(url, space, ttl, meter.clone(), readiness.clone())?),
            Keep::None | Keep::Memory => None,
        };
        readiness.note("cache", format!("{keep:?}"));
        let size = if *keep == Keep::Memory { size } else { 0 };
        let here = moka::future::Cache::builder()
            .max_capacity(size)
            .time_to_live(ttl)
            .weigher(|text: &String, answer: &Arc<str>| {
                u32::try_from(text.len() + answer.len() + OVERHEAD).unwrap_or(u32::MAX)
            })
            .build();
        if *keep == Keep::Memory {
            meter.watch(&here);
        }
        Ok(Self { here, redis, meter })
    }

    /// The answer to this text, if it is in memory.
    pub async fn get(&self, text: &str) -> Option<Arc<str>> {
        let answer = self.here.get(text).await?;
        self.meter.lookup(Found::Kept);
        Some(answer)
    }

    /// The answer to this text, from elsewhere or by `make`. What comes from elsewhere has to be `good`.
    pub async fn get_or_make(
        &self,
        text: &str,
        good: impl Fn(&str) -> bool,
        make: impl Future<Output = Result<Arc<str>, ShoutError>>,
    ) -> Result<(Arc<str>, Found), ShoutError> {
        let mut found = Found::Shared;
        let outcome = {
            let found = &mut found;
            let make = async move {
                *found = Found::Made;
                let Some(redis) = &self.redis else { return make.await };
                if let Some(answer) = redis.get(text, good).await {
                    *found = Found::Kept;
                    return Ok(answer);
                }
                let answer = make.await?;
                redis.set(text, &answer).await;
                Ok(answer)
            };
            self.here.try_get_with_by_ref(text, make).await
        };
        self.meter.lookup(found);
        outcome.map(|answer| (answer, found)).map_err(Arc::unwrap_or_clone)
    }
}
