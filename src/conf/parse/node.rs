//! The tree: directives with their values, checked against the table.

use smallvec::SmallVec;
use thin_vec::ThinVec;

use crate::conf::diag::Span;
use crate::conf::keywords::{self, Effect, Entry, Row, Shape};
use crate::conf::lex::Word;
use crate::conf::values::Value;

/// Values of a directive; most have one.
pub type Vals = SmallVec<[Val; 1]>;

/// A directive with everything that belongs to it. A large configuration has a million of them: what most have not takes a word.
#[derive(Debug)]
pub struct Node {
    pub row: &'static Row,
    pub keyword: Word,
    /// Positional values; a bad one is `None`.
    pub values: Vals,
    pub options: ThinVec<Named>,
    pub children: ThinVec<Node>,
    pub entries: ThinVec<Line>,
    /// Words that the directive has no place for.
    pub extra: ThinVec<Word>,
    /// Lines of a value block that were dropped, with a report.
    pub refused: u32,
    /// The block was refused, with a report: there is nothing in it.
    pub skipped: bool,
}

/// A line of a value block.
#[derive(Debug)]
pub struct Line {
    pub values: Vals,
    pub options: Vec<Named>,
    /// The options of each `nexthop` of a route.
    pub hops: Vec<Vec<Named>>,
    pub span: Span,
}

#[derive(Debug)]
pub struct Val {
    pub name: &'static str,
    pub word: Word,
    pub value: Option<Value>,
}

/// A named value.
#[derive(Debug)]
pub struct Named {
    pub name: &'static str,
    pub word: Word,
    pub values: Vals,
}

impl Node {
    pub fn name(&self) -> &'static str {
        self.row.keyword
    }

    pub fn value(&self, name: &str) -> Option<&Value> {
        find(&self.values, name)
    }

    pub fn word(&self, name: &str) -> Option<&Word> {
        self.values.iter().find(|value| value.name == name).map(|value| &value.word)
    }

    /// The first positional value as text, whatever it is called.
    pub fn text(&self) -> Option<&str> {
        match self.values.first()?.value.as_ref()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn int(&self) -> Option<i64> {
        self.values.iter().find_map(|value| match value.value {
            Some(Value::Int(number)) => Some(number),
            _ => None,
        })
    }

    /// Messages in a burst: Keepalived takes 0 for 1, after a report.
    pub fn burst(&self) -> Option<u32> {
        let zero = self.values.first().is_some_and(|value| value.word.text == "0");
        if zero { Some(1) } else { self.int().and_then(|number| u32::try_from(number).ok()) }
    }

    pub fn micros(&self) -> Option<u64> {
        self.values.iter().find_map(|value| match value.value {
            Some(Value::Micros(micros)) => Some(micros),
            _ => None,
        })
    }

    pub fn ip(&self) -> Option<std::net::IpAddr> {
        self.values.iter().find_map(|value| match value.value {
            Some(Value::Ip(address)) => Some(address),
            _ => None,
        })
    }

    /// A switch: a bare word means on; `None` when its value was refused.
    pub fn switch(&self) -> Option<bool> {
        match self.values.first() {
            None => Some(true),
            Some(Val { value: Some(Value::Bool(on)), .. }) => Some(*on),
            Some(_) => None,
        }
    }

    /// Where the first value stands, else the keyword.
    pub fn span(&self) -> Span {
        self.values.first().map_or(self.keyword.span, |value| value.word.span)
    }

    pub fn children(&self, name: &str) -> impl DoubleEndedIterator<Item = &Node> {
        self.children.iter().filter(move |node| node.row.keyword == name && !node.skipped)
    }

    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children(name).next_back()
    }

    /// Whether a directive was written, even if it was refused.
    pub fn wrote(&self, name: &str) -> bool {
        self.children.iter().any(|node| node.row.keyword == name)
    }
}

impl Line {
    pub fn value(&self, name: &str) -> Option<&Value> {
        find(&self.values, name)
    }

    pub fn option(&self, name: &str) -> Option<&Named> {
        self.options.iter().rev().find(|option| option.name == name)
    }

    pub fn first(&self) -> Option<&Val> {
        self.values.first()
    }
}

impl Named {
    pub fn value(&self) -> Option<&Value> {
        self.values.first()?.value.as_ref()
    }

    /// A value by its name, with its word.
    pub fn named(&self, name: &str) -> Option<&Val> {
        self.values.iter().find(|value| value.name == name)
    }
}

fn find<'a>(values: &'a [Val], name: &str) -> Option<&'a Value> {
    values.iter().find(|value| value.name == name)?.value.as_ref()
}

/// The directives that are understood but do nothing yet: each path once, with the place of its first use.
pub fn not_built(nodes: &[Node]) -> Vec<(String, Span)> {
    let mut found: Vec<(String, Span)> = Vec::new();
    let mut path = Vec::new();
    for node in nodes {
        collect_not_built(node, &mut path, &mut found);
    }
    found
}

fn collect_not_built(node: &Node, path: &mut Vec<&'static str>, found: &mut Vec<(String, Span)>) {
    path.push(node.name());
    let mut add = |path: String, span: Span| {
        if found.iter().all(|(known, _)| *known != path) {
            found.push((path, span));
        }
    };
    if node.row.effect == Effect::NotBuilt {
        // What stands inside has no effect either; one line says it for all.
        add(path.join("/"), node.keyword.span);
        path.pop();
        return;
    }
    if matches!(node.row.shape, Shape::Entries(_, Entry::Addresses)) {
        for option in node.entries.iter().flat_map(|line| &line.options) {
            if keywords::find("<addr-entry>", option.name).is_some_and(|(row, _)| row.effect == Effect::NotBuilt) {
                add(format!("{}/{}", path.join("/"), option.name), option.word.span);
            }
        }
    }
    // Nearly all are built, and have no block.
    let more = |child: &&Node| child.row.effect == Effect::NotBuilt || !matches!(child.row.shape, Shape::Words(_));
    for child in node.children.iter().filter(more) {
        collect_not_built(child, path, found);
    }
    path.pop();
}
