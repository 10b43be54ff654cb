//! One line of a block of routes: a destination, options in any order, and next hops to its end.

use smallvec::smallvec;

use super::{Line, Named, Parser, Val, Vals};
use crate::conf::diag::Diagnostic;
use crate::conf::keywords::{self, Kind, Row};
use crate::conf::lex::Word;
use crate::conf::values::{self, Value};

const PATH: &str = "<route-entry>";

/// What stands before a destination; a number of the kernel's does, too.
const TYPES: &[&str] = &[
    "unicast",
    "local",
    "broadcast",
    "brd",
    "anycast",
    "multicast",
    "throw",
    "unreachable",
    "prohibit",
    "blackhole",
    "nat",
    "xresolve",
];

impl Parser<'_> {
    /// False when the line is dropped, with a report.
    pub(super) fn route(&mut self, row: &'static Row, words: &[Word], line: &mut Line) -> bool {
        let mut at = 0;
        while let Some(word) = words.get(at) {
            at += 1;
            let rest = words.get(at..).unwrap_or_default();
            match word.text.as_str() {
                "nexthop" => {
                    self.next_hops(row, words.get(at - 1..).unwrap_or_default(), line);
                    break;
                }
                "encap" => {
                    let (used, option) = self.encap(word, rest);
                    at += used;
                    let Some(option) = option else { return false };
                    line.options.push(option);
                }
                "inet" | "inet6" => {
                    line.options.push(Named { name: "family", word: word.clone(), values: Vals::new() });
                }
                text if text == "to" || TYPES.contains(&text) || (line.first().is_none() && is_number(text)) => {
                    if text != "to" {
                        let values =
                            smallvec![Val { name: "type", word: word.clone(), value: Some(Value::Text(text.into())) }];
                        line.options.push(Named { name: "type", word: word.clone(), values });
                    }
                    let Some(destination) = rest.first() else {
                        if let Some((option, _)) = keywords::find(PATH, "to") {
                            self.missing(option, word, "a destination");
                        }
                        return false;
                    };
                    at += 1;
                    if !self.destination(row, destination, line) {
                        return false;
                    }
                }
                text => {
                    let option = keywords::find(PATH, text).filter(|(row, _)| !row.keyword.starts_with('<'));
                    let Some((option, _)) = option else {
                        let before_another = rest.first().is_some_and(|next| is_network(&next.text));
                        if !is_network(text) && (line.first().is_some() || before_another) {
                            let known = keywords::block(PATH).iter().map(|row| row.keyword);
                            let known = known.filter(|word| !word.starts_with('<')).chain(TYPES.iter().copied());
                            self.unknown_option(row.keyword, word, known);
                            return false;
                        }
                        if !self.destination(row, word, line) {
                            return false;
                        }
                        continue;
                    };
                    let (used, values, fine) = self.row_values(PATH, option, word, rest);
                    at += used;
                    // The rest of the line means the same without these.
                    if !fine && !matches!(option.keyword, "features" | "ttl-propagate") {
                        return false;
                    }
                    line.options.push(Named { name: option.keyword, word: word.clone(), values });
                }
            }
        }
        if line.first().is_none()
            && let Some(first) = words.first()
        {
            self.diagnostics.push(
                Diagnostic::error("route-destination", first.span, "the route has no destination")
                    .hint("write a prefix or `default` first"),
            );
        }
        line.first().is_some()
    }

    fn destination(&mut self, row: &'static Row, word: &Word, line: &mut Line) -> bool {
        if let Some(first) = line.first() {
            self.diagnostics.push(
                Diagnostic::error("two-destinations", word.span, "a route has one destination")
                    .related(first.word.span, "this is one")
                    .hint("write one route per line"),
            );
            return false;
        }
        let value = self.network(word, row.keyword);
        let good = value.is_some();
        line.values.push(Val { name: "destination", word: word.clone(), value });
        good
    }

    /// A prefix, or a word for all addresses.
    pub(super) fn network(&mut self, word: &Word, what: &str) -> Option<Value> {
        match word.text.as_str() {
            "default" | "any" | "all" | "default6" => Some(Value::Text(word.text.clone())),
            _ => values::read(Kind::Prefix, word, what, &mut self.diagnostics),
        }
    }

    /// The legs of a multipath route, to the end of the line. A leg with a mistake is left out.
    fn next_hops(&mut self, row: &'static Row, words: &[Word], line: &mut Line) {
        let path = "<nexthop>";
        let mut hop: Option<Vec<Named>> = None;
        let mut at = 0;
        while let Some(word) = words.get(at) {
            at += 1;
            let rest = words.get(at..).unwrap_or_default();
            if word.text == "nexthop" {
                line.hops.extend(hop.replace(Vec::new()));
                if matches!(rest.first().map(|next| next.text.as_str()), None | Some("nexthop")) {
                    self.diagnostics.push(
                        Diagnostic::error("empty-nexthop", word.span, "a next hop needs a gateway or an interface")
                            .silent()
                            .hint("add `via ADDRESS` or `dev INTERFACE`"),
                    );
                    hop = None;
                }
                continue;
            }
            if word.text == "encap" {
                let (used, option) = self.encap(word, rest);
                at += used;
                match (option, &mut hop) {
                    (Some(option), Some(hop)) => hop.push(option),
                    _ => hop = None,
                }
                continue;
            }
            let Some((option, _)) = keywords::find(path, &word.text) else {
                self.unknown_option("nexthop", word, keywords::block(path).iter().map(|row| row.keyword));
                break;
            };
            let (used, values, good) = self.row_values(path, option, word, rest);
            at += used;
            match &mut hop {
                Some(hop) if good => hop.push(Named { name: option.keyword, word: word.clone(), values }),
                _ => hop = None,
            }
        }
        line.hops.extend(hop);
        if line.hops.len() > HOPS_MAX
            && let Some(word) = words.first()
        {
            let message = format!("a route has at most {HOPS_MAX} next hops: the others are left out");
            self.diagnostics.push(
                Diagnostic::error("next-hops", word.span, message).hint(format!("shorten the line in {}", row.keyword)),
            );
            line.hops.truncate(HOPS_MAX);
        }
    }

    /// A tunnel: its type, and pairs of words up to the next option of the route. How many words it took, and what it
    /// says if there is no mistake in it.
    fn encap(&mut self, keyword: &Word, words: &[Word]) -> (usize, Option<Named>) {
        let known = ["ip", "ip6", "mpls", "ila"];
        let Some(kind) = words.first() else {
            let hint = format!("write its type: {}", known.join(", "));
            let diagnostic = Diagnostic::error("missing-value", keyword.span, "`encap` needs a type");
            self.diagnostics.push(diagnostic.hint(hint));
            return (0, None);
        };
        let value = Some(Value::Text(kind.text.clone()));
        let mut values = smallvec![Val { name: "type", word: kind.clone(), value }];
        let finish = |values: Vals| Some(Named { name: "encap", word: keyword.clone(), values });
        let before = self.diagnostics.len();
        let used = match kind.text.as_str() {
            "ip" | "ip6" => self.tunnel(keyword, words, &mut values),
            "mpls" | "ila" => {
                let (name, what) = if kind.text == "mpls" {
                    ("labels", "labels, as 100/200")
                } else {
                    ("locator", "a locator, as 1:2:3:4")
                };
                match words.get(1) {
                    Some(word) => {
                        values.push(Val { name, word: word.clone(), value: Some(Value::Text(word.text.clone())) });
                        2
                    }
                    None => {
                        let message = format!("`encap {}` needs {what}", kind.text);
                        self.diagnostics.push(
                            Diagnostic::error("missing-value", keyword.span, message).hint("add it after the type"),
                        );
                        1
                    }
                }
            }
            _ => {
                self.unknown_option("encap", kind, known.into_iter());
                1
            }
        };
        (used, finish(values).filter(|_| self.diagnostics.len() == before))
    }

    fn tunnel(&mut self, keyword: &Word, words: &[Word], values: &mut Vals) -> usize {
        let six = words.first().is_some_and(|kind| kind.text == "ip6");
        let name = if six { "ip6" } else { "ip" };
        let options: &[(&str, Kind)] = if six {
            &[
                ("id", Kind::U64),
                ("dst", Kind::Ip),
                ("src", Kind::Ip),
                ("tc", Kind::NumberOrName(255)),
                ("hoplimit", Kind::Int(0, 255)),
                ("flags", Kind::Int(0, 65535)),
            ]
        } else {
            &[
                ("id", Kind::U64),
                ("dst", Kind::Ip),
                ("src", Kind::Ip),
                ("tos", Kind::NumberOrName(255)),
                ("ttl", Kind::Int(0, 255)),
                ("flags", Kind::Int(0, 65535)),
            ]
        };
        let mut at = 1;
        while let Some(word) = words.get(at)
            && let Some(&(option, kind)) = options.iter().find(|(option, _)| *option == word.text)
        {
            at += 1;
            let Some(text) = words.get(at) else {
                let message = format!("`{}` needs {}", word.text, keywords::docs::kind(kind));
                self.diagnostics
                    .push(Diagnostic::error("missing-value", word.span, message).hint("add it, or delete the word"));
                return at;
            };
            at += 1;
            let value = values::read(kind, text, option, &mut self.diagnostics);
            if let Some(Value::Ip(address)) = value
                && address.is_ipv6() != six
            {
                let message = format!("{address} cannot be an end of an {name} tunnel");
                self.diagnostics.push(
                    Diagnostic::error("encap-family", text.span, message)
                        .hint("both ends of an ip tunnel are IPv4 addresses, of an ip6 tunnel IPv6 ones"),
                );
            }
            values.push(Val { name: option, word: text.clone(), value });
        }
        if !values.iter().any(|value| matches!(value.name, "id" | "dst")) {
            let known: Vec<_> = options.iter().map(|(option, _)| *option).collect();
            let diagnostic =
                Diagnostic::error("missing-value", keyword.span, format!("`encap {name}` needs id or dst"));
            self.diagnostics.push(diagnostic.hint(format!("known: {}", known.join(", "))));
        }
        at
    }
}

/// A row must fit a frame between our processes, whatever its next hops say.
const HOPS_MAX: usize = 128;

/// Whether a word may be a destination.
fn is_network(text: &str) -> bool {
    matches!(text, "default" | "any" | "all" | "default6")
        || values::address(text.split('/').next().unwrap_or_default()).is_ok()
}

/// A type by its number in the kernel.
fn is_number(text: &str) -> bool {
    text.parse::<u8>().is_ok()
}
