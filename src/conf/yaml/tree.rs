//! YAML text as a tree of lists, mappings and words, each of which can say where it stands.
//!
//! The parser tells places only in errors. A place is therefore asked for by reading the text once more and failing on
//! purpose at the end of a [`Path`]; that is done for what is wrong only.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a file of 256 KiB can hold without aliases that multiply.
const NODES_MAX: usize = 65_536;

/// One turn on the way from the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Item(usize),
    /// The key of that entry.
    Key(usize),
    /// Its value.
    Value(usize),
}

pub(super) type Path = Vec<Turn>;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) path: Path,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Nothing, `~` or `null`.
    Nothing,
    /// The text as it stands in the file, also of what YAML would take for a number.
    Word(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Where, counting from 1, and what.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) place: Option<(u32, u32)>,
    pub(super) message: String,
}

/// Reads one document. Text without one is nothing.
pub(super) fn read(text: &str) -> Result<Node, Broken> {
    let says_something = |line: &str| !(line.trim().is_empty() || line.trim_start().starts_with('#'));
    if !text.lines().any(says_something) {
        return Ok(Node { path: vec![], kind: Kind::Nothing });
    }
    let left = Cell::new(NODES_MAX);
    let seed = Plant { path: vec![], left: &left };
    let mut root = seed.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
        let second = || serde_yaml::Deserializer::from_str(text).nth(1);
        match (error.location().is_none(), second()) {
            (true, Some(second)) => {
                let place = End(&[]).deserialize(second).err().and_then(|error| broken(error).place);
                Broken { place, message: "only one document is expected in this file".to_owned() }
            }
            _ => broken(error),
        }
    })?;
    spell(text, &mut root);
    Ok(root)
}

/// Line and column of what `path` leads to.
pub(super) fn place(text: &str, path: &[Turn]) -> Option<(u32, u32)> {
    let error = End(path).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    broken(error).place
}

fn broken(error: serde_yaml::Error) -> Broken {
    let place = error.location().map(|at| (number(at.line()), number(at.column())));
    let mut message = error.to_string();
    if let Some((line, column)) = place {
        message = message.replacen(&format!(" at line {line} column {column}"), "", 1);
    }
    Broken { place, message }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Grows a node.
struct Plant<'c> {
    path: Path,
    left: &'c Cell<usize>,
}

impl Plant<'_> {
    fn at(&self, turn: Turn) -> Self {
        let mut path = self.path.clone();
        path.push(turn);
        Plant { path, left: self.left }
    }

    fn node(self, kind: Kind) -> Node {
        Node { path: self.path, kind }
    }
}

impl<'de> DeserializeSeed<'de> for Plant<'_> {
    type Value = Node;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(D::Error::custom(format!("more than {NODES_MAX} values"))),
        }
        from.deserialize_any(self)
    }
}

/// Stands for a word that YAML takes for something else, until [`spell`] has looked at it.
const UNSPELT: &str = "\0";

impl<'de> Visitor<'de> for Plant<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word, a list or a mapping without tags")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(self.node(Kind::Nothing))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(self.node(Kind::Word(text.replace('\0', "\u{FFFD}"))))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(self.node(Kind::Word(UNSPELT.to_owned())))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(self.node(Kind::Word(UNSPELT.to_owned())))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(self.node(Kind::Word(UNSPELT.to_owned())))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(self.node(Kind::Word(UNSPELT.to_owned())))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(self.node(Kind::Word(UNSPELT.to_owned())))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(self.node(Kind::Word(UNSPELT.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = vec![];
        while let Some(item) = items.next_element_seed(self.at(Turn::Item(list.len())))? {
            list.push(item);
        }
        Ok(self.node(Kind::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = vec![];
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self.at(Turn::Value(map.len())))?;
            map.push((key, value));
        }
        Ok(self.node(Kind::Map(map)))
    }
}

/// Puts the text of the file into words that YAML takes for numbers: a community may be `007`.
fn spell(text: &str, node: &mut Node) {
    match &mut node.kind {
        Kind::Word(word) if word == UNSPELT => {
            let found = Word(&node.path).deserialize(serde_yaml::Deserializer::from_str(text));
            *word = found.ok().flatten().unwrap_or_default();
        }
        Kind::Nothing | Kind::Word(_) => {}
        Kind::List(items) => items.iter_mut().for_each(|item| spell(text, item)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(_, value)| spell(text, value)),
    }
}

/// Follows a path and fails at its end, so that the error has the place.
struct End<'p>(&'p [Turn]);

impl<'de> DeserializeSeed<'de> for End<'_> {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<String>, D::Error> {
        if self.0.is_empty() {
            from.deserialize_any(Here)
        } else {
            from.deserialize_any(Follow { path: self.0, end: End })
        }
    }
}

/// Follows a path and reads the word at its end.
struct Word<'p>(&'p [Turn]);

impl<'de> DeserializeSeed<'de> for Word<'_> {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<String>, D::Error> {
        if self.0.is_empty() {
            serde::Deserialize::deserialize(from).map(Some)
        } else {
            from.deserialize_any(Follow { path: self.0, end: Word })
        }
    }
}

/// Takes nothing: whatever comes is an error.
struct Here;

impl Visitor<'_> for Here {
    type Value = Option<String>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something else")
    }
}

struct Follow<'p, F> {
    path: &'p [Turn],
    end: F,
}

impl<'de, 'p, F, S> Visitor<'de> for Follow<'p, F>
where
    F: Fn(&'p [Turn]) -> S,
    S: DeserializeSeed<'de, Value = Option<String>>,
{
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was there before")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<String>, A::Error> {
        let Some((Turn::Item(place), rest)) = self.path.split_first() else { return Ok(None) };
        for _ in 0..*place {
            items.next_element::<IgnoredAny>()?;
        }
        let found = items.next_element_seed((self.end)(rest))?.flatten();
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Option<String>, A::Error> {
        let Some((turn, rest)) = self.path.split_first() else { return Ok(None) };
        let (Turn::Key(place) | Turn::Value(place)) = turn else { return Ok(None) };
        for _ in 0..*place {
            entries.next_entry::<IgnoredAny, IgnoredAny>()?;
        }
        let mut found = None;
        if matches!(turn, Turn::Key(_)) {
            entries.next_key_seed((self.end)(rest))?;
            entries.next_value::<IgnoredAny>()?;
        } else {
            entries.next_key::<IgnoredAny>()?;
            found = entries.next_value_seed((self.end)(rest))?;
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}
