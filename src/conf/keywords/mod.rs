//! The grammar of `keepalived.conf` as one table: where a word may stand, what it takes, whether it has an effect.
//!
//! Every directive that Keepalived 2.4 knows is here from the first day. [`Row`] is one line of the table; the rows
//! themselves are in the submodules. The parser, `docs/keywords.md` and every "did you mean" are loops over them.
//! This module knows nothing of files, of the model or of the host.

mod check;
pub(in crate::conf) mod docs;
mod entry;
mod global;
mod vrrp;

use std::collections::HashMap;
use std::sync::OnceLock;

pub use docs::markdown;

/// One directive in one or several blocks.
#[derive(Debug)]
pub struct Row {
    /// Enclosing blocks: `/` for the top level, `a/b` for nesting, `<...>` for a line grammar of several blocks.
    pub paths: &'static [&'static str],
    pub keyword: &'static str,
    pub synonyms: &'static [Synonym],
    pub shape: Shape,
    pub missing: Missing,
    pub repeat: Repeat,
    pub effect: Effect,
    /// For people: what holds without the directive.
    pub default: &'static str,
    pub help: &'static str,
}

/// What follows a keyword.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// No value: the word itself turns something on.
    Flag,
    /// Positional values on the same line.
    Words(&'static [Arg]),
    /// Positional values, then named ones in any order.
    Options(&'static [Arg], &'static [Opt]),
    /// Names, then `{ directives }`.
    Block(&'static [Arg]),
    /// Names, then `{ lines of data }`.
    Entries(&'static [Arg], Entry),
    /// The rest of the line is checked by its own code.
    Rest,
}

/// The grammar of one line inside a value block.
#[derive(Debug, Clone, Copy)]
pub enum Entry {
    /// Every word is an entry.
    EachWord(&'static str, Kind),
    Line(&'static [Arg]),
    /// Options are the rows of `<addr-entry>`.
    Addresses,
    /// Options are the rows of `<route-entry>`.
    Routes,
    /// Options are the rows of `<rule-entry>`.
    Rules,
    Track {
        name: &'static str,
        min: i64,
        max: i64,
        noreverse: bool,
    },
    Peers,
    VirtualServerGroup,
}

/// A positional value.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    pub name: &'static str,
    pub kind: Kind,
    pub need: Need,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    One,
    Optional,
    /// Zero or more.
    Any,
    /// One or more.
    Some,
}

/// A named value of a line.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    pub word: &'static str,
    pub args: &'static [Arg],
}

/// The type of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Str,
    /// At most so many characters.
    Name(usize),
    Bool,
    Int(i64, i64),
    U64,
    /// Decimal with at most so many digits after the point; bounds in millionths.
    Dec(u8, u64, u64),
    Ip,
    Multicast,
    Multicast4,
    Multicast6,
    /// Address with an optional `/len`; `default`, `any` and `all` in routes and rules.
    Prefix,
    IfName,
    /// A command line in one word.
    Script,
    User,
    Group,
    Path,
    AbsPath,
    Email,
    Host,
    Word(&'static [&'static str]),
    AnyCase(&'static [&'static str]),
    NumberOrWord(&'static [&'static str]),
    /// A number up to this, or a name that iproute2 knows.
    NumberOrName(i64),
    Scope,
    Lifetime,
    Broadcast,
    /// Decimal, 0octal or 0xhex up to this.
    AnyBase(u64),
    /// `mark[/mask]`.
    Mark,
    PortRange,
    Hex32,
    HexString,
    HexWild,
    StatusCodes,
    Granularity,
    Regex,
    IncludeCheck,
}

#[derive(Debug, Clone, Copy)]
pub enum Synonym {
    Alias(&'static str),
    /// Keepalived reports the old name, and `-t` counts it.
    Deprecated(&'static str),
    /// Keepalived only logs that the name is old.
    DeprecatedQuietly(&'static str),
    /// The manual page's name; the code of Keepalived refuses it.
    ManPage(&'static str),
}

impl Synonym {
    pub fn word(self) -> &'static str {
        match self {
            Synonym::Alias(word)
            | Synonym::Deprecated(word)
            | Synonym::DeprecatedQuietly(word)
            | Synonym::ManPage(word) => word,
        }
    }
}

/// What Keepalived does when the value is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The process ends with status 2.
    Fatal,
    Warn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    Once,
    Many,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Built,
    /// Recognised and checked, reported once at start.
    NotBuilt,
    /// Has none in Keepalived either, or nothing that it could act on here: the help says so.
    Nothing,
}

#[allow(clippy::too_many_arguments, reason = "a table line")]
const fn row(
    paths: &'static [&'static str],
    keyword: &'static str,
    synonyms: &'static [Synonym],
    shape: Shape,
    missing: Missing,
    repeat: Repeat,
    effect: Effect,
    default: &'static str,
    help: &'static str,
) -> Row {
    Row { paths, keyword, synonyms, shape, missing, repeat, effect, default, help }
}

const fn one(name: &'static str, kind: Kind) -> Arg {
    Arg { name, kind, need: Need::One }
}

const fn opt(name: &'static str, kind: Kind) -> Arg {
    Arg { name, kind, need: Need::Optional }
}

const fn any(name: &'static str, kind: Kind) -> Arg {
    Arg { name, kind, need: Need::Any }
}

const fn some(name: &'static str, kind: Kind) -> Arg {
    Arg { name, kind, need: Need::Some }
}

/// Options of a line in `unicast_peer`.
pub static PEER_OPTIONS: &[Opt] = &[
    Opt { word: "min_ttl", args: &[one("ttl", Kind::Int(0, 255))] },
    Opt { word: "max_ttl", args: &[one("ttl", Kind::Int(0, 255))] },
];

/// Every row of the table, in the order of the documentation.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    global::ROWS.iter().chain(vrrp::ROWS).chain(check::ROWS).chain(entry::ROWS)
}

