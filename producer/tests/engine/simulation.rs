//! Anything may fail at any time: every message is settled as it should be, and to the message.

use std::sync::Mutex;

use tokio::time::sleep;
use upbeat_producer::memory::{Faults, Memory};
use upbeat_producer::{Description, Fault, Message, Producer, SendError, Summary};

use super::{ms, secs};

fn faults(random: &mut fastrand::Rng) -> Faults {
    let fault = |random: &mut fastrand::Rng| match random.u8(..3) {
        0 => Fault::refused("not acceptable"),
        1 => Fault::busy("too much"),
        _ => Fault::unavailable("not there"),
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
    faults.after(ms(if random.u8(..50) == 0 { 60_000 } else { random.u64(..200) }))
}

#[tokio::test(start_paused = true)]
async fn every_message_is_published_or_its_caller_told_otherwise_whatever_fails() {
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let description =
            if random.bool() { Description::fifo("messages.fifo") } else { Description::standard("messages") };
        let of_topic = Mutex::new(random.fork());
        let topic = Memory::new(description).faults(move |_| faults(&mut of_topic.lock().unwrap()));
        let producer = Producer::builder(topic.clone())
            .max_in_flight(random.usize(1..8))
            .buffer(random.u32(1..200_000))
            .group_batch(random.usize(1..=10))
            .retry_for(random.bool().then(|| ms(random.u64(..20_000))))
            .default_group("all")
            .build();
        let (mut tickets, mut expected) = (Vec::new(), Summary::default());
        for number in 0..random.u32(..300) {
            let mut message = Message::new(number.to_string());
            if random.bool() {
                message = message.group_id(random.u8(..5).to_string());
            }
            match producer.try_enqueue(message) {
                Ok(ticket) => tickets.push((number, ticket)),
                Err(error) => assert_eq!(error, SendError::Full),
            }
            sleep(ms(random.u64(..5))).await;
        }
        let summary = producer.close(ms(random.u64(..60_000))).await;
        let arrived = topic.bodies();
        for (number, mut ticket) in tickets {
            match ticket.outcome_so_far().expect("every message is settled by the close") {
                Ok(_) => {
                    expected.published += 1;
                    assert!(arrived.contains(&number.to_string()), "seed {seed}: {number} was lost");
                }
                Err(SendError::Refused(_)) => expected.refused += 1,
                Err(SendError::Unpublished { .. }) => expected.failed += 1,
                Err(SendError::Abandoned) => expected.abandoned += 1,
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        assert_eq!(summary, expected, "seed {seed}");
        sleep(secs(1)).await;
        assert_eq!(topic.bodies(), arrived, "seed {seed}: nothing is published after the close");
    }
}
