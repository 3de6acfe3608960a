//! What is kept in Redis. Without a `redis-server` these tests say so, and do nothing.

use std::time::Instant;

use ::redis::FromRedisValue;
use upbeat_testkit::{Redis, Service, ServiceCommand, Signal, eventually};

use crate::server::{Act, Upstream};
use crate::{SOON, metric, shout, shouted};

fn service(upstream: &Upstream, redis: &Redis) -> ServiceCommand {
    Service::shout().args(["--upstream", upstream.url(), "--cache", &redis.url()])
}

/// A command to Redis, by its own client.
async fn ask<T: FromRedisValue>(redis: &Redis, command: &[&str]) -> T {
    let mut ask = ::redis::cmd(command[0]);
    ask.arg(&command[1..]);
    let client = ::redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    ask.query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn replicas_share_what_they_were_asked_and_it_is_forgotten_after_its_time() {
    let Some(redis) = Redis::start().await else { return };
    let upstream = Upstream::start([Act::Well]).await;
    let (one, other) = (service(&upstream, &redis).start().await, service(&upstream, &redis).start().await);
    assert_eq!(one.ready().await.json()["cache"], "redis");
    assert_eq!(shouted(&one, "test").await, "TSET");
    for replica in [&other, &one] {
        let answer = shout(replica, "test").await;
        assert_eq!((&*answer.headers["cache-status"], &answer.json()["data"]), ("shout; hit", &"TSET".into()));
    }
    assert_eq!(upstream.asked().len(), 1);
    let keys: Vec<String> = ask(&redis, &["KEYS", "upbeat:shout:*"]).await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    let ttl: u64 = ask(&redis, &["PTTL", &keys[0]]).await;
    assert!((3_000_000..=3_600_000).contains(&ttl), "{ttl}");

    // Who has another upstream has other answers.
    let elsewhere = Upstream::start([Act::Well]).await;
    assert_eq!(shouted(&service(&elsewhere, &redis).start().await, "test").await, "TSET");
    assert_eq!(elsewhere.asked().len(), 1);
}

#[tokio::test]
async fn what_somebody_else_has_put_there_is_never_an_answer() {
    let Some(redis) = Redis::start().await else { return };
    let upstream = Upstream::start([Act::Well]).await;
    let service = service(&upstream, &redis).start().await;
    shouted(&service, "test").await;
    let [key] = &ask::<Vec<String>>(&redis, &["KEYS", "*"]).await[..] else { panic!("one key") };
    for spoilt in ["TEST", "tset", "", "PWNED"] {
        ask::<()>(&redis, &["SET", key, spoilt]).await;
        assert_eq!(shouted(&service, "test").await, "TSET");
    }
    assert_eq!(metric(&service, "shout_redis_errors_total", &["spoilt"]).await, 4);
    // Not a text at all.
    ask::<()>(&redis, &["DEL", key]).await;
    ask::<()>(&redis, &["LPUSH", key, "TSET"]).await;
    assert_eq!(shouted(&service, "test").await, "TSET");
}

#[tokio::test]
async fn without_redis_texts_are_answered_as_without_a_cache_and_with_it_again_they_are_kept() {
    let Some(mut redis) = Redis::stopped() else { return };
    let upstream = Upstream::start([Act::Well]).await;
    let service = service(&upstream, &redis).start().await;
    // It is not there at the start.
    for n in 0..20 {
        assert_eq!(shouted(&service, "test").await, "TSET", "{n}");
    }
    assert_eq!(upstream.asked().len(), 20);
    let failed = service.wait_events("Redis fails, nothing is cached", 1, SOON).await;
    assert_eq!(failed[0].level(), "WARN");
    assert_eq!(metric(&service, "shout_redis_up", &[]).await, 0);
    assert!(metric(&service, "shout_redis_errors_total", &["get"]).await > 0);
    let ready = service.ready().await;
    assert_eq!((ready.status, &ready.json()["cache"]), (200, &"redis, which fails".into()));

    let kept = async || match shout(&service, "test").await {
        answer if answer.headers["cache-status"] == "shout; hit" => Ok(()),
        answer => Err(format!("{answer:?}")),
    };
    redis.start_again().await;
    eventually("an answer from Redis", SOON, kept).await;
    service.wait_events("Redis answers again", 1, SOON).await;
    assert_eq!(metric(&service, "shout_redis_up", &[]).await, 1);
    assert_eq!(service.ready().await.json()["cache"], "redis");

    // It goes, and comes back empty.
    redis.kill().await;
    for n in 0..20 {
        assert_eq!(shouted(&service, "test").await, "TSET", "{n}");
    }
    service.wait_events("Redis fails, nothing is cached", 2, SOON).await;
    redis.start_again().await;
    eventually("an answer from Redis", SOON, kept).await;
    // A line for each change, and not for each request.
    assert_eq!(service.events("Redis fails, nothing is cached").len(), 2);
}

#[tokio::test]
async fn a_redis_that_hangs_costs_a_moment_and_then_nothing() {
    let Some(redis) = Redis::start().await else { return };
    let upstream = Upstream::start([Act::Well]).await;
    let service = service(&upstream, &redis).start().await;
    shouted(&service, "test").await;
    redis.process().signal(Signal::SIGSTOP);
    let began = Instant::now();
    for n in 0..200 {
        assert_eq!(shouted(&service, &format!("text {n}")).await, format!("{} TXET", reversed(n)));
    }
    // Each would cost a second and there are 200.
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(metric(&service, "shout_redis_errors_total", &[]).await < 100);
    redis.process().signal(Signal::SIGCONT);
    eventually("an answer from Redis", SOON, async || match shout(&service, "test").await {
        answer if answer.headers["cache-status"] == "shout; hit" => Ok(()),
        answer => Err(format!("{answer:?}")),
    })
    .await;
}

fn reversed(n: usize) -> String {
    n.to_string().chars().rev().collect()
}
