//! The grammar of `keepalived.conf` as one table: where a word may stand, what it takes, whether it has an effect.
//!
//! Every directive that Keepalived 2.4 knows is here from the first day. [`Row`] is one line of the table; the rows
//! themselves are in the submodules. The parser, `docs/keywords.md` and every "did you mean" are loops over them.
//! This module knows nothing of files, of the model or of the host.

mod check;
pub(in crate::conf) mod docs;
mod entry;
mod global;
mod manual;
mod vrrp;
mod words;

use std::collections::HashMap;
use std::sync::OnceLock;

pub use docs::markdown;
pub use manual::manual;
pub use words::{Known, Words, find};

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

    /// The word, unless it is an old name.
    fn current(self) -> Option<&'static str> {
        match self {
            Synonym::Alias(word) | Synonym::ManPage(word) => Some(word),
            Synonym::Deprecated(_) | Synonym::DeprecatedQuietly(_) => None,
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

/// Words that other programs have for the same, and those that people guess.
const CALLED: &[(&str, &str)] = &[
    ("HTTP_CHECK", "HTTP_GET"),
    ("HTTPS_CHECK", "SSL_GET"),
    ("HTTPS_GET", "SSL_GET"),
    ("SSL_CHECK", "SSL_GET"),
    ("SCRIPT_CHECK", "MISC_CHECK"),
    ("check_interval", "delay_loop"),
    ("vrid", "virtual_router_id"),
    ("vip", "virtual_ipaddress"),
    ("virtual_ip", "virtual_ipaddress"),
    ("virtual_addresses", "virtual_ipaddress"),
    ("SLAVE", "BACKUP"),
    ("STANDBY", "BACKUP"),
    ("SECONDARY", "BACKUP"),
    ("PRIMARY", "MASTER"),
    ("ACTIVE", "MASTER"),
    ("PLAIN", "PASS"),
    ("SIMPLE", "PASS"),
    ("PASSWORD", "PASS"),
    ("HTTP", "TCP"),
    ("HTTPS", "TCP"),
    ("round-robin", "rr"),
    ("roundrobin", "rr"),
    ("least-connection", "lc"),
    ("leastconn", "lc"),
    ("source", "sh"),
    ("maglev", "mh"),
    ("MASQ", "NAT"),
    ("MASQUERADE", "NAT"),
    ("MASQUERADING", "NAT"),
    ("DIRECT", "DR"),
    ("DROUTE", "DR"),
    ("IPIP", "TUN"),
];

/// What a word of another program is called here, if that is one of these.
pub fn called<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let named = CALLED.iter().find(|(other, _)| other.eq_ignore_ascii_case(word))?.1;
    candidates.into_iter().find(|candidate| *candidate == named)
}

/// What an unknown word of a block was most likely meant to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// The same letters, in another case.
    Case(&'static str),
    /// A word of this block. Where several are as near, the likeliest comes first.
    Here(Vec<&'static str>),
    /// The word itself, in these blocks.
    There(Vec<&'static str>),
    /// A word of other blocks, and these blocks.
    NearThere(&'static str, Vec<&'static str>),
    Unknown,
}

/// What an unknown word of a block was most likely meant to be: words that may stand there come first.
pub fn meant(path: &str, word: &str) -> Meant {
    let words = || {
        let rows = block(path).iter().filter(|row| !row.keyword.starts_with('<'));
        rows.flat_map(|row| std::iter::once(row.keyword).chain(row.synonyms.iter().filter_map(|it| it.current())))
    };
    if let Some(same) = words().find(|known| known.eq_ignore_ascii_case(word)) {
        return Meant::Case(same);
    }
    if let Some(named) = called(word, words()) {
        return Meant::Here(vec![named]);
    }
    let homes = homes(word);
    let (distance, here) = nearest(word, words());
    // One wrong letter is likelier than a directive in the wrong block.
    if !here.is_empty() && (homes.is_empty() || distance == 1) {
        return Meant::Here(here);
    }
    if !homes.is_empty() {
        return Meant::There(homes);
    }
    let elsewhere = rows().filter(|row| !row.paths.iter().any(|path| path.starts_with('<'))).map(|row| row.keyword);
    match nearest(word, elsewhere).1.first() {
        Some(near) => Meant::NearThere(near, self::homes(near)),
        None => Meant::Unknown,
    }
}

/// The closest of some words, if any is close: a third of the letters may differ.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest(word, candidates).1.first().copied()
}

/// Looks for what was meant among names that a file defines, for as long as that costs little: of ten thousand names that
/// are not known among ten thousand others nobody reads the last.
pub struct Suggestions {
    /// Comparisons.
    left: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        Suggestions { left: 1 << 20 }
    }
}

impl Suggestions {
    pub fn closest<'a>(&mut self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let mut left = self.left;
        let found = closest(word, candidates.into_iter().take(left).inspect(|_| left -= 1));
        self.left = left;
        found
    }
}

