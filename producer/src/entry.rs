//! A message that SNS will take, checked before anything waits for it.

use std::fmt;
use std::sync::Arc;

use tracing::field::{DisplayValue, display};
use upbeat_service::traces::Begun;
use uuid::Uuid;

use crate::message::{Attribute, Message};
use crate::publisher::Description;
use crate::refusal::Refusal;
use crate::rules::{self, MAX_ATTRIBUTES, is_token};
use crate::spans;

/// The name of the attribute that carries a message's id.
pub const ID: &str = "id";

/// A message's own id, the same in the log lines of producer and consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Made(Uuid),
    Given(Arc<str>),
}

/// A checked message: it has an id, fits the topic, and has nothing that SNS or SQS would refuse or discard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    id: Id,
    body: String,
    attributes: Vec<(String, Attribute)>,
    subject: Option<String>,
    group_id: Option<Arc<str>>,
    deduplication_id: Option<String>,
    bytes: usize,
    begun: Option<Box<Begun>>,
}

impl Entry {
    /// Checks a message against what the topic takes. Gives it an id if it has none, and on a FIFO topic the group
    /// `default_group` and a deduplication id that is the same however often we retry.
    pub fn check(message: Message, topic: &Description, default_group: Option<&Arc<str>>) -> Result<Self, Refusal> {
        let Message { body, id, attributes, subject, group_id, deduplication_id, trace_parent: _ } = message;
        if body.is_empty() {
            return Err(Refusal::Empty);
        }
        let id = id.map_or_else(Id::default, |id| Id(Kind::Given(id.into())));
        let bytes = body.len() + id.attribute_bytes() + attributes.iter().map(attribute_bytes).sum::<usize>();
        if bytes > topic.max_bytes {
            return Err(Refusal::TooLarge { bytes, limit: topic.max_bytes });
        }
        rules::check_text(&body, || "body".to_owned())?;
        rules::check_attributes(id.given(), &attributes)?;
        rules::check_subject(subject.as_deref())?;
        let group_id = group_id.map(Arc::from).or_else(|| default_group.filter(|_| topic.fifo).cloned());
        rules::check_token("group id", group_id.as_deref())?;
        rules::check_token("deduplication id", deduplication_id.as_deref())?;
        let deduplication_id = match (topic.fifo, deduplication_id) {
            (true, _) if group_id.is_none() => return Err(Refusal::NoGroup),
            (true, None) if !topic.content_based_deduplication => Some(id.to_deduplication_id()),
            (false, Some(_)) => return Err(Refusal::NotFifo),
            (_, given) => given,
        };
        Ok(Self { id, body, attributes, subject, group_id, deduplication_id, bytes, begun: None })
    }

