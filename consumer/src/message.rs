//! Messages as a handler sees them.

mod attributes;
mod cancellation;
mod envelope;

use std::sync::Arc;

use tokio::time::Instant;
use tracing::field::{DisplayValue, display};
use upbeat_service::traces::{TRACEPARENT, TRACESTATE, TraceContext};

pub use attributes::{Attribute, AttributeValue, Attributes};
pub use cancellation::{CancelReason, Cancellation};

use crate::queue::Delivery;
use envelope::Notification;

/// The attribute that carries the sender's own id of a message, which SNS and SQS leave as it is.
pub const ID_ATTRIBUTE: &str = "id";

/// What a message says, the same whether SNS delivered it raw or in its JSON envelope.
#[derive(Clone, Debug)]
pub struct Payload {
    received_body: String,
    received_attributes: Attributes,
    notification: Option<Notification>,
}

impl Payload {
    /// Takes body and attributes as the queue gave them; an SNS envelope is told by itself and opened.
    #[must_use]
    pub fn new(body: String, attributes: Attributes) -> Self {
        let notification = Notification::open(&body);
        Self { received_body: body, received_attributes: attributes, notification }
    }

    /// What was published.
    #[must_use]
    pub fn body(&self) -> &str {
        self.notification.as_ref().map_or(&self.received_body, |notification| &notification.body)
    }

    /// The attributes it was published with.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        self.notification.as_ref().map_or(&self.received_attributes, |notification| &notification.attributes)
    }

    /// The sender's own id of the message, if it gave one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.attributes().get(ID_ATTRIBUTE).and_then(Attribute::text)
    }

    /// The span that sent it, if its sender traces.
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        let text = |name| self.attributes().get(name).and_then(Attribute::text);
        TraceContext::parse(text(TRACEPARENT)?, text(TRACESTATE))
    }

    /// The subject it was published with, which SNS passes on in its envelope only.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.notification.as_ref()?.subject.as_deref()
    }

    /// Bytes of body and attributes as received.
    #[must_use]
    pub fn size(&self) -> usize {
        let attributes = self.received_attributes.iter();
        self.received_body.len() + attributes.map(|(name, attribute)| name.len() + attribute.size()).sum::<usize>()
    }

    /// The body as the queue gave it, in its envelope if it has one.
    #[must_use]
    pub fn received_body(&self) -> &str {
        &self.received_body
    }

    /// The attributes as the queue gave them.
    #[must_use]
    pub const fn received_attributes(&self) -> &Attributes {
        &self.received_attributes
    }
}

/// A message in the hands of a handler.
#[derive(Clone, Debug)]
pub struct Message {
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) payload: Arc<Payload>,
    pub(crate) attempt: u32,
    pub(crate) last_attempt: bool,
    pub(crate) deadline: Instant,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) cancellation: Cancellation,
}

impl Message {
    /// The sender's own id of the message, or the queue's where the sender gave none. The same in every delivery.
    #[must_use]
    pub fn id(&self) -> &str {
        self.payload.id().unwrap_or(&self.delivery.message_id)
    }

    /// What was published.
    #[must_use]
    pub fn body(&self) -> &str {
        self.payload.body()
    }

    /// The attributes it was published with.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        self.payload.attributes()
    }

    /// Body, attributes and subject, cheap to keep.
    #[must_use]
    pub const fn payload(&self) -> &Arc<Payload> {
        &self.payload
    }

    /// The queue's view of this delivery: its message id, group and times.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Which try this is, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether the message goes to the dead-letter queue if this try fails.
    #[must_use]
    pub const fn is_last_attempt(&self) -> bool {
        self.last_attempt
    }

    /// When the handler is cancelled if it is still running.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The span in which this handler runs, or without [traces](crate::Builder::traces) the one that sent the message: what
    /// a handler does belongs to it.
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        self.trace.clone().or_else(|| self.payload.trace_context())
    }

    /// The trace, for log lines.
    pub(crate) fn trace_id(&self) -> Option<DisplayValue<String>> {
        self.trace_context().map(|context| display(context.trace_id().to_string()))
    }

    /// Fires when going on is of no use any more, with the reason.
    #[must_use]
    pub const fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }
}
