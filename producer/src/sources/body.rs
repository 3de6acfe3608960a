//! The messages in the body of a `POST /messages`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::message::{Attribute, Message};

/// The most messages in a request.
pub const MAX_MESSAGES: usize = 1000;

/// Why there are no messages in a body.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BodyError {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// It is JSON of another shape.
    #[error("{0}")]
    Shape(String),
    /// There are too many of them.
    #[error("{0} messages in one request, and it may have at most {MAX_MESSAGES}")]
    TooMany(usize),
}

/// The JSON value itself is the message, byte for byte; of an array each element is one.
pub fn plain(body: &[u8]) -> Result<Vec<Message>, BodyError> {
    Ok(elements(body)?.into_iter().map(|value| Message::new(value.get())).collect())
}

/// An object is a message with attributes and so on; of an array each element is one.
pub fn typed(body: &[u8]) -> Result<Vec<Message>, BodyError> {
    elements(body)?.into_iter().map(|value| Typed::message(value.get())).collect()
}

/// A line's JSON value itself is the message, byte for byte.
pub fn plain_line(line: &[u8]) -> Result<Message, BodyError> {
    let value: &RawValue = serde_json::from_slice(line)?;
    Ok(Message::new(value.get()))
}

/// A line's object is a message with attributes and so on.
pub fn typed_line(line: &[u8]) -> Result<Message, BodyError> {
    let value: &RawValue = serde_json::from_slice(line)?;
    Typed::message(value.get())
}

/// A message with attributes and so on, as the interface's description has it.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "for the description; what is read keeps the text of its parts")]
pub(super) struct Document {
    /// A string is the body itself, any other value is the body as JSON, as it is written.
    body: serde_json::Value,
    /// A string, a number, an array, or an object with a `type` and a `value`.
    attributes: Option<std::collections::HashMap<String, serde_json::Value>>,
    group_id: Option<String>,
    deduplication_id: Option<String>,
    subject: Option<String>,
}

fn elements(body: &[u8]) -> Result<Vec<&RawValue>, BodyError> {
    if body.trim_ascii_start().first() != Some(&b'[') {
        return Ok(vec![serde_json::from_slice(body)?]);
    }
    let Elements { first, count } = serde_json::from_slice(body)?;
    if count > MAX_MESSAGES { Err(BodyError::TooMany(count)) } else { Ok(first) }
}

/// An array's elements, of which no more are kept than a request may have.
struct Elements<'a> {
    first: Vec<&'a RawValue>,
    count: usize,
}

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;

        impl<'de> Visitor<'de> for Array {
            type Value = Elements<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                while first.len() < MAX_MESSAGES {
                    let Some(element) = array.next_element()? else {
                        return Ok(Elements { count: first.len(), first });
                    };
                    first.push(element);
                }
                let mut count = first.len();
                while array.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Elements { first, count })
            }
        }

        deserializer.deserialize_seq(Array)
    }
}

/// A message in `application/vnd.upbeat.message+json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed<'a> {
    /// A string is the body itself, any other value is the body as JSON, byte for byte.
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(borrow, default)]
    attributes: BTreeMap<String, &'a RawValue>,
    group_id: Option<String>,
    deduplication_id: Option<String>,
    subject: Option<String>,
}

/// An attribute with its type spelled out, as AWS does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedAttribute {
    r#type: String,
    value: String,
}

impl Typed<'_> {
    fn message(json: &str) -> Result<Message, BodyError> {
        let Typed { body, attributes, group_id, deduplication_id, subject } = serde_json::from_str(json)?;
        let mut message = Message::new(text(body)?);
        for (name, value) in attributes {
            let value = attribute(value).map_err(|why| BodyError::Shape(format!("attribute {name:?}: {why}")))?;
            message = message.attribute_value(name, value);
        }
        message.group_id = group_id;
        message.deduplication_id = deduplication_id;
        message.subject = subject;
        Ok(message)
    }
}

fn text(value: &RawValue) -> Result<String, BodyError> {
    let json = value.get();
    if json.starts_with('"') { Ok(serde_json::from_str(json)?) } else { Ok(json.to_owned()) }
}

/// A string, a number and an array stand for themselves; an object has a `type` and a `value`.
fn attribute(value: &RawValue) -> Result<Attribute, BodyError> {
    let json = value.get();
    match json.as_bytes() {
        [b'"', ..] => Ok(Attribute::String(text(value)?)),
        [b'-' | b'0'..=b'9', ..] => Ok(Attribute::Number(json.to_owned())),
        [b'[', ..] => Ok(Attribute::StringArray(json.to_owned())),
        [b'{', ..] => typed_attribute(serde_json::from_str(json)?),
        _ => Err(BodyError::Shape("give a string, a number, an array, or a type and a value".to_owned())),
    }
}

