//! Nodes as values. What does not fit is kept as an error, and the reading goes on: all that is wrong is told at once.

use std::collections::BTreeMap;

use super::Wrong;
use super::tree::{Entry, Kind, Node};
use super::variables::{Variables, fill_in};

pub(super) struct Reader<'a> {
    pub(super) wrongs: Vec<Wrong>,
    pub(super) notes: Vec<Wrong>,
    variables: Variables<'a>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(variables: Variables<'a>) -> Self {
        Self { wrongs: Vec::new(), notes: Vec::new(), variables }
    }

    pub(super) fn wrong(&mut self, line: usize, why: impl Into<String>) {
        self.wrongs.push(Wrong::new(line, why));
    }

    pub(super) fn note(&mut self, line: usize, what: impl Into<String>) {
        self.notes.push(Wrong::new(line, what));
    }

    /// This key, there, means nothing here; and what does or would do.
    pub(super) fn unsupported(&mut self, line: usize, path: &str, instead: &str) {
        self.wrong(line, format!("{path} is not supported; {instead}"));
    }

    fn unfit(&mut self, node: &Node, path: &str, wanted: &str) {
        self.wrong(node.line, format!("{path} is {}: {wanted} will do", node.noun()));
    }

    /// A map's entries; nothing has none.
    pub(super) fn map<'n>(&mut self, node: &'n Node, path: &str) -> &'n [Entry] {
        match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Nothing => &[],
            _ => {
                self.unfit(node, path, "a map");
                &[]
            }
        }
    }

    /// A text, with variables filled in.
    pub(super) fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        let Kind::Text(text) = &node.kind else {
            self.unfit(node, path, "a word");
            return None;
        };
        let mut unset = Vec::new();
        let filled = fill_in(text, self.variables, &mut unset);
        for name in unset {
            self.note(node.line, format!("{path}: {name} is not set, and taken for empty"));
        }
        match filled {
            Ok(text) => Some(text),
            Err(why) => {
                self.wrong(node.line, format!("{path}: {why}"));
                None
            }
        }
    }

    pub(super) fn truth(&mut self, node: &Node, path: &str) -> bool {
        match self.text(node, path).as_deref() {
            Some("true") => true,
            Some("false") | None => false,
            Some(_) => {
                self.wrong(node.line, format!("{path}: true or false"));
                false
            }
        }
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self, node: &Node, path: &str) -> Option<T> {
        let text = self.text(node, path)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.wrong(node.line, format!("{path}: {text:?} is no number that will do"));
        }
        number
    }

    /// Texts and their lines.
    pub(super) fn texts(&mut self, node: &Node, path: &str) -> Vec<(String, usize)> {
        match &node.kind {
            Kind::List(list) => {
                let mut texts = Vec::new();
                for (n, item) in list.iter().enumerate() {
                    texts.extend(self.text(item, &format!("{path}[{n}]")).map(|text| (text, item.line)));
                }
                texts
            }
            Kind::Nothing => Vec::new(),
            _ => {
                self.unfit(node, path, "a list");
                Vec::new()
            }
        }
    }

    /// One text or several.
    pub(super) fn one_or_more(&mut self, node: &Node, path: &str) -> Vec<(String, usize)> {
        match &node.kind {
            Kind::Text(_) => self.text(node, path).map(|text| (text, node.line)).into_iter().collect(),
            _ => self.texts(node, path),
        }
    }

    /// A command line, split as a shell would, or its words.
    pub(super) fn words(&mut self, node: &Node, path: &str) -> Option<Vec<String>> {
        match &node.kind {
            Kind::Nothing => None,
            Kind::Text(_) => {
                let words = shlex::split(&self.text(node, path)?);
                if words.is_none() {
                    self.wrong(node.line, format!("{path}: a quotation mark without its other"));
                }
                words
            }
            _ => Some(self.texts(node, path).into_iter().map(|(text, _)| text).collect()),
        }
    }

    /// `{name: value}` or `[name=value]`. A name without a value has that of the environment if it is to inherit, and is
    /// left out if there is none; else it is empty.
    pub(super) fn pairs(&mut self, node: &Node, path: &str, inherit: bool) -> BTreeMap<String, String> {
        let variables = self.variables;
        let absent = |name: &str| if inherit { variables(name) } else { Some(String::new()) };
        let mut pairs = BTreeMap::new();
        if let Kind::List(_) = &node.kind {
            for (text, line) in self.texts(node, path) {
                let (name, value) = match text.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (text.as_str(), absent(&text)),
                };
                if pairs.contains_key(name) {
                    self.wrong(line, format!("{path}: {name} is there already"));
                }
                pairs.extend(value.map(|value| (name.to_owned(), value)));
            }
            return pairs;
        }
        for entry in self.map(node, path) {
            let value = match entry.value.kind {
                Kind::Nothing => absent(&entry.key),
                _ => self.text(&entry.value, &format!("{path}.{}", entry.key)),
            };
            pairs.extend(value.map(|value| (entry.key.clone(), value)));
        }
        pairs
    }
}
