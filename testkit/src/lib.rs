//! What Upbeat's tests and benches share, in the order in which a test meets it:
//!
//! 1. [`localstack`]: [`LocalStack`], SNS and SQS on a free port, one for the whole test process or one of your own;
//! 2. [`resources`]: [`Resources`], a topic, a queue and a dead-letter queue that no other test has;
//! 3. [`queue`] and [`message`]: [`Queue`], to send, drain, count and purge;
//! 4. [`process`]: [`Service`], the real binaries, their log lines, their HTTP and their end;
//! 5. [`proxy`]: [`Proxy`], between a binary and LocalStack, to break the network in many ways;
//! 6. [`count`](mod@count): [`Count`], what was sent against what was handled;
//! 7. [`examples`]: [`Examples`], what a package's examples print;
//! 8. [`browser`]: [`Browser`], to look at a page as a person does;
//! 9. [`redis`]: [`Redis`], a server of one's own;
//! 10. [`wait`]: waiting with a limit, for whatever the rest has no method for.
//!
//! For benches, [`target`]: [`Target`], an SNS and SQS that is faster than any client, and [`mod@bench`], which measures one.
//!
//! [`clients`], [`http`], [`pids`] and [`port`] serve the others and may serve a test. Whatever fails panics, with what was seen.
//!
//! ```no_run
//! use std::time::Duration;
//! use upbeat_testkit::{Count, LocalStack, Options, Resources, Service, Signal};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let localstack = LocalStack::shared().await;
//! let resources = Resources::make(localstack, Options::default()).await;
//! let consumer = Service::consumer(localstack.url()).arg("--queue").arg(&resources.queue.name).start().await;
//! consumer.wait_ready().await;
//!
//! let sent: Vec<String> = (0..100).map(|n| format!("message {n}")).collect();
//! resources.publish(&sent).await;
//!
//! consumer.wait_events("deleted", sent.len(), Duration::from_secs(30)).await;
//! let received = consumer.events("received");
//! Count::of(sent, received.iter().map(|event| event.text("body").to_owned())).assert_exactly_once();
//!
//! consumer.signal(Signal::SIGTERM);
//! assert_eq!(consumer.wait_exit(Duration::from_secs(5)).await, 0);
//! assert_eq!(resources.queue.counts().await.total(), 0);
//! # }
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test helper fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "every helper panics when what it waits for or asks for fails")]

pub mod bench;
pub mod browser;
pub mod clients;
pub mod count;
pub mod examples;
pub mod http;
pub mod localstack;
pub mod message;
pub mod pids;
pub mod port;
pub mod process;
pub mod proxy;
pub mod queue;
pub mod redis;
pub mod resources;
pub mod target;
pub mod wait;

pub use browser::Browser;
pub use count::Count;
pub use examples::Examples;
pub use localstack::LocalStack;
pub use message::{Incoming, Outgoing};
pub use nix::sys::signal::Signal;
pub use process::{Event, Service, ServiceCommand};
pub use proxy::{Proxy, Spoil};
pub use queue::Queue;
pub use redis::Redis;
pub use resources::{Options, Resources};
pub use target::Target;
pub use wait::eventually;
