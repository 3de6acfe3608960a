//! Spans of the consumer: `receive`, `process` and `delete`, in the traces that messages carry.
//!
//! A process span is a child of the span that sent the message. Receives and deletes are of many messages, so they are linked
//! to the spans of each that is exported; one of a single message belongs to its trace besides.

use std::borrow::Cow;
use std::time::SystemTime;

use upbeat_service::Traces;
use upbeat_service::traces::{Begun, Ended, KeyValue, SpanKind, TraceContext};

use crate::message::Payload;
use crate::outcome::Outcome;
use crate::queue::{QueueError, Received};

/// Where the spans of one queue go, if anywhere.
#[derive(Clone, Debug)]
pub(super) struct Spans {
    traces: Traces,
    queue: String,
}

impl Spans {
    pub(super) fn new(traces: Traces, queue: &str) -> Self {
        Self { traces, queue: queue.to_owned() }
    }

    /// When something begins; `None` if nobody wants to know.
    pub(super) fn now(&self) -> Option<SystemTime> {
        self.traces.is_on().then(SystemTime::now)
    }

    /// A receive has ended. One that brought nothing tells nothing.
    pub(super) fn received(&self, began: Option<SystemTime>, result: &Result<Vec<Received>, QueueError>) {
        let Some(since) = began else { return };
        let (messages, error) = match result {
            Ok(messages) if messages.is_empty() => return,
            Ok(messages) => (&messages[..], None),
            Err(error) => (&[][..], Some(error)),
        };
        let of = messages.iter().filter_map(|message| message.payload.trace_context()).collect();
        self.batch(since, "receive", "receive", messages.len(), of, error);
    }

    /// A message's handler is about to begin.
    pub(super) fn process(&self, payload: &Payload, message_id: &str) -> Option<Begun> {
        if !self.traces.is_on() {
            return None;
        }
        self.traces.begin_message(payload.trace_context(), || payload.id().unwrap_or(message_id).into())
    }

    /// The handler has ended like this.
    pub(super) fn processed(
        &self,
        begun: Option<Begun>,
        message_id: &str,
        attempt: u32,
        outcome: &Outcome,
        how: &'static str,
    ) {
        let Some(begun) = begun else { return };
        self.traces.end(begun, || {
            let mut attributes = self.attributes("process", "process");
            attributes.push(KeyValue::new("messaging.message.id", message_id.to_owned()));
            attributes.push(KeyValue::new("messaging.message.delivery_attempt", i64::from(attempt)));
            attributes.push(KeyValue::new("upbeat.outcome", how));
            let error = match outcome {
                Outcome::Failed { error } => Some((how, Cow::Owned(error.clone()))),
                Outcome::Reject { reason } => Some((how, Cow::Owned(reason.clone()))),
                Outcome::Done | Outcome::Retry { .. } => None,
            };
            Ended {
                name: format!("process {}", self.queue),
                kind: SpanKind::Consumer,
                attributes,
                links: Vec::new(),
                error,
            }
        });
    }

    /// A delete has ended, of messages that were processed by these spans.
    pub(super) fn deleted<T>(
        &self,
        began: Option<SystemTime>,
        messages: usize,
        processed: Vec<TraceContext>,
        result: &Result<T, QueueError>,
    ) {
        let Some(since) = began else { return };
        self.batch(since, "delete", "settle", messages, processed, result.as_ref().err());
    }

    fn batch(
        &self,
        since: SystemTime,
        name: &'static str,
        kind: &'static str,
        messages: usize,
        of: Vec<TraceContext>,
        error: Option<&QueueError>,
    ) {
        let Some(begun) = self.traces.begin_batch(messages, &of, since) else { return };
        self.traces.end(begun, || {
            let links = of.into_iter().filter(TraceContext::is_sampled).collect();
            let mut attributes = self.attributes(name, kind);
            attributes
                .push(KeyValue::new("messaging.batch.message_count", i64::try_from(messages).unwrap_or(i64::MAX)));
            let error = error.map(|error| (error.kind.as_str(), Cow::Owned(error.message.clone())));
            Ended { name: format!("{name} {}", self.queue), kind: SpanKind::Client, attributes, links, error }
        });
    }

    fn attributes(&self, name: &'static str, kind: &'static str) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(8);
        attributes.extend([
            KeyValue::new("messaging.system", "aws_sqs"),
            KeyValue::new("messaging.operation.name", name),
            KeyValue::new("messaging.operation.type", kind),
            KeyValue::new("messaging.destination.name", self.queue.clone()),
        ]);
        attributes
    }
}
