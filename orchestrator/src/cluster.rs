//! Several hosts: services with replicas, and the nodes that run them.

pub mod model;
