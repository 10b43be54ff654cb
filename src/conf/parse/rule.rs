//! One line of a block of rules: selectors and one action, in any order.

use smallvec::smallvec;

use super::{Line, Named, Parser, Val};
use crate::conf::keywords::{self, Row};
use crate::conf::lex::Word;
use crate::conf::values::Value;

const PATH: &str = "<rule-entry>";

impl Parser<'_> {
    /// False when the line is dropped, with a report: without one of its words a rule is another rule.
    pub(super) fn rule(&mut self, place: &'static Row, words: &[Word], line: &mut Line) -> bool {
        let mut at = 0;
        let mut good = true;
        while let Some(word) = words.get(at) {
            at += 1;
            let rest = words.get(at..).unwrap_or_default();
            match word.text.as_str() {
                // The word `type` is optional before them.
                text @ ("blackhole" | "unreachable" | "prohibit") => {
                    let values =
                        smallvec![Val { name: "type", word: word.clone(), value: Some(Value::Text(text.into())) }];
                    line.options.push(Named { name: "type", word: word.clone(), values });
                }
                text @ ("from" | "to") if !rest.is_empty() => {
                    let Some((row, _)) = keywords::find(PATH, text) else { continue };
                    let Some(network) = rest.first() else { continue };
                    at += 1;
                    let value = self.network(network, text);
                    good &= value.is_some();
                    let values = smallvec![Val { name: "prefix", word: network.clone(), value }];
                    line.options.push(Named { name: row.keyword, word: word.clone(), values });
                }
                text => {
                    let Some((row, _)) = keywords::find(PATH, text) else {
                        self.unknown_option(place.keyword, word, keywords::block(PATH).iter().map(|row| row.keyword));
                        good = false;
                        // What follows and is no option either was meant as its value.
                        at += usize::from(rest.first().is_some_and(|next| keywords::find(PATH, &next.text).is_none()));
                        continue;
                    };
                    let (used, values, fine) = self.row_values(PATH, row, word, rest);
                    at += used;
                    good &= fine;
                    line.options.push(Named { name: row.keyword, word: word.clone(), values });
                }
            }
        }
        good
    }
}
