//! Whether this machine's clock is right, by the dates of answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

/// AWS takes requests that are up to five minutes off.
const TOLERANCE: Duration = Duration::from_mins(2);

/// Watches the answers that are errors. A clock that was wrong once counts as wrong for good.
#[derive(Clone, Debug, Default)]
pub struct ClockWatch(Arc<AtomicBool>);

impl ClockWatch {
    pub(crate) fn is_wrong(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Looks at an answer's date if it is an error.
    pub(crate) fn look_at(&self, answer: &HttpResponse, components: &RuntimeComponents) {
        let now = || components.time_source().unwrap_or_default().now();
        if !answer.status().is_success() && date(answer).is_some_and(|date| apart(date, now()) > TOLERANCE) {
            self.tell_wrong();
        }
    }

    pub(super) fn tell_wrong(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[dyn_dispatch_hint]
impl Intercept for ClockWatch {
    fn name(&self) -> &'static str {
        "ClockWatch"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.look_at(context.response(), components);
        Ok(())
    }
}

fn date(answer: &HttpResponse) -> Option<SystemTime> {
    DateTime::from_str(answer.headers().get("date")?, Format::HttpDate).ok()?.try_into().ok()
}

fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}
