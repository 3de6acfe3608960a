//! Several hosts: services with replicas, and the nodes that run them. In the order in which a change meets it:
//!
//! 1. [`request`], by HTTP or in a [`compose`] file: what is asked for; [`template`] makes of it a service of the [`model`],
//!    with what engines are told to create its containers;
//! 2. [`state`]: what is wanted and where it was placed, which [`records`] keep, or a [`quorum`] of several servers; [`sight`]: what nodes have told;
//! 3. [`schedule`]: what is to change, out of both, a pure function; [`placement`]: which node takes a replica;
//! 4. [`orders`]: what each node is to run, out of the same;
//! 5. [`server`]: where the task that owns all of it ([`brain`]) is asked, [`commands`], what can be asked of it, and [`meter`], what is counted;
//! 6. [`wire`]: what a node and the server tell each other;
//! 7. [`node`]: the node's side: the loop of one host, under orders; [`link`]: its way to the server;
//!    [`lease`]: how long it may go on alone. [`remote`] has
//!    that of nodes without an agent run here; [`tails`]: what replicas printed, of nodes that have one, which
//!    [`printing`] sends.

pub mod brain;
pub mod commands;
pub mod compose;
pub mod lease;
pub mod link;
pub mod meter;
pub mod model;
pub mod node;
pub mod orders;
pub mod placement;
pub mod printing;
pub mod quorum;
pub mod records;
pub mod remote;
pub mod request;
pub mod schedule;
pub mod server;
pub mod sight;
pub mod state;
pub mod tails;
pub mod template;
pub(crate) mod values;
pub mod wire;
