//! Any sequence of requests has the outcome that a plain list of messages, searched from its start each time, has.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::advance;

use super::super::super::{Batch, Queue, ReceiptHandle, Receive};
use super::super::{MemoryQueue, NewMessage};

const MAX_RECEIVES: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    Send {
        group: u8,
        delay: u64,
    },
    Receive {
        max: usize,
        lease: u64,
    },
    /// Of the n-th delivery so far, counted from the latest.
    Delete {
        delivery: usize,
    },
    Change {
        delivery: usize,
        timeout: u64,
    },
    Wait {
        seconds: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_u8, 0..3_u64).prop_map(|(group, delay)| Step::Send { group, delay }),
        4 => (1..=10_usize, 0..5_u64).prop_map(|(max, lease)| Step::Receive { max, lease }),
        3 => (0..8_usize).prop_map(|delivery| Step::Delete { delivery }),
        3 => (0..8_usize, 0..5_u64).prop_map(|(delivery, timeout)| Step::Change { delivery, timeout }),
        3 => (0..4_u64).prop_map(|seconds| Step::Wait { seconds }),
    ];
    vec(step, 1..60)
}

/// The list, in the order of sending.
#[derive(Default)]
struct Model {
    fifo: bool,
    now: u64,
    messages: Vec<Listed>,
    dead: Vec<usize>,
}

#[derive(Clone)]
struct Listed {
    number: usize,
    group: u8,
    receive_count: u32,
    hidden_until: u64,
    /// When it was last received, and as which delivery.
    received: Option<(u64, ReceiptHandle)>,
}

impl Model {
    fn is_visible(&self, message: &Listed) -> bool {
        message.hidden_until <= self.now
    }

    fn is_in_flight(&self, message: &Listed) -> bool {
        !self.is_visible(message) && message.received.is_some()
    }

    /// The numbers of the messages that a receive may choose from, the first ones first.
    fn candidates(&self) -> Vec<usize> {
        let visible = self.messages.iter().filter(|message| self.is_visible(message));
        if !self.fifo {
            return visible.map(|message| message.number).collect();
        }
        let blocked = |group| self.messages.iter().any(|message| message.group == group && self.is_in_flight(message));
        let free: Vec<_> = visible.filter(|message| !blocked(message.group)).collect();
        let first_of = |group| free.iter().position(|message| message.group == group);
        let mut by_group = free.clone();
        by_group.sort_by_key(|message| first_of(message.group));
        by_group.iter().map(|message| message.number).collect()
    }

    /// Number and receive count of what comes; what was received too often goes.
    fn receive(&mut self, max: usize) -> Vec<(usize, u32)> {
        let mut received = Vec::new();
        for number in self.candidates() {
            if received.len() == max {
                break;
            }
            let position = self.position(number).unwrap();
            if self.messages[position].receive_count == MAX_RECEIVES {
                self.dead.push(self.messages.remove(position).number);
            } else {
                self.messages[position].receive_count += 1;
                received.push((number, self.messages[position].receive_count));
            }
        }
        received
    }

    fn position(&self, number: usize) -> Option<usize> {
        self.messages.iter().position(|message| message.number == number)
    }

    /// The message of which this is the latest delivery.
    fn holder(&self, receipt: &ReceiptHandle) -> Option<usize> {
        self.messages.iter().position(|message| message.received.as_ref().is_some_and(|(_, latest)| latest == receipt))
    }

    fn delete(&mut self, number: usize, receipt: &ReceiptHandle) -> bool {
        let holder = self.holder(receipt);
        if self.fifo && self.position(number).is_some() && holder.is_none_or(|at| self.is_visible(&self.messages[at])) {
            return false;
        }
        if let Some(position) = holder {
            self.messages.remove(position);
        }
        true
    }

    fn change(&mut self, receipt: &ReceiptHandle, timeout: u64) -> bool {
        let Some(position) = self.holder(receipt).filter(|at| self.is_in_flight(&self.messages[*at])) else {
            return false;
        };
        self.messages[position].hidden_until = self.now + timeout;
        true
    }
}

async fn run(fifo: bool, steps: Vec<Step>) {
    let suffix = if fifo { ".fifo" } else { "" };
    let dead = MemoryQueue::new(format!("dead{suffix}"));
    let queue = MemoryQueue::builder(format!("q{suffix}")).dead_letter_queue(&dead, MAX_RECEIVES).build();
    let mut model = Model { fifo, ..Model::default() };
    let mut sent = 0;
    let mut deliveries: Vec<(usize, ReceiptHandle)> = Vec::new();
    for step in steps {
        match step {
            Step::Send { group, delay } => {
                let delay = if fifo { 0 } else { delay };
                let message = NewMessage::new(sent.to_string()).group(group.to_string());
                queue.send(message.delay(Duration::from_secs(delay))).unwrap();
                let hidden_until = model.now + delay;
                model.messages.push(Listed { number: sent, group, receive_count: 0, hidden_until, received: None });
                sent += 1;
            }
            Step::Receive { max, lease } => {
                let lease_time = Duration::from_secs(lease);
                let receive = Receive { max, wait: Duration::ZERO, lease: lease_time, attempt_id: None };
                let received = queue.receive(receive).await.unwrap();
                let numbers: Vec<(usize, u32)> =
                    received.iter().map(|r| (r.payload.body().parse().unwrap(), r.delivery.receive_count)).collect();
                assert_eq!(numbers, model.receive(max));
                for (received, (number, _)) in received.into_iter().zip(numbers) {
                    let receipt = received.delivery.receipt;
                    let position = model.position(number).unwrap();
                    model.messages[position].received = Some((model.now, receipt.clone()));
                    model.messages[position].hidden_until = model.now + lease;
                    deliveries.push((number, receipt));
                }
            }
            Step::Delete { delivery } => {
                let Some((number, receipt)) = deliveries.iter().rev().nth(delivery) else { continue };
                let result = queue.delete(Batch::from_iter([receipt.clone()])).await.unwrap();
                assert_eq!(result[0].is_ok(), model.delete(*number, receipt));
            }
            Step::Change { delivery, timeout } => {
                let Some((_, receipt)) = deliveries.iter().rev().nth(delivery) else { continue };
                let entry = (receipt.clone(), Duration::from_secs(timeout));
                let result = queue.change_visibility(Batch::from_iter([entry])).await.unwrap();
                assert_eq!(result[0].is_ok(), model.change(receipt, timeout));
            }
            Step::Wait { seconds } => {
                advance(Duration::from_secs(seconds)).await;
                model.now += seconds;
            }
        }
        let counts = queue.counts();
        let visible = model.messages.iter().filter(|message| model.is_visible(message)).count();
        let in_flight = model.messages.iter().filter(|message| model.is_in_flight(message)).count();
        assert_eq!((counts.visible, counts.in_flight), (visible, in_flight));
        assert_eq!(counts.delayed, model.messages.len() - visible - in_flight);
        let dead_numbers: Vec<_> = model.dead.iter().map(ToString::to_string).collect();
        assert_eq!(dead.bodies(), dead_numbers);
        let gone = sent - queue.messages().len() - dead.messages().len();
        assert_eq!(queue.deleted(), u64::try_from(gone).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_does_what_a_plain_list_would(fifo: bool, steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(fifo, steps));
    }
}
