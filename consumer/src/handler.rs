//! Handlers: what is done with each message.
//!
//! | a handler is | made by |
//! | --- | --- |
//! | any async function of a [`Message`] | itself |
//! | an async function of what it takes out of a message: body as JSON, attributes, attempt … | [`extract()`] |
//! | an async function of many messages at once, with an outcome for each | [`batch()`] |
//! | any `tower::Service` of a [`Message`], with whatever layers | [`service()`] |
//! | log, a command, an HTTP endpoint: what the `consumer` binary has built in | [`Log`], [`Exec`], [`Http`] |

pub mod batch;
pub mod exec;
pub mod extract;
pub mod http;
pub mod log;
pub mod service;

use std::any::Any;

use crate::message::Message;
use crate::outcome::{IntoOutcome, Outcome};

pub use batch::{Batch, IntoOutcomes, batch};
pub use exec::Exec;
pub use extract::{Attempt, Extract, FromMessage, Json, extract};
pub use http::Http;
pub use log::Log;
pub use service::{Service, service};

/// Handles messages, many at a time. Any async function from a [`Message`] to something that is
/// [`IntoOutcome`] is a handler.
///
/// A message may come more than once, so what a handler does must bear repetition. A panic counts as
/// [`Outcome::Failed`]. The future is dropped if it outlives its [cancellation](Message::cancellation) by
/// more than a moment.
pub trait Handler: Send + Sync + 'static {
    /// Handles one message.
    fn handle(&self, message: Message) -> impl Future<Output = Outcome> + Send;
}

impl<F, R> Handler for F
where
    F: Fn(Message) -> R + Send + Sync + 'static,
    R: Future<Output: IntoOutcome> + Send,
{
    async fn handle(&self, message: Message) -> Outcome {
        self(message).await.into_outcome()
    }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
