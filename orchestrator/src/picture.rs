//! What the loop last saw and decided, for whoever asks.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::desired::Desired;
use crate::moment::Moment;
use crate::plan::{Deed, Observed, Plan};
use crate::store::Hold;

/// One pass of the loop.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// What is wanted.
    pub desired: Desired,
    /// What is held, and why.
    pub holds: BTreeMap<String, Hold>,
    /// What was seen.
    pub observed: Observed,
    /// What follows from both.
    pub plan: Plan,
    /// When that was.
    pub at: Moment,
    /// Whether the engine answers, or why not; then the rest is what it said last.
    pub engine: Option<String>,
    /// Whether anything was seen yet.
    pub seen: bool,
}

/// Something that happened, as `/v1/events` and the log tell it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Event {
    /// When.
    pub time: String,
    /// What: `down`, `started`, `created`, `stopped`, `restarted`, `failed`, `would`, `degraded`, `held`, `released`,
    /// `snapshot`, `engine`, `unprobed`.
    pub event: &'static str,
    /// Which container it is about; empty if none.
    pub container: String,
    /// What was done, would be done, or failed to be done to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Deed>,
    /// Why, or what went wrong.
    pub why: String,
}

impl Event {
    /// Now.
    #[must_use]
    pub fn now(event: &'static str, container: &str, action: Option<Deed>, why: impl Into<String>) -> Self {
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        Self { time, event, container: container.to_owned(), action, why: why.into() }
    }
}

/// Seconds since 1970 as people write a time.
#[must_use]
pub fn time(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
