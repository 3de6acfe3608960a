//! Looking at a producer's surroundings, for the person who runs it: subcommands of the `producer` binary.
//!
//! - [`doctor`]: whether all that a producer needs is there and fits together;
//! - [`spool`]: what is in a spool.

pub mod doctor;
pub mod spool;
