//! Waiting, at start, for what a service needs from outside and may not be there yet.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::lifecycle::Service;
use crate::{Backoff, aws};

/// How long one try may take; looking for credentials goes through several places.
const TRY_TIMEOUT: Duration = Duration::from_secs(15);

/// Health is told this much more than a try and the wait after it can take.
const MARGIN: Duration = Duration::from_secs(5);

/// Tries until it works, with backoff, or until the service is to stop (`None`).
///
/// `name` is the condition shown on readiness and the task shown on liveness meanwhile. Each try is given the
/// AWS configuration read anew, so that a region, a credential or an endpoint that appears later is found.
pub async fn connect<T>(
    service: &Service,
    name: &'static str,
    attempt: impl AsyncFn(&aws_config::SdkConfig) -> anyhow::Result<T>,
) -> Option<T> {
    let condition = service.readiness.condition(name);
    let beat = service.health.task(name, TRY_TIMEOUT + MARGIN);
    let mut backoff = Backoff::default();
    let connecting = async {
        loop {
            let connected = timeout(TRY_TIMEOUT, async { attempt(&aws::config().await?).await }).await;
            match connected.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {TRY_TIMEOUT:?}"))) {
                Ok(connected) => return connected,
                Err(error) => condition.unmet(format_args!("{error:#}")),
            }
            let wait = backoff.next_wait();
            beat.beat(wait + TRY_TIMEOUT + MARGIN);
            sleep(wait).await;
        }
    };
    let connected = service.stop.run_until_cancelled(connecting).await;
    if connected.is_some() {
        condition.met();
    }
    beat.finish();
    connected
}
