//! What the endpoint is told of a message, as headers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::message::{Attribute, AttributeValue, Message};

/// What the names of our own headers begin with.
pub const PREFIX: &str = "upbeat-";

/// Percent itself too, so that decoding brings back exactly what was sent.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// In names: all that is not a token (RFC 9110, 5.6.2) or means an encoding.
const ENCODED_IN_NAMES: &AsciiSet = &ENCODED
    .add(b' ')
    .add(b'"')
    .add(b'(')
    .add(b')')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}');

/// Trace context (W3C) of the span in which the handler runs, or as the attributes of the same names carry it.
const TRACE_CONTEXT: [HeaderName; 2] = [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];

/// All headers that tell of the message.
pub(super) fn headers(message: &Message) -> HeaderMap {
    let delivery = message.delivery();
    let mut headers = HeaderMap::with_capacity(8 + message.attributes().len());
    let mut add = |name: &str, value: HeaderValue| {
        if let Ok(name) = HeaderName::try_from(format!("{PREFIX}{name}")) {
            headers.append(name, value);
        }
    };
    add("id", text(message.id()));
    add("message-id", text(&delivery.message_id));
    add("attempt", message.attempt().into());
    if let Some(group) = &delivery.group {
        add("group", text(group));
    }
    if let Some(at) = delivery.first_received_at {
        add("first-received", text(&humantime::format_rfc3339_millis(at).to_string()));
    }
    for (name, attribute) in message.attributes().iter() {
        add(&format!("attribute-{}", percent_encode(name.as_bytes(), ENCODED_IN_NAMES)), value(attribute));
    }
    if let Some(context) = message.trace_context() {
        let values = [Some(context.traceparent()), context.tracestate()];
        for (name, value) in TRACE_CONTEXT.into_iter().zip(values) {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
    }
    let content_type = verbatim(message, &CONTENT_TYPE).unwrap_or_else(|| guess(message.body()));
    headers.insert(CONTENT_TYPE, content_type);
    headers
}

/// The attribute of this name, if a header can say the same.
fn verbatim(message: &Message, name: &HeaderName) -> Option<HeaderValue> {
    let mut attributes = message.attributes().iter();
    let (_, attribute) = attributes.find(|(known, _)| known.eq_ignore_ascii_case(name.as_str()))?;
    attribute.text().filter(|text| !text.is_empty()).and_then(|text| HeaderValue::try_from(text).ok())
}

/// Parsing the body to be sure would cost more than all the rest.
fn guess(body: &str) -> HeaderValue {
    let json = body.trim_ascii_start().starts_with(['{', '[']);
    HeaderValue::from_static(if json { "application/json" } else { "text/plain; charset=utf-8" })
}

fn value(attribute: &Attribute) -> HeaderValue {
    match &attribute.value {
        AttributeValue::Text(value) => text(value),
        AttributeValue::Binary(bytes) => text(&BASE64_STANDARD.encode(bytes)),
    }
}

/// Spaces at either end would be taken for the header's own.
fn text(value: &str) -> HeaderValue {
    let inner = value.trim_matches(' ');
    let before = value.len() - value.trim_start_matches(' ').len();
    let after = value.len() - inner.len() - before;
    let (before, after) = if inner.is_empty() { (value.len(), 0) } else { (before, after) };
    let encoded =
        format!("{}{}{}", "%20".repeat(before), percent_encode(inner.as_bytes(), ENCODED), "%20".repeat(after));
    // All that is left is printable ASCII, which a header may have.
    HeaderValue::try_from(encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_comes_out_of_its_header_as_it_went_in(sent in "(?s)( {0,3}.{0,20}[ %\t\n\u{e4}\u{1f600}]?){0,3}") {
            let header = text(&sent);
            prop_assert_eq!(header.to_str().unwrap().trim_ascii(), header.to_str().unwrap());
            let decoded: Vec<u8> = percent_decode(header.as_bytes()).collect();
            prop_assert_eq!(decoded, sent.as_bytes());
        }

        #[test]
        fn every_name_of_an_attribute_can_be_a_headers(name in "(?s).{0,20}") {
            let encoded = percent_encode(name.as_bytes(), ENCODED_IN_NAMES).to_string();
            prop_assert!(HeaderName::try_from(format!("{PREFIX}{encoded}")).is_ok(), "{}", encoded);
        }
    }

    #[test]
    fn plain_text_is_left_as_it_is() {
        assert_eq!(text("two words, \"quoted\" & 3/4"), "two words, \"quoted\" & 3/4");
        assert_eq!(text("100 %"), "100 %25");
        assert_eq!(text(" ä "), "%20%C3%A4%20");
        assert_eq!(text("   "), "%20%20%20");
    }

    #[test]
    fn the_content_type_is_guessed_by_the_first_character() {
        assert_eq!(guess(" \n{\"a\": 1}"), "application/json");
        assert_eq!(guess("[1]"), "application/json");
        assert_eq!(guess("hello"), "text/plain; charset=utf-8");
        assert_eq!(guess(""), "text/plain; charset=utf-8");
    }
}
