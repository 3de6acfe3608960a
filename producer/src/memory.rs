//! A topic in memory, which behaves like SNS where it matters to a producer, and fails when told to.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::batch::{Batch, MAX_ENTRIES};
use crate::entry::Entry;
use crate::publisher::{Description, Fault, Publisher, Receipt, Receipts};

/// How long a FIFO topic recognizes a repetition (SNS developer guide, "Message deduplication for FIFO topics").
const DEDUPLICATION: Duration = Duration::from_mins(5);

/// A topic that keeps what is published to it. Clones share it.
///
/// Like SNS it takes a batch's entries in order, recognizes repetitions on a FIFO topic for five minutes, and refuses a
/// whole call for the content of one entry. What goes wrong is up to [`faults`](Self::faults).
#[derive(Clone)]
pub struct Memory {
    description: Description,
    faults: Option<Arc<FaultHook>>,
    state: Arc<Mutex<State>>,
}

type FaultHook = dyn Fn(&Call<'_>) -> Faults + Send + Sync;

/// A call as the hook of [`Memory::faults`] sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// How many calls there were before it.
    pub number: usize,
    /// What is to be published.
    pub batch: &'a Batch,
}

/// What goes wrong in a call; by default nothing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Faults {
    /// How long the call takes.
    pub latency: Duration,
    /// The call fails before anything is published.
    pub call: Option<Fault>,
    /// These entries, by position, fail; the others are published.
    pub entries: Vec<(usize, Fault)>,
    /// Everything is published, and the call then fails like this.
    pub lost_answer: Option<Fault>,
}

/// What a topic holds: a message that was published.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The message.
    pub entry: Entry,
    /// What its publisher was told.
    pub receipt: Receipt,
}

/// A call that was made, for tests of how messages are batched.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// When it began.
    pub at: Instant,
    /// How many entries it had.
    pub entries: usize,
    /// How many calls were under way, itself included.
    pub under_way: usize,
}

#[derive(Default)]
struct State {
    published: Vec<Stored>,
    calls: Vec<Made>,
    under_way: usize,
    /// By deduplication id: until when it is recognized, and what its first publisher was told.
    recognized: HashMap<String, (Instant, Receipt)>,
}

impl Memory {
    /// A topic of this description.
    #[must_use]
    pub fn new(description: Description) -> Self {
        Self { description, faults: None, state: Arc::default() }
    }

    /// A standard topic with SNS's default limit.
    #[must_use]
    pub fn standard(name: &str) -> Self {
        Self::new(Description::standard(name))
    }

    /// A FIFO topic with SNS's default limit, without content-based deduplication.
    #[must_use]
    pub fn fifo(name: &str) -> Self {
        Self::new(Description::fifo(name))
    }

    /// Has each call fail as this says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use upbeat_producer::Fault;
    /// use upbeat_producer::memory::{Faults, Memory};
    /// let slow_at_first_then_down = Memory::standard("messages").faults(|call| match call.number {
    ///     0 => Faults::latency(Duration::from_millis(50)),
    ///     _ => Faults::call(Fault::unavailable("nobody is there")),
    /// });
    /// ```
    #[must_use]
    pub fn faults(mut self, hook: impl Fn(&Call<'_>) -> Faults + Send + Sync + 'static) -> Self {
        self.faults = Some(Arc::new(hook));
        self
    }

    /// What was published, in the order in which it was.
    #[must_use]
    pub fn published(&self) -> Vec<Stored> {
        self.lock().published.clone()
    }

    /// The bodies of what was published, in order.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.lock().published.iter().map(|stored| stored.entry.body().to_owned()).collect()
    }