/// Some names for a hint, and how many there are besides.
pub fn some_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 10;
    let mut names = names.into_iter();
    let shown = names.by_ref().take(SHOWN).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

/// How many letters the closest words differ in, and these words: the one that begins or ends like it comes first.
fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> (usize, Vec<&'a str>) {
    /// Characters; to compare two words takes as many steps as the product of their lengths.
    const LONGEST: usize = 256;
    let length = word.chars().count();
    if length > LONGEST {
        return (usize::MAX, Vec::new());
    }
    let limit = (length / 3).clamp(1, 4);
    let begins = |candidate: &str| candidate.chars().zip(word.chars()).take_while(|(a, b)| a == b).count();
    let ends = |candidate: &str| candidate.chars().rev().zip(word.chars().rev()).take_while(|(a, b)| a == b).count();
    let mut best = usize::MAX;
    let mut near: Vec<&str> = Vec::new();
    for candidate in candidates {
        // Letters that are missing or too many are differences, too.
        if candidate.chars().count().abs_diff(length) > limit.min(best) {
            continue;
        }
        let distance = strsim::osa_distance(candidate, word);
        if distance > limit || distance >= length || distance > best {
            continue;
        }
        if distance < best {
            best = distance;
            near.clear();
        }
        if !near.contains(&candidate) {
            near.push(candidate);
        }
    }
    near.sort_by_key(|candidate| std::cmp::Reverse(begins(candidate) + ends(candidate)));
    (best, near)
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
        assert_eq!(meant("vrrp_instance", "virtual_routerid"), Meant::Here(vec!["virtual_router_id"]));
        assert_eq!(meant("/", "vrrp_instanse"), Meant::Here(vec!["vrrp_instance"]));
        assert_eq!(meant("vrrp_instance", "Priority"), Meant::Case("priority"));
        assert_eq!(meant("vrrp_instance", "xyz"), Meant::Unknown);
        assert_eq!(meant("/", "virtual_router_id"), Meant::There(vec!["vrrp_instance"]));
        assert_eq!(meant("/", "virtual_routerid"), Meant::NearThere("virtual_router_id", vec!["vrrp_instance"]));
        assert_eq!(meant("virtual_server/real_server", "HTTP_CHECK"), Meant::Here(vec!["HTTP_GET"]));
        let Meant::Here(flags) = meant("virtual_server", "flag-") else { panic!("several are as near") };
        assert_eq!(flags, ["flag-1", "flag-2", "flag-3"]);
    }

    /// Every way of mistyping one letter of every keyword, in each of its blocks.
    #[test]
    fn of_one_wrong_letter_the_right_word_is_guessed() {
        let letters: Vec<char> = ('a'..='z').chain(['_']).collect();
        let (mut right, mut all) = (0_u32, 0_u32);
        let mut wrong = Vec::new();
        for (path, rows) in index() {
            for row in rows.iter().filter(|row| !row.keyword.starts_with('<')) {
                let keyword: Vec<char> = row.keyword.chars().collect();
                for word in mistyped(&keyword, &letters) {
                    if find(path, &word).is_some() {
                        continue;
                    }
                    all += 1;
                    let guess = match meant(path, &word) {
                        Meant::Case(guess) => guess,
                        Meant::Here(guesses) => guesses.first().copied().unwrap_or_default(),
                        _ => "",
                    };
                    if guess == row.keyword {
                        right += 1;
                    } else if wrong.len() < 400 {
                        wrong.push(format!("{path}: {word} was {}, guessed {guess}", row.keyword));
                    }
                }
            }
        }
        let share = f64::from(right) * 100.0 / f64::from(all);
        println!("{right} of {all} words with one wrong letter are guessed right: {share:.2} %");
        assert!(all > 20_000, "{all}");
        assert!(share >= 95.0, "{share:.2} %:\n{}", wrong.join("\n"));
    }

    /// A letter left out, doubled or added, changed, or swapped with the next one, at each place of a word.
    fn mistyped(word: &[char], letters: &[char]) -> Vec<String> {
        let mut words = Vec::new();
        let mut push = |letters: Vec<char>| words.push(letters.into_iter().collect::<String>());
        for at in 0..word.len() {
            let other = |salt: usize| letters[(at * 7 + word.len() * 3 + salt) % letters.len()];
            let (before, after) = word.split_at(at);
            push([before, &after[1..]].concat());
            push([before, &[after[0]], after].concat());
            push([before, &[other(0)], after].concat());
            push([before, &[other(11)], &after[1..]].concat());
            if let [first, second, rest @ ..] = after {
                push([before, &[*second, *first], rest].concat());
            }
        }
        let own: String = word.iter().collect();
        words.retain(|mistyped| *mistyped != own && !mistyped.is_empty());
        words
    }

    fn expand(path: &str) -> Vec<String> {
        let Some((head, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
        let (list, tail) = rest.split_once('}').expect("a brace closes");
        list.split(',').map(|middle| format!("{head}{middle}{tail}")).collect()
    }
}
