//! `make chaos`: the real services under load, and everything that can go wrong with them, one fault after the other; then
//! a count of what was lost.
//!
//! In the order of a run:
//!
//! 1. [`settings`]: seed, duration, rate;
//! 2. [`scene`]: LocalStack, a producer with a spool, some consumers, a network each that can be broken ([`fleet`]);
//! 3. [`load`]: what is posted to the producer, and [`endpoint`]: what the consumers' handlers call;
//! 4. [`journal`]: the append-only log of what was accepted, handled and deleted, which both of them write;
//! 5. [`fault`]: what can go wrong; [`plan`]: in which order, by the seed; [`faults`]: how each is done;
//! 6. [`drain`]: everything whole again, until nothing is left to be handled;
//! 7. [`oracle`]: reads the journal and says what was lost; [`screen`] has shown how far it was, all the while.
//!
//! A fault that is new goes into [`fault`], its doing into one of [`faults`], and a row into docs/FAULTS.md.

pub mod body;
pub mod drain;
pub mod endpoint;
pub mod fault;
pub mod faults;
pub mod fleet;
pub mod journal;
pub mod load;
pub mod oracle;
pub mod plan;
pub mod scene;
pub mod screen;
pub mod settings;