    /// The calls that were made, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Made> {
        self.lock().calls.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faults {
    /// Nothing goes wrong, but it takes a while.
    #[must_use]
    pub fn latency(latency: Duration) -> Self {
        Self { latency, ..Self::default() }
    }

    /// The call fails, and nothing is published.
    #[must_use]
    pub fn call(fault: Fault) -> Self {
        Self { call: Some(fault), ..Self::default() }
    }

    /// These entries, by position, fail alone.
    #[must_use]
    pub fn entries(entries: impl IntoIterator<Item = (usize, Fault)>) -> Self {
        Self { entries: entries.into_iter().collect(), ..Self::default() }
    }

    /// All is published, and nobody learns of it.
    #[must_use]
    pub fn lost_answer(fault: Fault) -> Self {
        Self { lost_answer: Some(fault), ..Self::default() }
    }

    /// The same, after a while.
    #[must_use]
    pub fn after(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }
}

impl Publisher for Memory {
    fn describe(&self) -> Description {
        self.description.clone()
    }

    async fn publish_batch(&self, batch: &Batch) -> Result<Receipts, Fault> {
        let (number, _under_way) = self.begin(batch);
        let faults = self.faults.as_ref().map(|hook| hook(&Call { number, batch })).unwrap_or_default();
        if !faults.latency.is_zero() {
            sleep(faults.latency).await;
        }
        if let Some(fault) = faults.call.or_else(|| self.refuses(batch)) {
            return Err(fault);
        }
        let mut state = self.lock();
        let receipts = batch.entries().iter().enumerate().map(|(position, entry)| {
            match faults.entries.iter().find(|(failing, _)| *failing == position) {
                Some((_, fault)) => Err(fault.clone()),
                None => Ok(state.publish(entry, self.description.fifo)),
            }
        });
        let receipts = receipts.collect();
        faults.lost_answer.map_or(Ok(receipts), Err)
    }
}

impl Memory {
    fn begin(&self, batch: &Batch) -> (usize, UnderWay) {
        let mut state = self.lock();
        state.under_way += 1;
        let (number, under_way) = (state.calls.len(), state.under_way);
        state.calls.push(Made { at: Instant::now(), entries: batch.entries().len(), under_way });
        (number, UnderWay(self.clone()))
    }

    /// What SNS itself would not take, which it says of the call as a whole.
    fn refuses(&self, batch: &Batch) -> Option<Fault> {
        let Description { fifo, content_based_deduplication, max_bytes, .. } = self.description;
        let entries = batch.entries();
        let any = |wrong: &dyn Fn(&Entry) -> bool| entries.iter().any(wrong);
        let why = if entries.is_empty() || entries.len() > MAX_ENTRIES {
            "EmptyBatchRequest: 1 to 10 entries"
        } else if batch.bytes() > max_bytes {
            "BatchRequestTooLong: the messages together are over the limit"
        } else if any(&|entry| entry.body().is_empty()) {
            "InvalidParameter: Empty message"
        } else if fifo && any(&|entry| entry.group_id().is_none()) {
            "InvalidParameter: MessageGroupId is required"
        } else if fifo && !content_based_deduplication && any(&|entry| entry.deduplication_id().is_none()) {
            "InvalidParameter: MessageDeduplicationId is required"
        } else if !fifo && any(&|entry| entry.deduplication_id().is_some()) {
            "InvalidParameter: MessageDeduplicationId is not valid for this topic type"
        } else {
            return None;
        };
        Some(Fault::refused(why))
    }
}

impl State {
    fn publish(&mut self, entry: &Entry, fifo: bool) -> Receipt {
        let number = self.published.len();
        let receipt =
            Receipt { message_id: format!("memory-{number}"), sequence_number: fifo.then(|| format!("{number:020}")) };
        if fifo {
            let now = Instant::now();
            self.recognized.retain(|_, (until, _)| *until > now);
            let key = entry.deduplication_id().map_or_else(|| format!("content: {}", entry.body()), str::to_owned);
            if let Some((_, first)) = self.recognized.get(&key) {
                return first.clone();
            }
            self.recognized.insert(key, (now + DEDUPLICATION, receipt.clone()));
        }
        self.published.push(Stored { entry: entry.clone(), receipt: receipt.clone() });
        receipt
    }
}

/// A call under way; it ends when this is dropped, however it ends.
struct UnderWay(Memory);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Memory").field("description", &self.description).finish_non_exhaustive()
    }
}
