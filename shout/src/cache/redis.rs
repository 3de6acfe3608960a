//! Answers in Redis, where other replicas find them too. Without it everything goes on as without a cache.
//!
//! One connection for all, made when it is needed and dropped at the first error; redis' own `ConnectionManager` keeps a
//! connection that was refused for another reason than the network's, such as a server that is still loading, for ever.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, cmd};
use anyhow::Context;
use ring::digest;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{info, warn};
use upbeat_service::Readiness;
use upbeat_service::breaker::{Breaker, Change};

use crate::meter::CacheMeter;

/// How long a command may take, with a connection first if there is none: a cache that is slower is of no use.
const TIMEOUT: Duration = Duration::from_millis(500);

/// After so many failures in a row it is left alone for a while, and then asked by one request in a few seconds.
const FAILURES: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Redis {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    breaker: Breaker,
    prefix: String,
    ttl: Duration,
    meter: CacheMeter,
    readiness: Readiness,
}

impl Redis {
    pub(super) fn new(
        url: &str,
        space: &str,
        ttl: Duration,
        meter: CacheMeter,
        readiness: Readiness,
    ) -> anyhow::Result<Self> {
        let client = Client::open(url).context("cannot make a client of Redis")?;
        meter.redis_up(true);
        let prefix = format!("upbeat:shout:{}:", digest(space));
        let breaker = Breaker::new(FAILURES).longest_pause(LONGEST_PAUSE);
        Ok(Self { client, connection: Mutex::default(), breaker, prefix, ttl, meter, readiness })
    }

    /// What was kept for this text, if it is `good`: others may write there, too.
    pub(super) async fn get(&self, text: &str, good: impl Fn(&str) -> bool) -> Option<Arc<str>> {
        let answer = self.ask::<Option<String>>("get", cmd("GET").arg(self.key(text))).await??;
        if !good(&answer) {
            self.meter.redis_failed("spoilt");
            return None;
        }
        Some(answer.into())
    }

    /// Keeps it for the time to live.
    pub(super) async fn set(&self, text: &str, answer: &str) {
        let millis = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        // What went wrong is counted and told.
        let _: Option<()> = self.ask("set", cmd("SET").arg(self.key(text)).arg(answer).arg("PX").arg(millis)).await;
    }

    /// `None` if there is no answer, be it that nobody was asked.
    async fn ask<T: FromRedisValue>(&self, operation: &'static str, command: &Cmd) -> Option<T> {
        let attempt = self.breaker.attempt().ok()?;
        let failed = match timeout(TIMEOUT, self.send(command)).await {
            Ok(Ok(answer)) => {
                if attempt.ended(true) == Some(Change::Over) {
                    info!("Redis answers again");
                    self.tell(true);
                }
                return Some(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {TIMEOUT:?}"),
        };
        self.meter.redis_failed(operation);
        drop(self.connection.lock().await.take());
        if let Some(Change::Paused { .. }) = attempt.ended(false) {
            warn!(reason = %failed, "Redis fails, nothing is cached");
            self.tell(false);
        }
        None
    }

    async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut connection = self.connect().await?;
        command.query_async(&mut connection).await
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT));
        let config = config.set_response_timeout(Some(TIMEOUT));
        let made = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        *connection = Some(made.clone());
        Ok(made)
    }

    fn tell(&self, up: bool) {
        self.meter.redis_up(up);
        self.readiness.note("cache", if up { "redis" } else { "redis, which fails" });
    }

    /// Of a length that does not depend on the text's.
    fn key(&self, text: &str) -> String {
        format!("{}{}", self.prefix, digest(text))
    }
}

fn digest(text: &str) -> String {
    use std::fmt::Write;
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
