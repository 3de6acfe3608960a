//! What a target has handed out and what came back.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Options, sqs};

/// What has happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests for messages, or to publish them, or about them: all but those that find the queue or the topic.
    pub requests: usize,
    /// Receives that found the queue empty; those that still wait are among them.
    pub empty_receives: usize,
    /// Messages that were handed out.
    pub received: usize,
    /// Messages that were handed out and then deleted.
    pub deleted: usize,
    /// Messages that were published.
    pub published: usize,
    /// Entries that were refused: deletes of what was not handed out, or was deleted before.
    pub refused: usize,
    /// Receives that wait now.
    pub waiting: usize,
    pub(super) first_request: Option<Instant>,
    pub(super) first_message: Option<Instant>,
    pub(super) done: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) base: String,
    pub(super) latency: Duration,
    messages: usize,
    pub(super) templates: sqs::Templates,
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Debug)]
struct Now {
    counts: Counts,
    deleted: Vec<bool>,
}

/// A receive that waits.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a State);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().counts.waiting -= 1;
    }
}

impl State {
    pub(super) fn new(address: SocketAddr, options: Options) -> Self {
        let Options { messages, body, latency, .. } = options;
        let now = Now { counts: Counts::default(), deleted: vec![false; messages] };
        Self {
            base: format!("http://{address}"),
            latency,
            messages,
            templates: sqs::Templates::new(&body),
            now: Mutex::new(now),
            changed: Condvar::new(),
        }
    }

    /// Takes up to `most` messages out of the queue: their numbers.
    pub(super) fn receive(&self, most: usize) -> std::ops::Range<usize> {
        let mut now = self.request();
        let first = now.counts.received;
        let last = self.messages.min(first + most);
        now.counts.received = last;
        if first == last {
            now.counts.empty_receives += 1;
        }
        first..last
    }

    /// Deletes these messages; says of each whether it could be.
    pub(super) fn delete(&self, numbers: impl Iterator<Item = Option<usize>>) -> Vec<bool> {
        let mut now = self.request();
        let now = &mut *now;
        let delete = |number: Option<usize>| {
            let given = number.filter(|number| *number < now.counts.received);
            let fresh = given.is_some_and(|number| !std::mem::replace(&mut now.deleted[number], true));
            *(if fresh { &mut now.counts.deleted } else { &mut now.counts.refused }) += 1;
            fresh
        };
        let results = numbers.map(delete).collect();
        let deleted = now.counts.deleted;
        self.progress(now, deleted);
        results
    }

    pub(super) fn publish(&self, messages: usize) {
        let mut now = self.request();
        now.counts.published += messages;
        let published = now.counts.published;
        self.progress(&mut now, published);
    }

    /// A receive waits for messages that never come, for as long as this lives.
    pub(super) fn wait_in_vain(&self) -> Waiting<'_> {
        self.lock().counts.waiting += 1;
        Waiting(self)
    }

    /// A request that changes nothing here.
    pub(super) fn count_request(&self) {
        drop(self.request());
    }

    fn request(&self) -> MutexGuard<'_, Now> {
        let mut now = self.lock();
        now.counts.requests += 1;
        now.counts.first_request.get_or_insert_with(Instant::now);
        now
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    pub(super) fn wait(&self, within: Duration, until: impl Fn(&Counts) -> bool) -> Option<Counts> {
        let waited = self.changed.wait_timeout_while(self.lock(), within, |now| !until(&now.counts));
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        until(&now.counts).then(|| now.counts.clone())
    }

    fn progress(&self, now: &mut Now, messages: usize) {
        if messages > 0 {
            now.counts.first_message.get_or_insert_with(Instant::now);
        }
        if messages >= self.messages && now.counts.done.is_none() {
            now.counts.done = Some(Instant::now());
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
