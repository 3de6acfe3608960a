//! Requests to an in-memory queue, with all that can happen to them.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::super::{
    Batch, DeadLetter, EntryError, EntryResults, ErrorKind, MAX_BATCH, MAX_VISIBILITY, MAX_WAIT, Queue, QueueDepth,
    QueueError, QueueInfo, ReceiptHandle, Receive, Received, Redrive, letter,
};
use super::faults::{Fate, Outcome};
use super::stored::{AbandonedPoll, Taking};
use super::{MemoryQueue, NewMessage, Requests, State};

impl Queue for MemoryQueue {
    async fn info(&self) -> Result<QueueInfo, QueueError> {
        let setup = &self.0.setup;
        let redrive = setup
            .redrive
            .as_ref()
            .map(|(queue, max)| Redrive { dead_letter_queue: queue.0.setup.name.clone(), max_receive_count: *max });
        let info = QueueInfo {
            name: setup.name.clone(),
            fifo: setup.is_fifo(),
            visibility_timeout: setup.visibility_timeout,
            redrive,
        };
        self.request(|requests| &mut requests.info, |_, _| Ok(info)).await
    }

    async fn depth(&self) -> Result<Option<QueueDepth>, QueueError> {
        let counts = self.counts();
        let dead_letters =
            self.dead_letter_queue().map(Self::counts).map(|counts| counts.visible + counts.in_flight + counts.delayed);
        Ok(Some(QueueDepth {
            visible: counts.visible as u64,
            in_flight: counts.in_flight as u64,
            delayed: counts.delayed as u64,
            dead_letters: dead_letters.map(|count| count as u64),
        }))
    }

    async fn receive(&self, receive: Receive) -> Result<Vec<Received>, QueueError> {
        let fate = self.begin(|requests| &mut requests.receive).await?;
        check(&receive)?;
        let received = self.poll(receive).await?;
        fate.end(received).await
    }

    async fn delete(&self, receipts: Batch<ReceiptHandle>) -> Result<EntryResults, QueueError> {
        self.request(
            |requests| &mut requests.delete,
            |state, _| state.each_entry(receipts, |state, receipt| state.delete(&receipt)),
        )
        .await
    }

    async fn change_visibility(&self, entries: Batch<(ReceiptHandle, Duration)>) -> Result<EntryResults, QueueError> {
        self.request(
            |requests| &mut requests.change_visibility,
            |state, now| {
                entries.iter().try_for_each(|(_, timeout)| check_seconds(*timeout, MAX_VISIBILITY))?;
                state.each_entry(entries, |state, (receipt, timeout)| {
                    state.store.change_visibility(&receipt, timeout, now)
                })
            },
        )
        .await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), QueueError> {
        self.request(
            |requests| &mut requests.dead_letter,
            |_, _| {
                let missing = || QueueError::new(ErrorKind::NotFound, "the queue has no redrive policy");
                let queue = self.dead_letter_queue().ok_or_else(missing)?;
                queue.send(copy_of(letter, queue.0.setup.is_fifo())).map(drop)
            },
        )
        .await
    }
}

impl MemoryQueue {
    /// A request that is carried out at one moment.
    async fn request<T>(
        &self,
        counter: fn(&mut Requests) -> &mut u64,
        carry_out: impl FnOnce(&mut State, Instant) -> Result<T, QueueError> + Send,
    ) -> Result<T, QueueError>
    where
        T: Send,
    {
        let fate = self.begin(counter).await?;
        let result = self.with(|state, now| state.faults.check_up().and_then(|()| carry_out(state, now)));
        fate.end(result?).await
    }

    /// Counts a request and lets it travel to the queue, if it gets there.
    async fn begin(&self, counter: fn(&mut Requests) -> &mut u64) -> Result<Fate, QueueError> {
        let fate = self.with(|state, _| {
            *counter(&mut state.requests) += 1;
            state.faults.decide(&mut state.random)
        });
        travel(fate.half_latency).await;
        match fate.outcome {
            Outcome::Refused(error) => {
                travel(fate.half_latency).await;
                Err(error)
            }
            Outcome::RequestLost => pending().await,
            Outcome::Answered | Outcome::AnswerLate | Outcome::AnswerLost => Ok(fate),
        }
    }

