//! The messages of an in-memory queue and when each can be received.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::super::{Delivery, EntryError, MAX_VISIBILITY, ReceiptHandle, Received};
use super::new_message::NewMessage;
use super::recent::Recent;
use super::shelf::Shelf;
use super::stored::{AbandonedPoll, State, Stored, Taking};
use crate::message::Payload;

/// All state, changed only by its methods; each first catches up with the time it is told.
#[derive(Debug)]
pub(super) struct Store {
    name: String,
    fifo: bool,
    max_receive_count: Option<u32>,
    messages: BTreeMap<u64, Stored>,
    shelf: Shelf,
    /// In flight or delayed, by when that ends.
    hidden: BTreeSet<(Instant, u64)>,
    /// The message first sent with each deduplication id.
    sent_ids: Recent<Arc<str>>,
    /// Message and delivery numbers of what each receive attempt brought.
    attempts: Recent<Vec<(u64, u64)>>,
    abandoned: Vec<AbandonedPoll>,
    /// Received too often, to be put into the dead-letter queue by who holds it.
    pub(super) redriven: Vec<Stored>,
    next_sequence: u64,
    next_delivery: u64,
    pub(super) deleted: u64,
    started: (Instant, SystemTime),
}

impl Store {
    pub(super) fn new(
        name: String,
        fifo: bool,
        max_receive_count: Option<u32>,
        started: (Instant, SystemTime),
    ) -> Self {
        Self {
            name,
            fifo,
            max_receive_count,
            messages: BTreeMap::new(),
            shelf: Shelf::new(fifo),
            hidden: BTreeSet::new(),
            sent_ids: Recent::default(),
            attempts: Recent::default(),
            abandoned: Vec::new(),
            redriven: Vec::new(),
            next_sequence: 1,
            next_delivery: 1,
            deleted: 0,
            started,
        }
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &Stored> {
        self.messages.values()
    }

    pub(super) fn has_visible(&self) -> bool {
        self.shelf.has_any()
    }

    /// When the next hidden message becomes visible.
    pub(super) fn next_change(&self) -> Option<Instant> {
        self.hidden.first().map(|(at, _)| *at)
    }

    /// Makes visible what is due, in the order in which it was due.
    pub(super) fn catch_up(&mut self, now: Instant, random: &mut fastrand::Rng) {
        while let Some((at, sequence)) = self.hidden.first().copied().filter(|(at, _)| *at <= now) {
            self.hidden.pop_first();
            if let Some(message) = self.messages.get_mut(&sequence) {
                let was_in_flight = matches!(message.state, State::InFlight { .. });
                message.state = State::Visible;
                self.shelf.show(sequence, message.group.as_ref(), was_in_flight);
            }
            self.serve_abandoned(at, random);
        }
        self.serve_abandoned(now, random);
    }

    /// The id of the message, or of the one it repeats. `checked` by [`NewMessage::check`].
    pub(super) fn send(&mut self, mut checked: NewMessage, id: Arc<str>, now: Instant) -> Arc<str> {
        if let Some(deduplication_id) = checked.deduplication_id.take() {
            if let Some(known) = self.sent_ids.get(&deduplication_id, now) {
                return known.clone();
            }
            self.sent_ids.insert(deduplication_id, id.clone(), now);
        }
        let state =
            if checked.delay.is_zero() { State::Visible } else { State::Delayed { until: now + checked.delay } };
        self.put(Stored {
            message_id: id.clone(),
            attributes: checked.take_attributes(),
            body: checked.body,
            group: checked.group,
            receive_count: 0,
            state,
            sent_at: self.wall_clock(now),
            first_received_at: None,
            delivery: 0,
            touched: false,
        });
        id
    }

    /// Takes a message over from a queue whose dead-letter queue this is, with its id, times and receive count.
    pub(super) fn adopt(&mut self, message: Stored) {
        self.put(Stored { state: State::Visible, delivery: 0, ..message });
    }

    fn put(&mut self, message: Stored) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        match message.state {
            State::Visible => self.shelf.show(sequence, message.group.as_ref(), false),
            State::Delayed { until } | State::InFlight { until, .. } => {
                self.hidden.insert((until, sequence));
            }
        }
        self.messages.insert(sequence, message);
    }

