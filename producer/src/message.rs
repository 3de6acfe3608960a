//! What a caller gives to be published.

use serde::Serialize;
use upbeat_service::traces::TraceContext;

use crate::refusal::Refusal;

/// A message to publish: a body, and whatever of the rest the caller sets.
///
/// Nothing is checked before it is sent; [`Entry::check`](crate::Entry::check) says what SNS would not take.
///
/// ```
/// use upbeat_producer::Message;
/// let message = Message::new(r#"{"order":17}"#).attribute("kind", "order").group_id("customer-4");
/// assert_eq!(message.body(), r#"{"order":17}"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub(crate) body: String,
    pub(crate) id: Option<String>,
    pub(crate) attributes: Vec<(String, Attribute)>,
    pub(crate) subject: Option<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) deduplication_id: Option<String>,
    pub(crate) trace_parent: Option<TraceContext>,
}

/// The value of a message attribute, with its SNS data type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// Text.
    String(String),
    /// A decimal number, as text, so that none of its digits are lost.
    Number(String),
    /// Bytes of any kind; SNS carries them in base64.
    Binary(Vec<u8>),
    /// A JSON array of strings, numbers, booleans and nulls, as text, for filter policies (`String.Array`).
    StringArray(String),
}

impl Message {
    /// A message of this body alone.
    #[must_use]
    pub fn new(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// A message whose body is this value in JSON.
    ///
    /// ```
    /// use upbeat_producer::Message;
    /// assert_eq!(Message::json(&("pen", 2))?.body(), r#"["pen",2]"#);
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    pub fn json(body: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::to_string(body).map(Self::new)
    }

    /// A message of these bytes, taken over without a copy; refused unless they are UTF-8, since SNS carries text only.
    pub fn from_bytes(body: Vec<u8>) -> Result<Self, Refusal> {
        let body = String::from_utf8(body);
        body.map(Self::new).map_err(|error| Refusal::NotUtf8 { at: error.utf8_error().valid_up_to() })
    }

    /// The id that goes with the message as its attribute `id` and into every log line about it;
    /// a fresh `UUIDv7` if none is given.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds a text attribute, in place of an earlier one of that name.
    #[must_use]
    pub fn attribute(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attribute_value(name, Attribute::String(value.into()))
    }

    /// Adds an attribute of any type, in place of an earlier one of that name. A text named `id` is the message's
    /// [`id`](Self::id).
    #[must_use]
    pub fn attribute_value(mut self, name: impl Into<String>, value: Attribute) -> Self {
        let name = name.into();
        match (name.as_str(), value) {
            ("id", Attribute::String(id)) => self.id = Some(id),
            (_, value) => match self.attributes.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => self.attributes.push((name, value)),
            },
        }
        self
    }

    /// The subject, shown by e-mail subscriptions and in SNS's envelope.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The message group: the order that a FIFO topic keeps; on a standard topic the tenant of SQS's fair queues.
    #[must_use]
    pub fn group_id(mut self, group_id: impl Into<String>) -> Self {
        self.group_id = Some(group_id.into());
        self
    }

    /// What a FIFO topic tells repetitions by, for five minutes. Without one, the topic goes by the content if it is
    /// set to, and by the message's [`id`](Self::id) if not.
    #[must_use]
    pub fn deduplication_id(mut self, deduplication_id: impl Into<String>) -> Self {
        self.deduplication_id = Some(deduplication_id.into());
        self
    }

    /// The span that this message comes of; with a producer that [traces](crate::Builder::traces), the message's own span is
    /// its child. An attribute `traceparent` does the same.
    #[must_use]
    pub fn trace_parent(mut self, parent: impl Into<Option<TraceContext>>) -> Self {
        self.trace_parent = parent.into();
        self
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
}

impl Attribute {
    /// The data type as SNS names it.
    #[must_use]
    pub const fn data_type(&self) -> &'static str {
        match self {
            Self::String(_) => "String",
            Self::Number(_) => "Number",
            Self::Binary(_) => "Binary",
            Self::StringArray(_) => "String.Array",
        }
    }

    /// The bytes of the value, as SNS counts them.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::String(text) | Self::Number(text) | Self::StringArray(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there are no bytes, which SNS refuses.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<&str> for Message {
    fn from(body: &str) -> Self {
        Self::new(body)
    }
}

impl From<String> for Message {
    fn from(body: String) -> Self {
        Self::new(body)
    }
}
