//! A message every so often: the demo, and a sign of life.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};
use upbeat_service::Service;

use super::Heart;
use crate::entry::Id;
use crate::message::Message;
use crate::producer::{Producer, Ticket};

/// How many messages may be on their way. In an outage the interval skips, rather than that old signs of life pile up.
const MAX_UNDER_WAY: usize = 10;

/// What such a message says.
#[derive(Debug, Serialize)]
struct Tick<'a> {
    sequence: u64,
    id: &'a str,
    time: String,
}

/// Publishes a message every `period` until the service is to stop.
pub(crate) async fn publish(producer: &Producer, period: Duration, service: &Service) {
    let mut heart = Heart::new(&service.health, "interval");
    tokio::select! {
        () = service.stop.cancelled() => {}
        () = publish_for_ever(producer, period) => {}
        _ = heart.beat() => {}
    }
    heart.stop();
}

async fn publish_for_ever(producer: &Producer, period: Duration) {
    let mut period = interval(period);
    period.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = VecDeque::<Ticket>::new();
    let mut skipped = 0_u64;
    for sequence in 1.. {
        loop {
            period.tick().await;
            // The publish loop logs what became of each.
            under_way.retain_mut(|ticket| ticket.outcome_so_far().is_none());
            if under_way.len() < MAX_UNDER_WAY {
                break;
            }
            if skipped == 0 {
                warn!(under_way = under_way.len(), "interval skips while earlier messages are not published");
            }
            skipped += 1;
        }
        if skipped > 0 {
            info!(skipped, "interval goes on");
            skipped = 0;
        }
        match producer.try_enqueue(message(sequence)) {
            // With a spool an outage is survived, so nothing is skipped but for want of room there.
            Ok(_) if producer.has_spool() => {}
            Ok(ticket) => under_way.push_back(ticket),
            Err(error) => warn!(sequence, %error, "not published"),
        }
    }
}

fn message(sequence: u64) -> Message {
    let id = Id::default().to_string();
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let body = serde_json::to_string(&Tick { sequence, id: &id, time });
    // A number and two strings always make JSON.
    Message::new(body.unwrap_or_default()).id(id)
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::memory::{Faults, Memory};
    use crate::publisher::Fault;

    async fn run(topic: &Memory, period: Duration, for_so_long: Duration) -> Vec<serde_json::Value> {
        let producer = Producer::builder(topic.clone()).retry_for(None).build();
        let service = Service::default();
        let (start, stop) = (Instant::now(), service.stop.clone());
        tokio::join!(publish(&producer, period, &service), async {
            while start.elapsed() < for_so_long {
                sleep(Duration::from_millis(500)).await;
                assert_eq!(service.health.check(), Ok(()));
            }
            stop.cancel();
        });
        producer.close(Duration::from_secs(30)).await;
        topic.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_goes_out_at_once_and_then_every_period_with_its_number_its_id_and_the_time() {
        let topic = Memory::standard("messages");
        let messages = run(&topic, Duration::from_secs(2), Duration::from_secs(9)).await;
        let numbers: Vec<_> = messages.iter().map(|message| message["sequence"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        for (message, stored) in messages.iter().zip(topic.published()) {
            assert_eq!(message["id"], stored.entry.id().to_string());
            assert!(chrono::DateTime::parse_from_rfc3339(message["time"].as_str().unwrap()).is_ok());
        }
        assert!(topic.bodies()[0].starts_with(r#"{"sequence":1,"id":""#), "{}", topic.bodies()[0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_period_does_not_fail_liveness() {
        let topic = Memory::standard("messages");
        assert_eq!(run(&topic, Duration::from_hours(1), Duration::from_mins(5)).await.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn in_an_outage_a_few_messages_wait_and_the_rest_is_skipped() {
        let start = Instant::now();
        let topic = Memory::standard("messages").faults(move |_| {
            let down = start.elapsed() < Duration::from_mins(10);
            if down { Faults::call(Fault::unavailable("down")) } else { Faults::default() }
        });
        let messages = run(&topic, Duration::from_secs(1), Duration::from_mins(11)).await;
        let numbers: Vec<_> = messages.iter().map(|message| message["sequence"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "no number is left out");
        assert!(
            (40..=75).contains(&numbers.len()),
            "ten of the outage and one each second after it: {}",
            numbers.len()
        );
    }
}
