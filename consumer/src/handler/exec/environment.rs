//! What a command is told of its message, as environment variables.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use upbeat_service::traces::TraceContext;

use crate::message::{Attribute, AttributeValue, Message};

/// Names and values; of variables with the same name, the last counts.
pub(super) fn environment(message: &Message) -> Vec<(String, String)> {
    // As tools that trace expect them: the OpenTelemetry specification's names for a context in the environment.
    let trace = message.trace_context();
    let trace = [
        ("TRACEPARENT", trace.as_ref().map(TraceContext::traceparent)),
        ("TRACESTATE", trace.as_ref().and_then(TraceContext::tracestate)),
    ];
    let trace = trace.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let own = [
        ("MESSAGE_ID", message.id().to_owned()),
        ("MESSAGE_ATTEMPT", message.attempt().to_string()),
        ("MESSAGE_GROUP", message.delivery().group.as_deref().unwrap_or_default().to_owned()),
    ];
    let mut attributes: Vec<_> = message.attributes().iter().collect();
    // `a_b` is called so, `a-b` only made so.
    attributes.sort_by_key(|(name, _)| variable(name) == **name);
    let attributes =
        attributes.into_iter().map(|(name, attribute)| (format!("ATTRIBUTE_{}", variable(name)), text(attribute)));
    let all = own.into_iter().chain(trace).map(|(name, value)| (name.to_owned(), value)).chain(attributes);
    // A NUL would end the variable early; the process would not start with one.
    all.filter(|(_, value)| !value.contains('\0')).collect()
}

/// A shell drops variables whose names it can't say.
fn variable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn text(attribute: &Attribute) -> String {
    match &attribute.value {
        AttributeValue::Text(text) => text.clone(),
        AttributeValue::Binary(bytes) => BASE64_STANDARD.encode(bytes),
    }
}
