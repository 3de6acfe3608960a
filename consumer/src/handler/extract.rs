//! Handlers that say in their arguments what they need of a message.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::Handler;
use crate::message::{Attributes, Cancellation, Message};
use crate::outcome::{IntoOutcome, Outcome};

/// What can be taken out of a message as an argument of a handler.
///
/// Here: [`Json`] (the body), [`Attempt`], [`Attributes`], [`Cancellation`] and the [`Message`] itself. Your own type
/// is one by saying how:
///
/// ```
/// use upbeat_consumer::{Message, Outcome};
/// use upbeat_consumer::handler::FromMessage;
///
/// struct Tenant(String);
///
/// impl FromMessage for Tenant {
///     fn from_message(message: &Message) -> Result<Self, Outcome> {
///         let tenant = message.attributes().get("tenant").and_then(|tenant| tenant.text());
///         let reject = || Outcome::Reject { reason: "no attribute tenant".to_owned() };
///         tenant.map(|tenant| Self(tenant.to_owned())).ok_or_else(reject)
///     }
/// }
/// ```
pub trait FromMessage: Sized {
    /// `Err` is what becomes of the message; the handler is not run.
    ///
    /// What no other try can cure is an [`Outcome::Reject`].
    fn from_message(message: &Message) -> Result<Self, Outcome>;
}

/// The body, parsed as JSON.
///
/// A body that can't be parsed is an [`Outcome::Reject`] with the place and the reason, not a failure: no further try
/// would make it better, so it goes to the dead-letter queue at once and not after its last attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// Which try this is, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub u32);

impl<T: DeserializeOwned> FromMessage for Json<T> {
    fn from_message(message: &Message) -> Result<Self, Outcome> {
        let parsed = serde_json::from_str(message.body());
        parsed
            .map(Self)
            .map_err(|error| Outcome::Reject { reason: format!("the body is not the JSON expected: {error}") })
    }
}

impl FromMessage for Attempt {
    fn from_message(message: &Message) -> Result<Self, Outcome> {
        Ok(Self(message.attempt()))
    }
}

impl FromMessage for Attributes {
    fn from_message(message: &Message) -> Result<Self, Outcome> {
        Ok(message.attributes().clone())
    }
}

impl FromMessage for Cancellation {
    fn from_message(message: &Message) -> Result<Self, Outcome> {
        Ok(message.cancellation().clone())
    }
}

impl FromMessage for Message {
    fn from_message(message: &Message) -> Result<Self, Outcome> {
        Ok(message.clone())
    }
}

/// A handler whose arguments are taken out of the message, up to eight.
///
/// ```
/// use serde::Deserialize;
/// use upbeat_consumer::handler::{Attempt, Json, extract};
/// use upbeat_consumer::message::Attributes;
///
/// #[derive(Deserialize)]
/// struct Order {
///     item: String,
///     count: u32,
/// }
///
/// let handler = extract(|Json(order): Json<Order>, Attempt(attempt): Attempt, attributes: Attributes| async move {
///     println!("{} × {}, attempt {attempt}, {} attributes", order.count, order.item, attributes.len());
/// });
/// # fn is_handler(_: impl upbeat_consumer::Handler) {}
/// # is_handler(handler);
/// ```
pub fn extract<F: Function<A>, A>(function: F) -> Extract<F, A> {
    Extract { function, arguments: PhantomData }
}

/// See [`extract()`].
pub struct Extract<F, A> {
    function: F,
    // A function of the arguments is `Send` and `Sync` whatever they are: none is kept here.
    arguments: PhantomData<fn(A)>,
}

/// An async function of up to eight arguments that are [`FromMessage`], to something that is [`IntoOutcome`].
///
/// `A` is the tuple of its arguments.
pub trait Function<A>: Send + Sync + 'static {
    /// Takes the arguments out of the message and calls the function.
    fn call(&self, message: Message) -> impl Future<Output = Outcome> + Send;
}

macro_rules! function {
    ($($argument:ident),+) => {
        impl<F, R, $($argument),+> Function<($($argument,)+)> for F
        where
            F: Fn($($argument),+) -> R + Send + Sync + 'static,
            R: Future<Output: IntoOutcome> + Send,
            $($argument: FromMessage + Send,)+
        {
            #[allow(non_snake_case, reason = "each argument is named after its type")]
            async fn call(&self, message: Message) -> Outcome {
                $(let $argument = match $argument::from_message(&message) {
                    Ok(argument) => argument,
                    Err(outcome) => return outcome,
                };)+
                self($($argument),+).await.into_outcome()
            }
        }
    };
}

function!(A);
function!(A, B);
function!(A, B, C);
function!(A, B, C, D);
function!(A, B, C, D, E);
function!(A, B, C, D, E, G);
function!(A, B, C, D, E, G, H);
function!(A, B, C, D, E, G, H, I);

impl<F: Function<A>, A: 'static> Handler for Extract<F, A> {
    fn handle(&self, message: Message) -> impl Future<Output = Outcome> + Send {
        self.function.call(message)
    }
}

impl<F, A> fmt::Debug for Extract<F, A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Extract").finish_non_exhaustive()
    }
}