    /// Hands out what is visible, as much as is asked for.
    pub(super) fn receive(&mut self, taking: &Taking, now: Instant, random: &mut fastrand::Rng) -> Vec<Received> {
        if let Some(replayed) = self.replay(taking, now) {
            return replayed;
        }
        let mut taken = Vec::new();
        let mut group = None;
        while taken.len() < taking.max {
            let Some(sequence) = self.shelf.take(&mut group, taking.reorder.then_some(&mut *random)) else { break };
            if self.is_exhausted(sequence) {
                self.redrive(sequence);
            } else {
                taken.push(sequence);
            }
        }
        if taking.duplicate && taken.len() < taking.max {
            taken.extend(self.find_duplicate(random));
        }
        let received = taken.iter().filter_map(|sequence| self.deliver(*sequence, taking.lease, now)).collect();
        if let Some(attempt_id) = taking.attempt_id.clone().filter(|_| self.fifo && !taken.is_empty()) {
            let deliveries =
                taken.iter().filter_map(|sequence| Some((*sequence, self.messages.get(sequence)?.delivery)));
            self.attempts.insert(attempt_id, deliveries.collect(), now);
        }
        received
    }

    /// What an earlier receive of the same attempt id brought, if none of it was touched since.
    fn replay(&mut self, taking: &Taking, now: Instant) -> Option<Vec<Received>> {
        let deliveries = self.attempts.get(taking.attempt_id.as_deref().filter(|_| self.fifo)?, now)?.clone();
        let untouched = deliveries.iter().all(|(sequence, delivery)| {
            let message = self.messages.get(sequence).filter(|message| message.delivery == *delivery);
            message.is_some_and(|message| !message.touched && matches!(message.state, State::InFlight { .. }))
        });
        untouched.then(|| {
            let replayed = deliveries.iter().filter_map(|(sequence, _)| {
                let since = self.in_flight_since(*sequence)?;
                self.hide(*sequence, since, now + taking.lease);
                self.received(*sequence)
            });
            replayed.collect()
        })
    }

    fn deliver(&mut self, sequence: u64, lease: Duration, now: Instant) -> Option<Received> {
        let first_received_at = self.wall_clock(now);
        let message = self.messages.get_mut(&sequence)?;
        message.receive_count += 1;
        message.first_received_at.get_or_insert(first_received_at);
        message.delivery = self.next_delivery;
        message.touched = false;
        self.next_delivery += 1;
        self.hide(sequence, now, now + lease);
        self.received(sequence)
    }

    /// Lets a message be in flight until then; a lease of nothing ends at the next look at the clock.
    fn hide(&mut self, sequence: u64, since: Instant, until: Instant) {
        let Some(message) = self.messages.get_mut(&sequence) else { return };
        if let State::InFlight { until: earlier, .. } = message.state {
            self.hidden.remove(&(earlier, sequence));
        }
        message.state = State::InFlight { since, until };
        self.hidden.insert((until, sequence));
    }

    fn received(&self, sequence: u64) -> Option<Received> {
        let message = self.messages.get(&sequence)?;
        let delivery = Delivery {
            message_id: message.message_id.clone(),
            receipt: ReceiptHandle(format!("{}/{sequence}/{}", self.name, message.delivery)),
            receive_count: message.receive_count,
            group: message.group.clone(),
            sent_at: Some(message.sent_at),
            first_received_at: message.first_received_at,
        };
        Some(Received { delivery, payload: Payload::new(message.body.clone(), message.attributes.clone()) })
    }

    /// Removes a message, or does nothing where SQS would answer success all the same.
    /// A delete that is `forgotten` is answered and not done, unless the queue is FIFO.
    pub(super) fn delete(&mut self, receipt: &ReceiptHandle, forgotten: bool) -> Result<(), EntryError> {
        let (sequence, delivery) = self.read(receipt)?;
        let Some(message) = self.messages.get(&sequence) else { return Ok(()) };
        let in_flight = matches!(message.state, State::InFlight { .. });
        let latest = message.delivery == delivery;
        if self.fifo && !(latest && in_flight) {
            return Err(refused("InvalidParameterValue: the receipt handle has expired"));
        }
        if latest && (self.fifo || !forgotten) {
            self.remove(sequence);
            self.deleted += 1;
        }
        Ok(())
    }

