//! Messages that wait to be published, whatever the kind of topic.

use std::sync::Arc;

use tokio::time::Instant;

use super::queued::{Again, Flight, Queued};

/// The waiting messages of a topic, and which of them may go next.
///
/// What [`take`](Self::take) gives out comes back by [`put_back`](Self::put_back) once its call has landed, with what
/// is to be tried again, if anything; until then a FIFO topic's groups in it are held.
pub(crate) trait Waiting: Send + 'static {
    /// Adds a message behind all others of its kind.
    fn push(&mut self, queued: Queued);

    /// The next batch's worth; empty if nothing may go.
    fn take(&mut self) -> Flight;

    /// A call has landed, and these of its messages are to be tried again, in its order.
    fn put_back(&mut self, groups: &[Arc<str>], again: Vec<Again>);

    /// What has rested until now may go again, before others.
    fn wake(&mut self, now: Instant);

    /// When the next message has rested enough.
    fn next_wake(&self) -> Option<Instant>;

    /// Whether a batch taken now would be full.
    fn fills_a_batch(&self) -> bool;

    /// When the message that may go next was taken from its caller; `None` if none may go.
    fn oldest(&self) -> Option<Instant>;

    /// Takes out every waiting message for which this is true; one that rests may be spared.
    fn take_out(&mut self, wanted: impl Fn(&Queued) -> bool) -> Vec<Queued>;

    /// The earliest of these instants, over the messages that [`take_out`](Self::take_out) looks at.
    fn earliest(&self, instant: impl Fn(&Queued) -> Option<Instant>) -> Option<Instant>;

    /// Whether nothing is here, resting or not; what was given out does not count.
    fn is_empty(&self) -> bool;

    /// Takes out everything.
    fn drain(&mut self) -> Vec<Queued>;
}
