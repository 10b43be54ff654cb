//! Which directive a word names in a block. Every line of a file is looked up once.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{Row, Shape, Synonym, index};

/// The words that may begin a line of one block.
pub struct Words {
    /// By their length, which tells most of them apart.
    by_length: Vec<Vec<Known>>,
}

/// A word, and what it names.
#[derive(Clone, Copy)]
pub struct Known {
    word: &'static str,
    pub row: &'static Row,
    pub synonym: Option<Synonym>,
    /// The path of the block that it opens; empty when it opens none.
    pub inner: &'static str,
}

impl Words {
    /// The words of a block, which a path names: `/`, or names of blocks with `/` between them.
    pub fn of(path: &str) -> Option<&'static Words> {
        static WORDS: OnceLock<HashMap<&'static str, Words>> = OnceLock::new();
        WORDS.get_or_init(|| index().iter().map(|(path, rows)| (*path, Words::new(path, rows))).collect()).get(path)
    }

    fn new(path: &str, rows: &[&'static Row]) -> Self {
        let mut words = Words { by_length: Vec::new() };
        for row in rows {
            let inner: &'static str = match row.shape {
                // Once for each block of the table.
                Shape::Block(_) | Shape::Entries(..) if path == "/" => row.keyword,
                Shape::Block(_) | Shape::Entries(..) => format!("{path}/{}", row.keyword).leak(),
                _ => "",
            };
            for synonym in row.synonyms {
                words.add(Known { word: synonym.word(), row, synonym: Some(*synonym), inner });
            }
            words.add(Known { word: row.keyword, row, synonym: None, inner });
        }
        words
    }

    /// A keyword is stronger than a synonym of another, and of equals the last.
    fn add(&mut self, known: Known) {
        let length = known.word.len();
        if self.by_length.len() <= length {
            self.by_length.resize_with(length + 1, Vec::new);
        }
        let Some(words) = self.by_length.get_mut(length) else { return };
        match words.iter_mut().find(|other| other.word == known.word) {
            Some(other) if known.synonym.is_none() || other.synonym.is_some() => *other = known,
            Some(_) => {}
            None => words.push(known),
        }
    }

    pub fn find(&self, word: &str) -> Option<&Known> {
        self.by_length.get(word.len())?.iter().find(|known| known.word == word)
    }
}

/// The directive that `word` names in `path`, and how it names it.
pub fn find(path: &str, word: &str) -> Option<(&'static Row, Option<Synonym>)> {
    Words::of(path)?.find(word).map(|known| (known.row, known.synonym))
}