    async fn poll(&self, receive: Receive) -> Result<Vec<Received>, QueueError> {
        let until = Instant::now() + receive.wait;
        let mut poll = OpenPoll::new(self, receive, until);
        loop {
            // Made before the look, so that a change in between is not missed.
            let changed = self.0.changed.notified();
            let (received, next_change) = self.with(|state, now| {
                state.faults.check_up()?;
                let received = state.store.receive(&poll.taking, now, &mut state.random);
                Ok::<_, QueueError>((received, state.store.next_change()))
            })?;
            if !received.is_empty() || Instant::now() >= until {
                poll.answered = true;
                return Ok(received);
            }
            // Either way it is time for another look.
            let _ = timeout_at(next_change.map_or(until, |at| at.min(until)), changed).await;
        }
    }
}

/// A receive that waits at the queue; a queue may not notice at once that its caller has gone.
struct OpenPoll<'a> {
    queue: &'a MemoryQueue,
    taking: Taking,
    until: Instant,
    answered: bool,
}

impl<'a> OpenPoll<'a> {
    fn new(queue: &'a MemoryQueue, receive: Receive, until: Instant) -> Self {
        let Receive { max, wait, lease, attempt_id } = receive;
        let taking = queue.with(|state, _| {
            state.requests.open_polls += 1;
            let State { faults, random, .. } = state;
            let [few, reorder, duplicate] =
                [faults.few, faults.reordering, faults.duplicates].map(|chance| random.f64() < chance);
            let fewer = random.usize(usize::from(!wait.is_zero())..=max);
            Taking { max: if few { fewer } else { max }, lease, attempt_id, reorder, duplicate }
        });
        Self { queue, taking, until, answered: false }
    }
}

impl Drop for OpenPoll<'_> {
    fn drop(&mut self) {
        self.queue.with(|state, _| {
            state.requests.open_polls -= 1;
            if !self.answered && state.faults.down.is_none() && state.random.f64() < state.faults.abandoned_polls {
                let poll = AbandonedPoll { until: self.until, taking: self.taking.clone() };
                state.store.abandon(poll);
            }
        });
        // It may have been the one that knew of the next change.
        self.queue.0.changed.notify_one();
    }
}

impl Fate {
    /// Lets the answer travel back, if it gets there.
    async fn end<T>(self, answer: T) -> Result<T, QueueError> {
        travel(self.half_latency).await;
        match self.outcome {
            Outcome::Answered => Ok(answer),
            Outcome::AnswerLate => Err(QueueError::new(ErrorKind::Timeout, "no answer in time")),
            Outcome::Refused(_) | Outcome::RequestLost | Outcome::AnswerLost => pending().await,
        }
    }
}

impl State {
    fn each_entry<T>(
        &mut self,
        entries: Batch<T>,
        mut carry_out: impl FnMut(&mut Self, T) -> Result<(), EntryError>,
    ) -> Result<EntryResults, QueueError> {
        if entries.is_empty() {
            return Err(QueueError::new(ErrorKind::Invalid, "EmptyBatchRequest: the batch is empty"));
        }
        let results = entries.into_iter().map(|entry| {
            if self.random.f64() < self.faults.failed_entries {
                return Err(EntryError { sender_fault: false, reason: "InternalError: the entry failed".to_owned() });
            }
            carry_out(self, entry)
        });
        Ok(results.collect())
    }

    fn delete(&mut self, receipt: &ReceiptHandle) -> Result<(), EntryError> {
        let forgotten = self.random.f64() < self.faults.forgotten_deletes;
        self.store.delete(receipt, forgotten)
    }
}

async fn travel(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

fn copy_of(letter: DeadLetter, fifo: bool) -> NewMessage {
    NewMessage {
        attributes: letter::attributes(&letter),
        deduplication_id: fifo.then(|| letter.delivery.message_id.as_ref().to_owned()),
        group: letter.delivery.group,
        ..NewMessage::new(letter.payload.received_body())
    }
}

fn check(receive: &Receive) -> Result<(), QueueError> {
    if !(1..=MAX_BATCH).contains(&receive.max) {
        return Err(QueueError::new(ErrorKind::Invalid, "InvalidParameterValue: receive 1 to 10 messages"));
    }
    check_seconds(receive.wait, MAX_WAIT)?;
    check_seconds(receive.lease, MAX_VISIBILITY)
}

fn check_seconds(time: Duration, longest: Duration) -> Result<(), QueueError> {
    if time.subsec_nanos() == 0 && time <= longest {
        return Ok(());
    }
    let message = format!("InvalidParameterValue: whole seconds up to {}, not {time:?}", longest.as_secs());
    Err(QueueError::new(ErrorKind::Invalid, message))
}
