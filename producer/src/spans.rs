//! A message's span `publish …`, from when it is taken to SNS's confirmation. What goes with the message names it, so that
//! whoever receives the message can go on from there.

use std::borrow::Cow;

use upbeat_service::Traces;
use upbeat_service::traces::{Begun, Ended, KeyValue, SpanKind, TRACEPARENT, TRACESTATE, TraceContext};

use crate::entry::Entry;
use crate::error::SendError;
use crate::message::Attribute;
use crate::publisher::{Description, Receipt};

/// Begins a message's span, in the trace that the message came with or in one of its own, and lets the message carry it,
/// as far as there is room: a message is never refused for its trace. `None` if traces are off, or this one is not exported
/// and began here: nobody needs to hear of it.
pub(crate) fn begin(
    traces: &Traces,
    parent: Option<TraceContext>,
    entry: &mut Entry,
    topic: &Description,
) -> Option<Begun> {
    if !traces.is_on() {
        return None;
    }
    let parent = parent.or_else(|| carried(entry.attributes()));
    let begun = traces.begin_exported(parent, || entry.id().to_string().into())?;
    let context = begun.context();
    if entry.carry(TRACEPARENT, context.traceparent(), topic) {
        match context.tracestate() {
            Some(state) => _ = entry.carry(TRACESTATE, state, topic),
            // What came with another trace is not of this one.
            None => entry.carry_no(TRACESTATE),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    #[derive(Debug)]
    struct Nowhere;

    impl upbeat_service::traces::Exporter for Nowhere {
        async fn export(&self, _: Vec<upbeat_service::traces::SpanData>) -> upbeat_service::traces::Exported {
            Ok(())
        }
    }

    fn entry(message: Message) -> Entry {
        Entry::check(message, &Description::standard("messages"), None).unwrap()
    }

    /// An entry with its span begun, which still is one that the topic takes.
    fn begun(mut message: Message) -> (Entry, Begun) {
        let (traces, topic) = (Traces::to(Nowhere, "test", "0"), Description::standard("messages"));
        let parent = message.trace_parent.take();
        let mut entry = entry(message);
        let begun = begin(&traces, parent, &mut entry, &topic).unwrap();
        let attributes = entry.attributes().iter().cloned();
        let same =
            attributes.fold(Message::new(entry.body()), |message, (name, value)| message.attribute_value(name, value));
        assert_eq!(Entry::check(same, &topic, None).unwrap().bytes(), entry.bytes());
        (entry, begun)
    }

    fn numbered(count: usize) -> Message {
        (0..count).fold(Message::new("x"), |message, n| message.attribute(format!("a{n}"), "v"))
    }

    #[test]
    fn without_traces_a_message_is_left_as_it_is() {
        let mut entry = entry(Message::new("x").attribute("traceparent", "mine"));
        let before = entry.clone();
        assert_eq!(begin(&Traces::default(), None, &mut entry, &Description::standard("messages")), None);
        assert_eq!(entry, before);
    }

    #[test]
    fn a_message_carries_its_span_as_long_as_there_is_room_for_an_attribute() {
        let (entry, begun_here) = begun(numbered(8));
        assert_eq!(carried(entry.attributes()).unwrap().traceparent(), begun_here.context().traceparent());
        assert_eq!(begun(numbered(9)).0.attributes().len(), 9);
    }

    #[test]
    fn a_message_of_the_largest_size_is_not_made_larger() {
        let topic = Description::standard("messages");
        let id = entry("x".into()).bytes() - 1;
        assert!(begun(Message::new("x".repeat(topic.max_bytes - id))).0.attributes().is_empty());
        let (name, short) = (TRACEPARENT, "short");
        let body = "x".repeat(topic.max_bytes - id - name.len() - "String".len() - short.len());
        let (entry, _) = begun(Message::new(body).attribute(name, short));
        assert_eq!(entry.attributes(), [(name.to_owned(), Attribute::String(short.to_owned()))]);
    }

    #[test]
    fn the_trace_that_a_message_comes_with_goes_on() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let carried_by = |message: Message| carried(begun(message).0.attributes()).unwrap();
        let by_attribute = carried_by(Message::new("x").attribute(TRACEPARENT, parent).attribute(TRACESTATE, "a=b"));
        assert_eq!(by_attribute.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(by_attribute.tracestate().as_deref(), Some("a=b"));
        assert_ne!(by_attribute.traceparent(), parent, "it is the message's own span");
        let stateless = Message::new("x").attribute(TRACESTATE, "a=b").trace_parent(TraceContext::parse(parent, None));
        let by_call = carried_by(stateless);
        assert_eq!(by_call.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(by_call.tracestate(), None);
    }

    #[test]
    fn what_begins_here_and_is_not_exported_is_carried_by_no_message() {
        let (traces, topic) = (Traces::to(Nowhere, "test", "0"), Description::standard("messages"));
        let mut entries = (0..1000).map(|_| entry("x".into())).collect::<Vec<_>>();
        let begun = entries.iter_mut().filter_map(|entry| begin(&traces, None, entry, &topic)).count();
        let carrying = entries.iter().filter(|entry| carried(entry.attributes()).is_some()).count();
        assert_eq!(begun, carrying);
        assert!((100..1000).contains(&begun), "{begun}: a hundred a second begin");
        let parent = || TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", None);
        let mut followed = entry("x".into());
        assert!(begin(&traces, parent(), &mut followed, &topic).is_some_and(|begun| !begun.is_exported()));
        assert!(carried(followed.attributes()).is_some_and(|context| !context.is_sampled()));
    }
}