fn index() -> &'static HashMap<&'static str, Vec<&'static Row>> {
    static INDEX: OnceLock<HashMap<&'static str, Vec<&'static Row>>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index: HashMap<&'static str, Vec<&'static Row>> = HashMap::new();
        for row in rows() {
            for path in row.paths {
                index.entry(path).or_default().push(row);
            }
        }
        index
    })
}

/// The directives of one block.
pub fn block(path: &str) -> &'static [&'static Row] {
    index().get(path).map_or(&[], Vec::as_slice)
}

/// The directive that `word` names in `path`, and how it names it.
pub fn find(path: &str, word: &str) -> Option<(&'static Row, Option<Synonym>)> {
    static WORDS: OnceLock<HashMap<&'static str, Words>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let named = |rows: &Vec<&'static Row>| -> Words {
            let keywords = rows.iter().map(|row| (row.keyword, (*row, None)));
            let synonyms =
                rows.iter().flat_map(|row| row.synonyms.iter().map(|synonym| (synonym.word(), (*row, Some(*synonym)))));
            synonyms.chain(keywords).collect()
        };
        index().iter().map(|(path, rows)| (*path, named(rows))).collect()
    });
    words.get(path)?.get(word).copied()
}

type Words = HashMap<&'static str, (&'static Row, Option<Synonym>)>;

/// Every block where `word` is a directive.
pub fn homes(word: &str) -> Vec<&'static str> {
    let mut homes: Vec<_> = rows()
        .filter(|row| !row.paths[0].starts_with('<'))
        .filter(|row| row.keyword == word || row.synonyms.iter().any(|synonym| synonym.word() == word))
        .flat_map(|row| row.paths.iter().copied())
        .collect();
    homes.dedup();
    homes
}

/// The word of this block that a misspelt one was most likely meant to be.
pub fn nearest(path: &str, word: &str) -> Option<&'static str> {
    let words = block(path).iter().map(|row| row.keyword);
    closest(word, words.filter(|word| !word.starts_with('<')))
}

/// The closest of some words, if any is close: a third of the letters may differ.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let limit = (length / 3).clamp(1, 4);
    // To compare takes time and memory by both lengths; a word of a megabyte is like none.
    let near = |candidate: &&str| candidate.chars().count().abs_diff(length) <= limit;
    let shared = |candidate: &str| candidate.chars().zip(word.chars()).take_while(|(a, b)| a == b).count();
    candidates
        .into_iter()
        .filter(near)
        .map(|candidate| (strsim::damerau_levenshtein(candidate, word), candidate))
        .filter(|(distance, _)| *distance <= limit && *distance < length)
        .min_by_key(|(distance, candidate)| (*distance, usize::MAX - shared(candidate)))
        .map(|(_, candidate)| candidate)
}

/// Words of old releases that no current version knows, and what to do about them.
pub fn removed(word: &str) -> Option<&'static str> {
    Some(match word {
        "lvs_id" => "lvs_id was renamed router_id",
        "nat_mask" => "nat_mask no longer exists; remove the line",
        "plugin_dir" => "plugin_dir no longer exists; remove the line",
        "real_group" | "real_server_group" => "groups of real servers no longer exist; list each real_server",
        "CI-LINUX" => "CI-LINUX no longer exists; remove the line",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directive_of_the_specification_is_in_the_table_where_the_specification_has_it() {
        let mut missing = Vec::new();
        for line in include_str!("../../../tests/conf/directives.tsv").lines().skip(1) {
            let cells: Vec<_> = line.split('\t').collect();
            let synonyms = cells[2].split(')').flat_map(|part| part.split('('));
            let synonyms = synonyms.flat_map(|part| part.split(',')).map(str::trim);
            let known = ["deprecated", "log", "warn", "-", "", "man-page name; unknown keyword in code"];
            for path in expand(cells[0]) {
                for word in std::iter::once(cells[1]).chain(synonyms.clone().filter(|word| !known.contains(word))) {
                    if find(&path, word).is_none() {
                        missing.push(format!("{path} {word}"));
                    }
                }
            }
        }
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn no_block_has_two_meanings_for_one_word() {
        for (path, rows) in index() {
            let mut words: Vec<_> = rows
                .iter()
                .flat_map(|row| std::iter::once(row.keyword).chain(row.synonyms.iter().map(|synonym| synonym.word())))
                .collect();
            words.sort_unstable();
            let all = words.len();
            words.dedup();
            assert_eq!(words.len(), all, "{path}");
        }
    }

    #[test]
    fn a_misspelt_word_finds_the_one_it_was_meant_to_be() {
        assert_eq!(nearest("vrrp_instance", "virtual_routerid"), Some("virtual_router_id"));
        assert_eq!(nearest("/", "vrrp_instanse"), Some("vrrp_instance"));
        assert_eq!(nearest("vrrp_instance", "xyz"), None);
    }

    fn expand(path: &str) -> Vec<String> {
        let Some((head, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
        let (list, tail) = rest.split_once('}').expect("a brace closes");
        list.split(',').map(|middle| format!("{head}{middle}{tail}")).collect()
    }
}
