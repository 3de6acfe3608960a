//! Reverses text and capitalises it, over HTTP: `{"data": "test"}` → `{"data": "TSET"}`.
//!
//! The modules in the order in which a request meets them:
//!
//! 1. [`http`]: `POST /`, its problems, the description of the interface and a page to try it;
//! 2. [`shouter`]: one text from the cache, or from where it is made;
//! 3. [`cache`]: what was made before, in memory or in Redis, and equal texts that are being made;
//! 4. [`text`]: reversing by grapheme clusters, capitalising, and whether somebody else has capitalised well;
//! 5. [`upstream`]: who capitalises, with tries, limits and a circuit breaker;
//! 6. [`error`]: why there is no answer.
//!
//! Around them: [`settings`] is what the binary is told, [`app`] is how it starts and stops, [`board`] is what a person is
//! shown of it, `meter` is what metrics are made of, `spans` traces.

pub mod app;
pub mod board;
pub mod cache;
pub mod error;
pub mod http;
mod meter;
pub mod settings;
pub mod shouter;
mod spans;
pub mod text;
pub mod upstream;

pub use board::BOARD;
pub use cache::Cache;
pub use error::ShoutError;
pub use shouter::{From, Shouted, Shouter};
pub use upstream::Upstream;
