//! Crashes at any write, with torn tails, beside a topic that fails as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use tokio::time::sleep;
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Description, Fault, Message, Producer, SendError};

use super::{Disk, LIMIT, ms, secs};

const SEEDS: u64 = 60;

fn faults(random: &mut fastrand::Rng) -> Faults {
    let fault = |random: &mut fastrand::Rng| {
        if random.bool() { Fault::busy("too much") } else { Fault::unavailable("not there") }
    };
    let faults = match random.u8(..8) {
        0 => Faults::call(fault(random)),
        1 => Faults::lost_answer(Fault::unavailable("lost")),
        2 => {
            let hit: Vec<_> = (0..10).filter(|_| random.bool()).collect();
            Faults::entries(hit.into_iter().map(|position| (position, fault(random))).collect::<Vec<_>>())
        }
        _ => Faults::default(),
    };
    faults.after(ms(random.u64(..200)))
}

/// Senders that each send their own numbers in order, one group each. Gives back what was accepted, by group.
async fn send(producer: &Producer, life: u32, random: &mut fastrand::Rng) -> Vec<(u8, String)> {
    let accepted = Arc::<Mutex<Vec<(u8, String)>>>::default();
    let senders: Vec<_> = (0..random.u8(1..5))
        .map(|group| {
            let (producer, accepted, mut random) = (producer.clone(), Arc::clone(&accepted), random.fork());
            async move {
                for number in 0..random.u32(..60) {
                    let body = format!("{life}-{group}-{number} {}", "x".repeat(random.usize(..3000)));
                    let message = Message::new(body.as_str()).group_id(group.to_string());
                    match producer.send(message).await {
                        Ok(_) => accepted.lock().unwrap().push((group, body)),
                        Err(SendError::NotSpooled { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    sleep(ms(random.u64(..20))).await;
                }
            }
        })
        .collect();
    futures_util::future::join_all(senders).await;
    let accepted = accepted.lock().unwrap();
    accepted.clone()
}

async fn run(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let description =
        if random.bool() { Description::fifo("messages.fifo") } else { Description::standard("messages") };
    let of_topic = Mutex::new(random.fork());
    let topic = Memory::new(description.clone()).faults(move |_| faults(&mut of_topic.lock().unwrap()));
    let (mut disk, mut accepted) = (Disk::default(), Vec::new());
    for life in 0..random.u32(1..5) {
        let capacity = random.bool().then(|| disk.used() + random.usize(..1_000_000));
        let Ok(spool) = disk.spool(LIMIT) else {
            // Too full to be opened: somebody makes room.
            disk.set_capacity(None);
            continue;
        };
        disk.set_capacity(capacity);
        if random.u8(..4) > 0 {
            disk.die_after(random.u64(1..2000));
        }
        let buffer = random.u32(10_000..1_000_000);
        let producer = Producer::builder(topic.clone()).buffer(buffer).spool(spool).build();
        accepted.extend(send(&producer, life, &mut random).await);
        sleep(ms(random.u64(..5000))).await;
        if !disk.is_dead() && random.bool() {
            producer.close(ms(random.u64(..5000))).await;
        }
        let found = disk.crash(&mut random);
        // What is still under way in this process writes to the disk that is gone.
        disk.die_after(1);
        disk.set_failing(true);
        producer.close(ms(0)).await;
        disk = found;
    }
    disk.set_capacity(None);
    // An outage at the end leaves the rest to yet another life.
    let mut left = 1;
    while left > 0 {
        let producer = Producer::builder(topic.clone()).spool(disk.spool(LIMIT).unwrap()).build();
        sleep(secs(600)).await;
        left = producer.close(secs(1)).await.spooled;
    }

    let arrived = topic.bodies();
    let known: BTreeSet<_> = arrived.iter().collect();
    let lost: Vec<_> = accepted.iter().filter(|(_, body)| !known.contains(body)).collect();
    assert!(lost.is_empty(), "seed {seed}: {} of {} lost: {lost:?}", lost.len(), accepted.len());
    if description.fifo {
        in_order(seed, &accepted, &arrived);
    }
}

/// Of each group, what was accepted first arrived first; repetitions come later and do not count.
fn in_order(seed: u64, accepted: &[(u8, String)], arrived: &[String]) {
    let mut first_at = BTreeMap::new();
    for (at, body) in arrived.iter().enumerate() {
        first_at.entry(body).or_insert(at);
    }
    for group in 0..5 {
        let of_group: Vec<_> = accepted.iter().filter(|(of, _)| *of == group).map(|(_, body)| first_at[body]).collect();
        assert!(of_group.is_sorted(), "seed {seed}: group {group} is out of order: {of_group:?}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_groups_keep_their_order_whatever_the_disk_and_the_topic_do() {
    let number = |variable| std::env::var(variable).ok().and_then(|number: String| number.parse::<u64>().ok());
    let seeds = match number("UPBEAT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("UPBEAT_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            fastrand::seed(seed);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(run(seed));
        }));
        assert!(ran.is_ok(), "UPBEAT_SEED={seed} replays this");
    }
}
