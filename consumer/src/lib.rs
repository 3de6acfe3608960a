//! Consumes an Amazon SQS queue, so that nothing is lost and nothing hangs.
//!
//! In the order in which a message meets them:
//!
//! 1. [`queue`]: the boundary to the queue, as SQS and in memory;
//! 2. [`message`]: what a message says, out of its SNS envelope if it came in one;
//! 3. [`handler`]: what is done with it, and its [`outcome`];
//! 4. `engine`: everything between the receive and the confirmed delete;
//! 5. [`consumer`] and [`options`]: the engine as its user sees it;
//! 6. [`settings`]: the same from flags and environment variables, for the binary;
//! 7. [`board`]: what a person is shown of it;
//! 8. [`tools`]: looking at a queue and putting it right, for the person who runs it.

pub mod board;
pub mod consumer;
mod engine;
pub mod handler;
pub mod message;
pub mod options;
pub mod outcome;
pub mod queue;
pub mod settings;
pub mod tools;

pub use board::BOARD;
pub use consumer::{Builder, Consumer};
pub use engine::Summary;
pub use handler::Handler;
pub use message::Message;
pub use options::Options;
pub use outcome::{IntoOutcome, Outcome};
