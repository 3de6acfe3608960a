//! The orchestrator: keeps the containers of a Docker host as they are wanted, in the order in which a change meets it:
//!
//! 1. [`watch`]: the connection to the engine, its events and whether it answers; [`probes`], [`probers`] and [`readers`] ask
//!    the containers themselves and read what they print ([`severity`]). All of them only leave [`marks`];
//! 2. [`control`]: the loop that takes the marks, looks, plans and acts;
//! 3. [`desired`], with [`allow`]: what is wanted, from the [`store`];
//! 4. [`container`] and [`history`]: what is seen, and what has happened, so far as it matters, in [`moment`]s;
//! 5. [`plan`](mod@plan): what follows from both, a pure function;
//! 6. [`runtime`]: the engine: Docker, or a simulator that keeps virtual time;
//! 7. [`picture`]: what the loop last saw and decided, and [`http`], which tells it, and takes what may be asked for;
//! 8. [`credentials`]: who may do what; [`pki`], [`mod@tls`] and [`mod@ask`]: how other machines are known and reached; [`mod@join`]:
//!    how a host becomes one of them;
//! 9. [`itself`]: which container we are in; [`secret`] and [`redact`]: what nobody is told;
//! 10. [`settings`], [`app`], [`dry_run`], [`meter`], the board: the binary.

pub mod agent;
pub mod allow;
pub mod app;
pub mod ask;
mod board;
pub mod cluster;
pub mod container;
pub mod control;
pub mod credentials;
pub mod desired;
pub mod dry_run;
pub mod history;
pub mod http;
pub mod itself;
pub mod join;
pub mod marks;
pub mod meter;
pub mod moment;
pub mod picture;
pub mod pki;
pub mod plan;
pub mod probers;
pub mod probes;
pub mod readers;
pub mod redact;
pub mod runtime;
pub mod secret;
pub mod server;
pub mod settings;
pub mod severity;
pub mod store;
pub mod tls;
pub mod watch;

pub use board::{BOARD, CLUSTER_BOARD};
