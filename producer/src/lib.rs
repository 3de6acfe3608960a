//! Publishes messages to an SNS topic: in batches, with retries, each caller told its own outcome.
//!
//! The modules in the order in which a message meets them:
//!
//! 1. [`sources`]: where the binary has messages from: an interval, lines, `POST /messages`;
//! 2. [`message`]: what a caller gives, and [`refusal`]: why it can't be published;
//! 3. [`producer`]: the handle, with [`send`](Producer::send), made by the [`builder`];
//! 4. [`entry`]: the message once it is checked, by `rules`, and has an id;
//! 5. `engine`: the publish loop, which batches, limits and retries;
//! 6. [`batch`]: what goes out in one call, within SNS's limits;
//! 7. [`publisher`]: the boundary to the topic, which is [`sns`] or, in tests, [`memory`];
//! 8. [`error`]: what the caller learns if it was not published.
//!
//! Around them: [`spool`] keeps what is accepted on disk, if there is to be one; [`settings`] and [`topic`] are what the
//! binary is told, [`app`] is how it starts and stops, [`tools`] are its other commands,
//! [`board`] is what a person is shown of it; `core` is what handle and engine
//! share, `meter` what metrics are made of, `spans` traces.
//!
//! ```no_run
//! use upbeat_producer::{Message, Producer, Topic};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let config = upbeat_service::aws::config().await?;
//! let topic: Topic = "messages".parse()?;
//! let producer = Producer::builder(topic.connect(&config).await?).build();
//! let sent = producer.send(Message::new("hello").attribute("kind", "greeting")).await?;
//! println!("{} {:?}", sent.id(), sent.message_id());
//! producer.close(std::time::Duration::from_secs(30)).await;
//! # Ok(()) }
//! ```

pub mod app;
pub mod batch;
pub mod board;
pub mod builder;
mod core;
mod engine;
pub mod entry;
pub mod error;
mod later;
pub mod memory;
pub mod message;
mod meter;
pub mod producer;
pub mod publisher;
pub mod refusal;
mod rules;
pub mod settings;
pub mod sns;
pub mod sources;
mod spans;
pub mod spool;
pub mod tools;
pub mod topic;

pub use batch::Batch;
pub use board::BOARD;
pub use builder::Builder;
pub use core::Summary;
pub use entry::{Entry, Id};
pub use error::SendError;
pub use message::{Attribute, Message};
pub use producer::{Producer, Published, Sent, Ticket};
pub use publisher::{Description, Fault, FaultKind, Publisher, Receipt, Receipts};
pub use refusal::Refusal;
pub use sns::Sns;
pub use spool::Spool;
pub use topic::Topic;
