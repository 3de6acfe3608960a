//! Looking at a producer's surroundings, for the person who runs it: subcommands of the `producer` binary.
//!
//! - [`spool`]: what is in a spool.

pub mod spool;
