//! A message's span `publish …`, from when it is taken to SNS's confirmation. What goes with the message names it, so that
//! whoever receives the message can go on from there.

use std::borrow::Cow;

use upbeat_service::Traces;
use upbeat_service::traces::{Begun, Ended, KeyValue, SpanKind, TRACEPARENT, TRACESTATE, TraceContext};

use crate::entry::{Entry, ID};
use crate::error::SendError;
use crate::message::{Attribute, Message};
use crate::publisher::{Description, Receipt};
use crate::rules::MAX_ATTRIBUTES;

/// The type and length of what goes along, as SNS counts them.
const TYPE: usize = "String".len();
const LENGTH: usize = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".len();

/// A `UUID` in text; longer ids are the sender's own.
const ID_LENGTH: usize = 36;

/// Begins a message's span, in the trace that the message came with or in one of its own, and lets the message carry it,
/// as far as there is room: a message is never refused for its trace. `None` if traces are off.
pub(crate) fn begin(traces: &Traces, message: &mut Message, topic: &Description) -> Option<Begun> {
    if !traces.is_on() {
        return None;
    }
    let parent = message.trace_parent.take().or_else(|| carried(&message.attributes));
    let begun = traces.begin(parent)?;
    let context = begun.context();
    if room(message, topic, TRACEPARENT.len() + TYPE + LENGTH) || has(message, TRACEPARENT) {
        set(message, TRACEPARENT, context.traceparent());
        match context.tracestate() {
            Some(state) if has(message, TRACESTATE) || room(message, topic, TRACESTATE.len() + TYPE + state.len()) => {
                set(message, TRACESTATE, state);
            }
            Some(_) => {}
            // What came with another trace is not of this one.
            None => message.attributes.retain(|(name, _)| name != TRACESTATE),
        }
    }
    Some(begun)
}

/// The context that attributes carry.
pub(crate) fn carried(attributes: &[(String, Attribute)]) -> Option<TraceContext> {
    let text = |wanted: &str| match attributes.iter().find(|(name, _)| name == wanted) {
        Some((_, Attribute::String(text))) => Some(text.as_str()),
        _ => None,
    };
    TraceContext::parse(text(TRACEPARENT)?, text(TRACESTATE))
}

/// The topic holds the message.
pub(crate) fn published(traces: &Traces, topic: &Description, entry: &Entry, receipt: &Receipt) {
    end(traces, topic, entry, |attributes| {
        attributes.push(KeyValue::new("messaging.message.id", receipt.message_id.clone()));
        None
    });
}

/// The message was not published, and will not be by this process.
pub(crate) fn failed(traces: &Traces, topic: &Description, entry: &Entry, error: &SendError) {
    end(traces, topic, entry, |_| {
        let kind = match error {
            SendError::Refused(_) => "refused",
            SendError::Unpublished { .. } => "given_up",
            _ => "abandoned",
        };
        Some((kind, error.to_string().into()))
    });
}

fn end(
    traces: &Traces,
    topic: &Description,
    entry: &Entry,
    with: impl FnOnce(&mut Vec<KeyValue>) -> Option<(&'static str, Cow<'static, str>)>,
) {
    if !traces.is_on() {
        return;
    }
    // What came back from the disk is known by what it carries.
    let begun = entry.begun().cloned().or_else(|| carried(entry.attributes()).map(Begun::known_by));
    let Some(begun) = begun else { return };
    traces.end(begun, || {
        let mut attributes = Vec::with_capacity(8);
        attributes.extend([
            KeyValue::new("messaging.system", "aws.sns"),
            KeyValue::new("messaging.operation.name", "publish"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.destination.name", topic.name.clone()),
            KeyValue::new("messaging.message.body.size", i64::try_from(entry.body().len()).unwrap_or(i64::MAX)),
            KeyValue::new("upbeat.id", entry.id().to_string()),
        ]);
        let error = with(&mut attributes);
        Ended {
            name: format!("publish {}", topic.name),
            kind: SpanKind::Producer,
            attributes,
            links: Vec::new(),
            error,
        }
    });
}

fn has(message: &Message, wanted: &str) -> bool {
    message.attributes.iter().any(|(name, _)| name == wanted)
}

/// Whether an attribute of so many bytes more would be taken.
fn room(message: &Message, topic: &Description, more: usize) -> bool {
    let id = ID.len() + TYPE + message.id.as_ref().map_or(ID_LENGTH, String::len);
    let attributes = message.attributes.iter().map(|(name, value)| name.len() + value.data_type().len() + value.len());
    // `id` is one, too.
    message.attributes.len() + 1 < MAX_ATTRIBUTES
        && message.body.len() + id + attributes.sum::<usize>() + more <= topic.max_bytes
}

fn set(message: &mut Message, name: &str, value: String) {
    match message.attributes.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = Attribute::String(value),
        None => message.attributes.push((name.to_owned(), Attribute::String(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nowhere;

    impl upbeat_service::traces::Exporter for Nowhere {
        async fn export(&self, _: Vec<upbeat_service::traces::SpanData>) -> upbeat_service::traces::Exported {
            Ok(())
        }
    }

    fn begin_on(message: &mut Message) -> Begun {
        begin(&Traces::to(Nowhere, "test", "0"), message, &Description::standard("messages")).unwrap()
    }

    fn numbered(count: usize) -> Message {
        (0..count).fold(Message::new("x"), |message, n| message.attribute(format!("a{n}"), "v"))
    }

    #[test]
    fn without_traces_a_message_is_left_as_it_is() {
        let mut message = Message::new("x").attribute("traceparent", "mine");
        assert_eq!(begin(&Traces::default(), &mut message, &Description::standard("messages")), None);
        assert_eq!(message, Message::new("x").attribute("traceparent", "mine"));
    }

    #[test]
    fn a_message_carries_its_span_as_long_as_there_is_room_for_an_attribute() {
        let mut message = numbered(8);
        let begun = begin_on(&mut message);
        assert_eq!(carried(&message.attributes).unwrap().traceparent(), begun.context().traceparent());
        let mut full = numbered(9);
        begin_on(&mut full);
        assert_eq!(full, numbered(9));
        assert!(Entry::check(full, &Description::standard("messages"), None).is_ok());
    }

    #[test]
    fn a_message_of_the_largest_size_is_not_made_larger() {
        let topic = Description::standard("messages");
        let mut message = Message::new("x".repeat(topic.max_bytes - (ID.len() + TYPE + ID_LENGTH)));
        begin_on(&mut message);
        assert!(message.attributes.is_empty());
        assert!(Entry::check(message, &topic, None).is_ok());
    }

    #[test]
    fn the_trace_that_a_message_comes_with_goes_on() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let carried_by = |message: &Message| carried(&message.attributes).unwrap();
        let mut by_attribute = Message::new("x").attribute(TRACEPARENT, parent).attribute(TRACESTATE, "a=b");
        begin_on(&mut by_attribute);
        assert_eq!(carried_by(&by_attribute).trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(carried_by(&by_attribute).tracestate().as_deref(), Some("a=b"));
        assert_ne!(carried_by(&by_attribute).traceparent(), parent, "it is the message's own span");
        let mut by_call = Message::new("x").trace_parent(TraceContext::parse(parent, None));
        begin_on(&mut by_call);
        assert_eq!(carried_by(&by_call).trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }
}