fn typed_attribute(TypedAttribute { r#type, value }: TypedAttribute) -> Result<Attribute, BodyError> {
    match r#type.as_str() {
        "String" => Ok(Attribute::String(value)),
        "Number" => Ok(Attribute::Number(value)),
        "String.Array" => Ok(Attribute::StringArray(value)),
        "Binary" => aws_smithy_types::base64::decode(value)
            .map(Attribute::Binary)
            .map_err(|_| BodyError::Shape("the value of a Binary must be base64".to_owned())),
        _ => Err(BodyError::Shape("the type must be String, Number, Binary or String.Array".to_owned())),
    }
}

impl From<serde_json::Error> for BodyError {
    fn from(error: serde_json::Error) -> Self {
        match error.classify() {
            Category::Data => Self::Shape(error.to_string()),
            Category::Io | Category::Syntax | Category::Eof => Self::NotJson(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(json: &str) -> Result<Vec<String>, BodyError> {
        Ok(plain(json.as_bytes())?.into_iter().map(|message| message.body).collect())
    }

    #[test]
    fn a_value_is_the_body_as_it_was_written() {
        for verbatim in ["{\"b\": 1.50,\n  \"a\": \"\\u00e4\"}", "\"text\"", "1e400", "null", "{}"] {
            assert_eq!(bodies(&format!(" {verbatim}\n")), Ok(vec![verbatim.to_owned()]));
        }
    }

    #[test]
    fn an_array_is_a_message_an_element_as_each_was_written() {
        let expected = ["{\"a\" : 1}", "[1, 2]", "\"x\"", "3.0"].map(str::to_owned).to_vec();
        assert_eq!(bodies("[{\"a\" : 1}, [1, 2],\n\"x\" ,3.0]"), Ok(expected));
        assert_eq!(bodies("[]"), Ok(vec![]));
    }

    #[test]
    fn what_is_not_json_is_told_from_json_of_another_shape() {
        for bad in ["", "{", "[1,", "hello", "{} {}", "[1] 2", "\"\u{1}\""] {
            assert!(matches!(bodies(bad), Err(BodyError::NotJson(_))), "{bad}");
        }
        assert!(matches!(plain(b"\"\xff\""), Err(BodyError::NotJson(_))));
        for other in ["1", "{}", "{\"body\":1,\"extra\":2}", "{\"body\":1,\"attributes\":{\"a\":null}}", "[[]]"] {
            assert!(matches!(typed(other.as_bytes()), Err(BodyError::Shape(_))), "{other}");
        }
    }

    #[test]
    fn more_messages_than_allowed_are_refused_together() {
        let array = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(bodies(&array(MAX_MESSAGES)).map(|bodies| bodies.len()), Ok(MAX_MESSAGES));
        assert_eq!(bodies(&array(MAX_MESSAGES + 7)), Err(BodyError::TooMany(MAX_MESSAGES + 7)));
    }

    #[test]
    fn a_typed_message_has_all_that_sns_can_carry() {
        let json = r#"{"body": {"a" : 1}, "subject": "s", "group_id": "g", "deduplication_id": "d", "attributes": {
            "id": "mine", "kind": "order", "count": 1.50, "tags": ["a", "b"],
            "raw": {"type": "Binary", "value": "AQI="}, "n": {"type": "Number", "value": "7"}}}"#;
        let expected = Message::new(r#"{"a" : 1}"#)
            .id("mine")
            .attribute_value("count", Attribute::Number("1.50".to_owned()))
            .attribute("kind", "order")
            .attribute_value("n", Attribute::Number("7".to_owned()))
            .attribute_value("raw", Attribute::Binary(vec![1, 2]))
            .attribute_value("tags", Attribute::StringArray("[\"a\", \"b\"]".to_owned()))
            .subject("s")
            .group_id("g")
            .deduplication_id("d");
        assert_eq!(typed(json.as_bytes()), Ok(vec![expected]));
    }

    #[test]
    fn a_typed_body_that_is_a_string_is_the_text_in_it() {
        assert_eq!(typed(br#"[{"body":"a\n\u00e4"}]"#), Ok(vec![Message::new("a\nä")]));
    }
}
