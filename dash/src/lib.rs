//! What producers and consumers do, live in a terminal; no more than their `/metrics` say.
//!
//! 1. [`settings`]: which services;
//! 2. [`watched`]: one of them, scraped now and then, and what is known of it;
//! 3. [`view`]: all of them, drawn;
//! 4. [`figure`]: a figure as a person writes it.

pub mod figure;
pub mod settings;
pub mod view;
pub mod watched;