    /// The message's id, which goes with it as the attribute `id`.
    #[must_use]
    pub const fn id(&self) -> &Id {
        &self.id
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The attributes, but for `id`.
    #[must_use]
    pub fn attributes(&self) -> &[(String, Attribute)] {
        &self.attributes
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The message group.
    #[must_use]
    pub const fn group_id(&self) -> Option<&Arc<str>> {
        self.group_id.as_ref()
    }

    /// The deduplication id.
    #[must_use]
    pub fn deduplication_id(&self) -> Option<&str> {
        self.deduplication_id.as_deref()
    }

    /// Lets the message carry one more attribute, or another value of one, if the topic takes it. `false` if it does not.
    pub(crate) fn carry(&mut self, name: &str, value: String, topic: &Description) -> bool {
        let known = self.attributes.iter().position(|(known, _)| known == name);
        let bytes = self.bytes - known.map_or(0, |at| attribute_bytes(&self.attributes[at]));
        let attribute = (name.to_owned(), Attribute::String(value));
        let bytes = bytes + attribute_bytes(&attribute);
        // `id` is one, too.
        if bytes > topic.max_bytes || known.is_none() && self.attributes.len() + 1 >= MAX_ATTRIBUTES {
            return false;
        }
        self.bytes = bytes;
        match known {
            Some(at) => self.attributes[at] = attribute,
            None => self.attributes.push(attribute),
        }
        true
    }

    /// Has the message carry no attribute of this name.
    pub(crate) fn carry_no(&mut self, name: &str) {
        if let Some(at) = self.attributes.iter().position(|(known, _)| known == name) {
            self.bytes -= attribute_bytes(&self.attributes.remove(at));
        }
    }

    /// With its span.
    pub(crate) fn traced(mut self, begun: Option<Begun>) -> Self {
        self.begun = begun.map(Box::new);
        self
    }

    /// Its span, if it has one and did not come back from a disk.
    pub(crate) fn begun(&self) -> Option<&Begun> {
        self.begun.as_deref()
    }

    /// Its trace, for log lines.
    pub(crate) fn trace_id(&self) -> Option<DisplayValue<String>> {
        let context = self.begun().map(Begun::context).cloned().or_else(|| spans::carried(&self.attributes));
        context.map(|context| display(context.trace_id().to_string()))
    }

    /// Leaves the id.
    pub(crate) fn into_id(self) -> Id {
        self.id
    }

    /// What SNS counts against its limit: the body, and each attribute's name, type and value, `id` included.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Id {
    /// What the attribute `id` adds to the message: its name, its type and its value.
    fn attribute_bytes(&self) -> usize {
        let value = match &self.0 {
            Kind::Made(_) => uuid::fmt::Hyphenated::LENGTH,
            Kind::Given(id) => id.len(),
        };
        ID.len() + "String".len() + value
    }

    /// The id, if the sender chose it.
    fn given(&self) -> Option<&str> {
        match &self.0 {
            Kind::Made(_) => None,
            Kind::Given(id) => Some(id),
        }
    }

    /// The id itself where SNS takes it as a deduplication id, so that a caller's own repetition is recognized too.
    fn to_deduplication_id(&self) -> String {
        let id = self.to_string();
        if is_token(&id) { id } else { Self::default().to_string() }
    }
}

impl Default for Id {
    /// A fresh `UUIDv7`: ordered by time, and different each time.
    fn default() -> Self {
        Self(Kind::Made(Uuid::now_v7()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Made(id) => id.as_hyphenated().fmt(formatter),
            Kind::Given(id) => formatter.write_str(id),
        }
    }
}

fn attribute_bytes((name, value): &(String, Attribute)) -> usize {
    name.len() + value.data_type().len() + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::DEFAULT_MAX_BYTES;

    fn check(message: Message) -> Result<Entry, Refusal> {
        Entry::check(message, &Description::standard("messages"), None)
    }

    fn check_fifo(message: Message, content_based_deduplication: bool) -> Result<Entry, Refusal> {
        Entry::check(message, &Description { content_based_deduplication, ..Description::fifo("messages.fifo") }, None)
    }

    #[test]
    fn bytes_are_counted_as_sns_does_with_names_types_and_values_of_attributes() {
        // `id`, `String`, and a UUID of 36 characters.
        let id = 2 + 6 + 36;
        assert_eq!(check("häh".into()).unwrap().bytes(), 4 + id);
        let message = Message::new("x").attribute("kind", "order").attribute_value("n", Attribute::Number("12".into()));
        assert_eq!(check(message).unwrap().bytes(), 1 + id + (4 + 6 + 5) + (1 + 6 + 2));
        let message = Message::new("x").id("seven").attribute_value("b", Attribute::Binary(vec![0; 9]));
        assert_eq!(check(message).unwrap().bytes(), 1 + (2 + 6 + 5) + (1 + 6 + 9));
    }

    #[test]
    fn a_message_of_exactly_the_limit_is_taken_and_one_byte_more_is_refused_with_the_limit() {
        let fits = DEFAULT_MAX_BYTES - (2 + 6 + 36);
        assert_eq!(check("x".repeat(fits).into()).unwrap().bytes(), DEFAULT_MAX_BYTES);
        let refusal = check("x".repeat(fits + 1).into()).unwrap_err();
        assert_eq!(refusal, Refusal::TooLarge { bytes: DEFAULT_MAX_BYTES + 1, limit: DEFAULT_MAX_BYTES });
        assert!(refusal.to_string().contains("262144"));
        let large = Description { max_bytes: 1024 * 1024, ..Description::standard("messages") };
        assert!(Entry::check("x".repeat(fits + 1).into(), &large, None).is_ok());
    }

    #[test]
    fn an_empty_body_is_refused() {
        assert_eq!(check("".into()), Err(Refusal::Empty));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_place() {
        assert_eq!(Message::from_bytes(b"ab\xffcd".to_vec()), Err(Refusal::NotUtf8 { at: 2 }));
        assert_eq!(Message::from_bytes("ä".into()), Ok(Message::new("ä")));
    }

    #[test]
    fn an_id_of_the_senders_own_is_kept_and_each_message_without_one_gets_a_fresh_one() {
        assert_eq!(check(Message::new("x").id("mine")).unwrap().id().to_string(), "mine");
        assert_eq!(check(Message::new("x").attribute("id", "mine")).unwrap().id().to_string(), "mine");
        let ids = [(); 2].map(|()| check("x".into()).unwrap().id().to_string());
        assert_ne!(ids[0], ids[1]);
        assert!(ids[0] < ids[1], "a UUIDv7 is ordered by time");
        assert_eq!(ids[0].parse::<Uuid>().unwrap().get_version_num(), 7);
    }

    #[test]
    fn a_fifo_topic_needs_a_group_unless_there_is_a_default_one() {
        assert_eq!(check_fifo("x".into(), false), Err(Refusal::NoGroup));
        assert_eq!(check_fifo(Message::new("x").deduplication_id("d"), false), Err(Refusal::NoGroup));
        let group: Arc<str> = "all".into();
        let entry = Entry::check("x".into(), &Description::fifo("messages.fifo"), Some(&group)).unwrap();
        assert_eq!(entry.group_id(), Some(&group));
        let entry = Entry::check("x".into(), &Description::standard("messages"), Some(&group)).unwrap();
        assert_eq!(entry.group_id(), None, "a standard topic needs none");
    }

    #[test]
    fn a_deduplication_id_is_kept_left_to_the_topic_or_made_from_the_id() {
        let message = Message::new("x").id("mine").group_id("g");
        let deduplication_id = |message: &Message, by_content| {
            let entry = check_fifo(message.clone(), by_content).unwrap();
            entry.deduplication_id().map(str::to_owned)
        };
        assert_eq!(deduplication_id(&message, false).as_deref(), Some("mine"));
        assert_eq!(deduplication_id(&message, true), None);
        let given = message.clone().deduplication_id("given");
        assert_eq!(deduplication_id(&given, true).as_deref(), Some("given"));
        let unfit = message.id("an id with spaces");
        let made = deduplication_id(&unfit, false).unwrap();
        assert!(
            made.parse::<Uuid>().is_ok(),
            "an id that SNS does not take there has a fresh one in its place: {made}"
        );
    }

    #[test]
    fn a_standard_topic_takes_a_group_for_fair_queues_and_no_deduplication_id() {
        assert!(check(Message::new("x").group_id("tenant")).is_ok());
        assert_eq!(check(Message::new("x").deduplication_id("d")), Err(Refusal::NotFifo));
    }
}
