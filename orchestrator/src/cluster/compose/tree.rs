//! YAML as a tree that knows its lines: anchors, aliases and merge keys (`<<`) are resolved.
//!
//! By a parser of events: what reads YAML into types has forgotten the lines by then, and passes over keys that it does
//! not know, or finds one wrong key among many ways to read it.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::Wrong;

/// More than anybody writes: a few lines of aliases of aliases can be billions of nodes.
const MOST_NODES: usize = 100_000;

/// More than anybody needs.
const DEEPEST: usize = 64;

/// A node, and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Nothing, or `null`.
    Nothing,
    /// Whatever is written as one word or text. What it is besides, is for whoever wants a number.
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Node,
}

/// A list or a map that has not ended yet.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<(String, usize)>,
    merged: Vec<Node>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
}

/// The one document of this text.
pub(super) fn parse(text: &str) -> Result<Node, Wrong> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let line = error.marker().line();
            Wrong::new(line, format!("this is no YAML: {}", error.info()))
        })?;
        builder.take(event, span.start.line())?;
    }
    Ok(builder.root.unwrap_or(Node { line: 1, kind: Kind::Nothing }))
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), Wrong> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err(Wrong::new(line, "a second document is not supported"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), line)?;
                let plain = style == ScalarStyle::Plain;
                // Only a key can be one.
                if plain && text == "<<" && self.open.last().is_some_and(Open::wants_key) {
                    return self.key("<<".to_owned(), line);
                }
                let nothing = plain && ["", "~", "null", "Null", "NULL"].contains(&&*text);
                let kind = if nothing { Kind::Nothing } else { Kind::Text(text.into_owned()) };
                self.add(Node { line, kind }, anchor)?;
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Wrong::new(line, "an alias within what it stands for"));
                };
                self.nodes += count(&node);
                self.add(node, 0)?;
            }
            Event::SequenceStart(anchor, tag) => self.begin(Kind::List(Vec::new()), anchor, tag.is_some(), line)?,
            Event::MappingStart(anchor, tag) => self.begin(Kind::Map(Vec::new()), anchor, tag.is_some(), line)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let anchor = open.anchor;
                    self.add(open.end()?, anchor)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, kind: Kind, anchor: usize, tagged: bool, line: usize) -> Result<(), Wrong> {
        refuse_tag(tagged, line)?;
        if self.open.len() >= DEEPEST {
            return Err(Wrong::new(line, format!("more than {DEEPEST} levels are not supported")));
        }
        self.open.push(Open { node: Node { line, kind }, anchor, key: None, merged: Vec::new() });
        Ok(())
    }

    fn key(&mut self, key: String, line: usize) -> Result<(), Wrong> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        if let Kind::Map(entries) = &open.node.kind
            && let Some(first) = entries.iter().find(|entry| entry.key == key)
        {
            return Err(Wrong::new(line, format!("{key} is there already, in line {}", first.line)));
        }
        open.key = Some((key, line));
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Wrong> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err(Wrong::new(node.line, "with its aliases, this is too long"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.kind {
            Kind::List(list) => list.push(node),
            Kind::Map(entries) => match open.key.take() {
                Some((key, _)) if key == "<<" => open.merged.push(node),
                Some((key, line)) => entries.push(Entry { key, line, value: node }),
                None => match node.kind {
                    Kind::Text(key) => self.key(key, node.line)?,
                    _ => return Err(Wrong::new(node.line, "a key is a word")),
                },
            },
            _ => {}
        }
        Ok(())
    }
}

impl Open {
    fn wants_key(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_)) && self.key.is_none()
    }

    /// What is merged in gives way to what is written, and to what was merged before.
    fn end(mut self) -> Result<Node, Wrong> {
        let Kind::Map(entries) = &mut self.node.kind else { return Ok(self.node) };
        for merged in self.merged {
            let maps = match merged.kind {
                Kind::List(list) => list,
                _ => vec![merged],
            };
            for map in maps {
                let Kind::Map(others) = map.kind else { return Err(Wrong::new(map.line, "<< takes a map or several")) };
                for other in others {
                    if !entries.iter().any(|entry| entry.key == other.key) {
                        entries.push(other);
                    }
                }
            }
        }
        Ok(self.node)
    }
}

fn refuse_tag(tagged: bool, line: usize) -> Result<(), Wrong> {
    if tagged { Err(Wrong::new(line, "tags (!…) are not supported")) } else { Ok(()) }
}

fn count(node: &Node) -> usize {
    match &node.kind {
        Kind::Nothing | Kind::Text(_) => 1,
        Kind::List(list) => list.iter().map(count).sum::<usize>() + 1,
        Kind::Map(entries) => entries.iter().map(|entry| count(&entry.value)).sum::<usize>() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As one line, with the line of each key.
    fn shown(node: &Node) -> String {
        match &node.kind {
            Kind::Nothing => "-".to_owned(),
            Kind::Text(text) => text.clone(),
            Kind::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Kind::Map(entries) => {
                let shown = entries.iter().map(|entry| format!("{}@{}={}", entry.key, entry.line, shown(&entry.value)));
                format!("{{{}}}", shown.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn keys_know_their_lines_and_what_is_merged_gives_way() {
        let text = "x: &x\n  a: 1\n  b: [2, 'null', ~]\ny:\n  <<: *x\n  a: 3\nz:\n  <<: [{c: 4}, *x, {a: 5}]\n";
        let tree = parse(text).unwrap();
        let b = "b@3=[2 null -]";
        assert_eq!(shown(&tree), format!("{{x@1={{a@2=1 {b}}} y@4={{a@6=3 {b}}} z@7={{c@8=4 a@2=1 {b}}}}}"));
    }

    #[test]
    fn what_is_no_tree_is_refused_with_its_line() {
        let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
            let last = format!("*a{}", n - 1);
            format!("{text}a{n}: &a{n} [{}]\n", vec![last; 9].join(", "))
        });
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        for (text, line, why) in [
            ("a: 1\nb: 2\na: 3", 3, "already, in line 1"),
            ("a: 1\n---\nb: 2", 2, "second document"),
            ("a: 1\nb: !!binary x", 2, "tags"),
            ("a: 1\nb: !x {}", 2, "tags"),
            ("a: &a\n  b: *a", 2, "within"),
            ("a: 1\nb: {<<: 3}", 2, "map"),
            ("a: 1\n[b]: 2", 2, "key"),
            ("a: 1\n b: [", 2, "no YAML"),
            (&bomb, 6, "too long"),
            (&deep, 1, "levels"),
        ] {
            let wrong = parse(text).unwrap_err();
            assert!(wrong.why.contains(why), "{text}: {wrong:?}");
            assert!(wrong.line == line || why == "too long", "{text}: {wrong:?}");
        }
    }
}
