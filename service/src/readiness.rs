//! Readiness: the conditions under which a service can do its work right now.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

/// What a service needs to be ready, and why each need is not met. Clones share the same conditions.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Conditions>>);

#[derive(Debug, Default)]
struct Conditions {
    draining: bool,
    unmet: BTreeMap<&'static str, String>,
    notes: BTreeMap<&'static str, String>,
}

/// One condition of [`Readiness`]; not met until it is said to be.
#[derive(Clone, Debug)]
pub struct Condition {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Adds a condition, such as `queue`, that is not met yet.
    #[must_use]
    pub fn condition(&self, name: &'static str) -> Condition {
        self.lock().unmet.insert(name, "starting".to_owned());
        Condition { name, readiness: self.clone() }
    }

    /// Adds a condition that holds until it is said not to.
    #[must_use]
    pub fn met_condition(&self, name: &'static str) -> Condition {
        Condition { name, readiness: self.clone() }
    }

    /// Says something more on `/ready` that does not decide it, such as what the service works without.
    pub fn note(&self, name: &'static str, note: impl Into<String>) {
        self.lock().notes.insert(name, note.into());
    }

    /// What is said more.
    #[must_use]
    pub fn notes(&self) -> BTreeMap<&'static str, String> {
        self.lock().notes.clone()
    }

    /// The service takes no more work from here on, for good.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// `Err` says every reason why the service is not ready.
    pub fn check(&self) -> Result<(), String> {
        let conditions = self.lock();
        let draining = conditions.draining.then(|| "draining".to_owned());
        let unmet = conditions.unmet.iter().map(|(name, reason)| format!("{name}: {reason}"));
        let reasons: Vec<_> = draining.into_iter().chain(unmet).collect();
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
    }

    fn lock(&self) -> MutexGuard<'_, Conditions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// The condition holds. Logged when it did not before.
    pub fn met(&self) {
        if self.readiness.lock().unmet.remove(self.name).is_some() {
            info!(condition = %self.name, "ready");
        }
    }

    /// The condition does not hold. Logged when the reason is a new one, so an outage costs a line, not a
    /// line a try.
    pub fn unmet(&self, reason: impl Display) {
        let reason = reason.to_string();
        let known = self.readiness.lock().unmet.insert(self.name, reason.clone());
        if known.as_ref() != Some(&reason) {
            warn!(condition = %self.name, %reason, "not ready");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_ready_once_every_condition_is_met() {
        let readiness = Readiness::default();
        let (queue, topic) = (readiness.condition("queue"), readiness.condition("topic"));
        assert_eq!(readiness.check(), Err("queue: starting; topic: starting".to_owned()));
        queue.unmet("does not exist");
        topic.met();
        assert_eq!(readiness.check(), Err("queue: does not exist".to_owned()));
        queue.met();
        assert_eq!(readiness.check(), Ok(()));
    }

    #[test]
    fn a_draining_service_is_not_ready_whatever_its_conditions() {
        let readiness = Readiness::default();
        readiness.condition("queue").met();
        readiness.drain();
        assert_eq!(readiness.check(), Err("draining".to_owned()));
    }
}
