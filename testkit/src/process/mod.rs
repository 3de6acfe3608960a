//! The real binaries: built, started in a clean environment, watched, signalled, ended.
//!
//! [`ServiceCommand`] says what to run, [`Service`] is it running, [`Output`] is what it has printed, [`Event`] is
//! one JSON log line. No service outlives its test: it is killed on drop, and by a helper process if the test
//! process itself is killed.

mod binary;
mod command;
mod output;
mod reaper;
mod service;
mod terminal;
mod usage;

pub use binary::{BINARIES_VARIABLE, binary};
pub use command::{Input, ServiceCommand};
pub use output::{Event, Output};
pub use service::Service;
use terminal::Terminal;
pub use usage::Usage;
