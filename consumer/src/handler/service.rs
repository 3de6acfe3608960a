//! Handlers that are `tower` services, so that tower's layers work: timeout, rate limit, buffer, trace and your own.

use std::fmt::{self, Display};
use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};

use super::Handler;
use crate::message::Message;
use crate::outcome::{IntoOutcome, Outcome};

/// A handler that calls this service with each message: a clone of it, once that is ready.
///
/// The response is an outcome or what stands for one. An error, of the service or of a layer around it, counts as
/// [`Outcome::Failed`], so the message is tried again: what a layer refuses because there is no room now is not lost.
/// A message waits in flight until the service is ready for it; its lease is extended meanwhile.
///
/// ```
/// use std::time::Duration;
/// use tower::{ServiceBuilder, service_fn};
/// use upbeat_consumer::{Message, handler};
///
/// async fn handle(message: Message) -> Result<(), std::io::Error> {
///     println!("{}", message.body());
///     Ok(())
/// }
///
/// let layered = ServiceBuilder::new().concurrency_limit(5).timeout(Duration::from_secs(10)).service(service_fn(handle));
/// let handler = handler::service(layered);
/// # fn is_handler(_: impl upbeat_consumer::Handler) {}
/// # is_handler(handler);
/// ```
///
/// A layer whose service can't be cloned, such as tower's rate limit, goes below a buffer, which can.
pub fn service<S>(service: S) -> Service<S>
where
    S: tower_service::Service<Message> + Clone,
{
    Service(Mutex::new(service))
}

/// See [`service()`].
// The lock is held for the time of a clone. Without it a service would have to be `Sync`, which many are not.
pub struct Service<S>(Mutex<S>);

impl<S> Handler for Service<S>
where
    S: tower_service::Service<Message, Response: IntoOutcome, Error: Display, Future: Send> + Clone + Send + 'static,
{
    async fn handle(&self, message: Message) -> Outcome {
        // A service that is ready keeps its promise to who asked, so it is the clone that is asked and called.
        let mut service = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(error) = poll_fn(|context| service.poll_ready(context)).await {
            return Err::<S::Response, _>(error).into_outcome();
        }
        service.call(message).await.into_outcome()
    }
}

impl<S> fmt::Debug for Service<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Service").finish_non_exhaustive()
    }
}
