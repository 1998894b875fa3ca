//! YAML of lock files, as a small value within bounds.
//!
//! Every scalar is text, whatever it looks like: a version `1.10` is no number. An alias shares the value that it
//! refers to instead of copying it, and is counted as if it copied it, so that a file that would expand without end is
//! refused, and whoever walks a value has at most [`MAX_NODES`] steps to take.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

/// Values of one file, at most, each alias counted with all that it stands for. The largest real lock files have a
/// quarter of it.
const MAX_NODES: usize = 500_000;
/// Anchors of one file, at most. Lock files have none.
const MAX_ANCHORS: usize = 10_000;
/// How deep lists and maps may be nested. Lock files have six levels.
const MAX_DEPTH: usize = 64;

/// Why a text is no YAML, or more of it than is read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum YamlError {
    /// It breaks the grammar.
    #[error("{0}")]
    Syntax(String),
    /// An alias for nothing, or for a value that it is part of itself.
    #[error("an alias refers to nothing, or to itself")]
    Alias,
    /// A bound is passed.
    #[error("it has more values, or deeper ones, than are read of one file")]
    TooLarge,
}

/// The documents of a file.
#[derive(Debug, Default)]
pub(crate) struct Yaml {
    nodes: Vec<Node>,
    documents: Vec<NodePlace>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NodePlace(usize);

#[derive(Debug)]
struct Node {
    content: Content,
    /// How many values it stands for, itself included.
    weight: usize,
}

#[derive(Debug)]
enum Content {
    Null,
    Text(Box<str>),
    /// What is in it counts for nothing in a lock file.
    List,
    Map(Vec<(NodePlace, NodePlace)>),
}

/// A value inside a [`Yaml`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct YamlValue<'a> {
    yaml: &'a Yaml,
    place: NodePlace,
}

impl Yaml {
    /// Reads all documents of `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, YamlError> {
        let mut reader =
            Reader { parser: Parser::new_from_str(text), yaml: Self::default(), anchors: HashMap::new() };
        reader.read()?;
        Ok(reader.yaml)
    }

    /// The documents in their order.
    pub(crate) fn documents(&self) -> impl DoubleEndedIterator<Item = YamlValue<'_>> {
        self.documents.iter().map(|&place| YamlValue { yaml: self, place })
    }
}

impl<'a> YamlValue<'a> {
    fn content(self) -> &'a Content {
        self.yaml.nodes.get(self.place.0).map_or(&Content::Null, |node| &node.content)
    }

    fn at(self, place: NodePlace) -> Self {
        Self { yaml: self.yaml, place }
    }

    /// Whether nothing stands there.
    pub(crate) fn is_null(self) -> bool {
        matches!(self.content(), Content::Null)
    }

    /// Whether it is a map.
    pub(crate) fn is_map(self) -> bool {
        matches!(self.content(), Content::Map(_))
    }

    /// The text of a scalar.
    pub(crate) fn text(self) -> Option<&'a str> {
        match self.content() {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What a map has under a name: of several the last. A step for each name of the map.
    pub(crate) fn get(self, name: &str) -> Option<Self> {
        let Content::Map(pairs) = self.content() else { return None };
        pairs
            .iter()
            .rev()
            .find(|(key, _)| self.at(*key).text() == Some(name))
            .map(|(_, value)| self.at(*value))
    }

    /// The names of a map and what is under them, in order, a name that comes twice twice. Empty for what is no map.
    pub(crate) fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        let pairs = match self.content() {
            Content::Map(pairs) => pairs.as_slice(),
            _ => &[],
        };
        pairs.iter().filter_map(move |(key, value)| Some((self.at(*key).text()?, self.at(*value))))
    }

    /// The names of a map that have a text, with it.
    pub(crate) fn texts(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.entries().filter_map(|(name, value)| Some((name, value.text()?)))
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    yaml: Yaml,
    /// Finished values by the number of their anchor.
    anchors: HashMap<usize, NodePlace>,
}

/// A list or a map that is being read.
struct Open {
    is_map: bool,
    anchor: usize,
    children: Vec<NodePlace>,
    weight: usize,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), YamlError> {
        let mut open: Vec<Open> = Vec::new();
        // All values so far, aliases with what they stand for.
        let mut count = 0;
        while let Some(event) = self.parser.next_event() {
            let (event, _) = event.map_err(|error| YamlError::Syntax(error.to_string()))?;
            let finished = match event {
                Event::Scalar(text, style, anchor, _) => {
                    let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~");
                    let content = if is_null {
                        Content::Null
                    } else {
                        Content::Text(text.into_owned().into_boxed_str())
                    };
                    self.finish(Node { content, weight: 1 }, anchor)
                }
                Event::Alias(anchor) => *self.anchors.get(&anchor).ok_or(YamlError::Alias)?,
                Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                    if open.len() == MAX_DEPTH {
                        return Err(YamlError::TooLarge);
                    }
                    let is_map = matches!(event, Event::MappingStart(..));
                    open.push(Open { is_map, anchor, children: Vec::new(), weight: 1 });
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                    Some(Open { is_map, anchor, children, weight }) => {
                        let content = if is_map { map(&children) } else { Content::List };
                        self.finish(Node { content, weight }, anchor)
                    }
                    None => continue,
                },
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {
                    continue;
                }
            };
            let weight = self.yaml.nodes.get(finished.0).map_or(1, |node| node.weight);
            match open.last_mut() {
                Some(parent) => {
                    parent.weight = parent.weight.saturating_add(weight);
                    parent.children.push(finished);
                    count = open.iter().fold(0, |sum: usize, open| sum.saturating_add(open.weight));
                }
                None => self.yaml.documents.push(finished),
            }
            if count > MAX_NODES || self.yaml.nodes.len() > MAX_NODES || self.anchors.len() > MAX_ANCHORS {
                return Err(YamlError::TooLarge);
            }
        }
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize) -> NodePlace {
        let place = NodePlace(self.yaml.nodes.len());
        self.yaml.nodes.push(node);
        // Zero is no anchor.
        if anchor > 0 {
            self.anchors.insert(anchor, place);
        }
        place
    }
}

/// Keys and values take turns.
fn map(children: &[NodePlace]) -> Content {
    let pairs = children.chunks_exact(2).filter_map(|pair| match pair {
        &[key, value] => Some((key, value)),
        _ => None,
    });
    Content::Map(pairs.collect())
}

#[cfg(test)]
mod tests;
