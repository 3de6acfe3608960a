//! This machine's clock against the one of whoever answers: AWS refuses requests that are signed at the wrong time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::{DateTime, Format};

use super::Check;

/// A date in an answer is whole seconds and as old as the way back.
const NOTABLE: Duration = Duration::from_secs(30);

/// AWS allows five minutes for most services, fifteen for some (IAM User Guide, "Troubleshooting signed requests").
const REFUSED: Duration = Duration::from_mins(5);

/// Reads the `Date` of every answer, errors included, of the clients that it is an interceptor of.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<Mutex<Option<Skew>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skew {
    Ahead(Duration),
    Behind(Duration),
}

impl Clock {
    /// What the answers so far say; `None` before the first.
    #[must_use]
    pub fn check(&self) -> Option<Check> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(check)
    }

    fn see(&self, theirs: SystemTime, ours: SystemTime) {
        let skew = ours.duration_since(theirs).map_or_else(|error| Skew::Behind(error.duration()), Skew::Ahead);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(skew);
    }
}

#[dyn_dispatch_hint]
impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "Clock"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let theirs = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        if let Some(theirs) = theirs.and_then(|theirs| SystemTime::try_from(theirs).ok()) {
            self.see(theirs, SystemTime::now());
        }
        Ok(())
    }
}

fn check(skew: Skew) -> Check {
    let (by, side) = match skew {
        Skew::Ahead(by) => (by, "ahead of"),
        Skew::Behind(by) => (by, "behind"),
    };
    let by_seconds = humantime::format_duration(Duration::from_secs(by.as_secs()));
    let detail = format!("{by_seconds} {side} the server's");
    let advice = "set this machine's clock, by NTP or the like: AWS refuses requests signed at the wrong time";
    if by >= REFUSED {
        Check::fail("clock", detail, advice)
    } else if by >= NOTABLE {
        Check::warn("clock", detail, advice)
    } else {
        Check::ok("clock", "agrees with the server's")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_clock_is_a_fault_from_five_minutes_on_in_either_direction() {
        let now = SystemTime::now();
        let seen = |theirs| {
            let clock = Clock::default();
            assert_eq!(clock.check(), None);
            clock.see(theirs, now);
            clock.check().unwrap()
        };
        assert_eq!(seen(now - Duration::from_secs(2)).level, Level::Ok);
        assert_eq!(seen(now + Duration::from_mins(1)).level, Level::Warn);
        let behind = seen(now + Duration::from_mins(5));
        assert_eq!((behind.level, behind.detail.as_str()), (Level::Fail, "5m behind the server's"));
        assert!(seen(now - Duration::from_mins(20)).detail.contains("ahead"));
    }
}