    pub(super) fn change_visibility(
        &mut self,
        receipt: &ReceiptHandle,
        timeout: Duration,
        now: Instant,
    ) -> Result<(), EntryError> {
        let (sequence, delivery) = self.read(receipt)?;
        let latest = self.messages.get(&sequence).is_some_and(|message| message.delivery == delivery);
        let Some(since) = self.in_flight_since(sequence).filter(|_| latest) else {
            return Err(refused("MessageNotInflight: the message is not in flight under this receipt handle"));
        };
        if now + timeout > since + MAX_VISIBILITY {
            return Err(refused("InvalidParameterValue: more than 12 hours since the message was received"));
        }
        self.hide(sequence, since, now + timeout);
        if let Some(message) = self.messages.get_mut(&sequence) {
            message.touched = true;
        }
        Ok(())
    }

    /// Lets a poll go on whose caller has gone.
    pub(super) fn abandon(&mut self, poll: AbandonedPoll) {
        self.abandoned.push(poll);
    }

    fn serve_abandoned(&mut self, now: Instant, random: &mut fastrand::Rng) {
        if self.abandoned.is_empty() {
            return;
        }
        self.abandoned.retain(|poll| poll.until > now);
        while self.shelf.has_any() && !self.abandoned.is_empty() {
            let poll = self.abandoned.remove(0);
            // Nobody reads it.
            let _lost = self.receive(&poll.taking, now, random);
        }
    }

    /// Whether the next receive would be one too many.
    fn is_exhausted(&self, sequence: u64) -> bool {
        let count = self.messages.get(&sequence).map(|message| message.receive_count);
        count.zip(self.max_receive_count).is_some_and(|(count, max)| count >= max)
    }

    fn redrive(&mut self, sequence: u64) {
        if let Some(message) = self.messages.remove(&sequence) {
            self.shelf.remove(sequence, message.group.as_ref(), true);
            self.redriven.push(message);
        }
    }

    fn remove(&mut self, sequence: u64) {
        let Some(message) = self.messages.remove(&sequence) else { return };
        let in_flight = matches!(message.state, State::InFlight { .. });
        if let State::InFlight { until, .. } | State::Delayed { until } = message.state {
            self.hidden.remove(&(until, sequence));
        }
        self.shelf.remove(sequence, message.group.as_ref(), in_flight);
    }

    /// A message in flight, as another of SQS's servers might hand it out once more.
    fn find_duplicate(&self, random: &mut fastrand::Rng) -> Option<u64> {
        let in_flight = self.hidden.iter().map(|(_, sequence)| *sequence).filter(|sequence| {
            self.in_flight_since(*sequence).is_some() && !self.is_exhausted(*sequence) && !self.fifo
        });
        let candidates: Vec<_> = in_flight.take(100).collect();
        random.choice(candidates)
    }

    fn in_flight_since(&self, sequence: u64) -> Option<Instant> {
        match self.messages.get(&sequence)?.state {
            State::InFlight { since, .. } => Some(since),
            State::Visible | State::Delayed { .. } => None,
        }
    }

    /// Which message and which delivery of it a receipt handle stands for.
    fn read(&self, receipt: &ReceiptHandle) -> Result<(u64, u64), EntryError> {
        let mut parts = receipt.0.rsplitn(3, '/');
        let (delivery, sequence, name) = (parts.next(), parts.next(), parts.next());
        let numbers = sequence.and_then(|n| n.parse::<u64>().ok()).zip(delivery.and_then(|n| n.parse::<u64>().ok()));
        numbers
            .filter(|(sequence, delivery)| {
                name == Some(self.name.as_str()) && *sequence < self.next_sequence && *delivery < self.next_delivery
            })
            .ok_or_else(|| refused("ReceiptHandleIsInvalid: not a receipt handle of this queue"))
    }

    fn wall_clock(&self, now: Instant) -> SystemTime {
        self.started.1 + now.saturating_duration_since(self.started.0)
    }
}

fn refused(reason: &str) -> EntryError {
    EntryError { sender_fault: true, reason: reason.to_owned() }
}
