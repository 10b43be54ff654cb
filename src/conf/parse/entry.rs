//! Value blocks: one line of data each, with the grammar of its block.

use std::net::IpAddr;

use smallvec::smallvec;
use thin_vec::ThinVec;

use super::{Line, Named, Node, Parser, Val, Vals, without_suffix};
use crate::conf::diag::{Class, Diagnostic, Span};
use crate::conf::expand::Item;
use crate::conf::keywords::{self, Arg, Entry, Kind, Need, PEER_OPTIONS, Row, Shape};
use crate::conf::lex::{self, Word};
use crate::conf::values::{self, Value};

impl Parser<'_> {
    pub(super) fn entries(&mut self, parent: &str, entry: Entry, open: Span, node: &mut Node) {
        while let Some(item) = self.items.get(self.at) {
            if self.ended(item) {
                return;
            }
            match item {
                Item::Close(span) => {
                    self.at += 1;
                    self.last_close = Some(*span);
                    return;
                }
                Item::Open(span) => {
                    self.diagnostics.push(
                        Diagnostic::error(
                            "unexpected-brace",
                            *span,
                            format!("`{{` opens no block in `{}`", node.name()),
                        )
                        .class(Class::UnexpectedOpen)
                        .hint("this block holds one entry per line"),
                    );
                    self.skip_block();
                }
                Item::Line(_) | Item::Words(_) => {
                    let text = self.line(item);
                    if self.ends_here(parent, entry, text, open) {
                        return;
                    }
                    self.at += 1;
                    // What was to be here is not known, and that is told.
                    if matches!(text, lex::Line::Made(text) if text.chars() == [lex::UNDEFINED]) {
                        node.refused += 1;
                        continue;
                    }
                    let before = node.entries.len();
                    let split = text.plain();
                    if !self.is_unclosed(&split) {
                        self.entry(node.row, entry, &split.words, text.span(), &mut node.entries);
                    }
                    node.refused += u32::from(node.entries.len() == before);
                }
            }
        }
        self.never_closed(open, None);
    }

    /// A directive of an outer block among data, in a text that lacks a `}`.
    fn ends_here(&mut self, parent: &str, entry: Entry, line: lex::Line, open: Span) -> bool {
        if self.unclosed == 0 {
            return false;
        }
        let Some(word) = line.plain().words.into_iter().next() else { return false };
        let addresses = matches!(entry, Entry::Addresses | Entry::Peers | Entry::Routes);
        let opens = matches!(self.items.get(self.at + 1), Some(Item::Open(_)));
        if parent != "/" && (addresses || opens) && keywords::find(parent, &word.text).is_some() {
            self.unclosed -= 1;
            self.never_closed(open, Some((&word, word.span)));
            return true;
        }
        opens && self.belongs_to_top(parent, line, Some(open))
    }

    fn entry(&mut self, row: &'static Row, entry: Entry, words: &[Word], span: Span, out: &mut ThinVec<Line>) {
        let Some(first) = words.first() else { return };
        let mut line = Line { values: Vals::new(), options: Vec::new(), hops: Vec::new(), span };
        match entry {
            Entry::EachWord(name, kind) => {
                for word in words {
                    let value = values::read(kind, word, row.keyword, &mut self.diagnostics);
                    let values = smallvec![Val { name, word: word.clone(), value }];
                    out.push(Line { values, options: Vec::new(), hops: Vec::new(), span: word.span });
                }
                return;
            }
            Entry::Line(args) => {
                let (used, _) = self.positional(row, first, args, words, &mut line.values, false);
                if let Some(extra) = words.get(used) {
                    self.extra_entry(row, extra);
                }
            }
            Entry::Addresses => {
                let value = values::read(Kind::Prefix, first, row.keyword, &mut self.diagnostics);
                if value.is_none() {
                    return;
                }
                line.values.push(Val { name: "addr", word: first.clone(), value });
                if !self.address_options(row, words.get(1..).unwrap_or_default(), &mut line) {
                    return;
                }
            }
            Entry::Routes => {
                if !self.route(row, words, &mut line) {
                    return;
                }
            }
            Entry::Rules => {
                if !self.rule(row, words, &mut line) {
                    return;
                }
            }
            Entry::Track { name, min, max, noreverse } => {
                line.values.push(Val { name, word: first.clone(), value: Some(Value::Text(first.text.clone())) });
                let good = if noreverse {
                    self.tracker(row, words, (min, max), &mut line)
                } else {
                    self.track(row, words, (min, max), &mut line);
                    true
                };
                if !good {
                    return;
                }
            }
            Entry::Peers => {
                let value = values::read(Kind::Ip, first, row.keyword, &mut self.diagnostics);
                if value.is_none() {
                    return;
                }
                line.values.push(Val { name: "addr", word: first.clone(), value });
                line.options = self.options(row, PEER_OPTIONS, words.get(1..).unwrap_or_default()).into();
            }
            Entry::VirtualServerGroup => {
                if !self.group_entry(row, words, &mut line) {
                    return;
                }
            }
        }
        out.push(line);
    }

    fn extra_entry(&mut self, row: &Row, word: &Word) {
        self.diagnostics.push(
            Diagnostic::warning("extra-word", word.span, format!("the extra word `{}` is ignored", word.text))
                .silent()
                .hint(format!("`{}` holds one entry per line", row.keyword)),
        );
    }

    /// An interface with `weight N` and `reverse`.
    fn track(&mut self, row: &'static Row, words: &[Word], (min, max): (i64, i64), line: &mut Line) {
        let mut at = 1;
        while let Some(word) = words.get(at) {
            at += 1;
            match word.text.as_str() {
                "weight" => {
                    let Some(weight) = words.get(at) else {
                        self.missing(row, word, &format!("a number from {min} to {max}"));
                        return;
                    };
                    at += 1;
                    let values = smallvec![self.track_weight(row, weight, (min, max))];
                    line.options.push(Named { name: "weight", word: word.clone(), values });
                }
                "reverse" => line.options.push(Named { name: "reverse", word: word.clone(), values: Vals::new() }),
                _ => {
                    self.unknown_option(row.keyword, word, ["weight", "reverse"].into_iter());
                    return;
                }
            }
        }
    }

    /// `NAME [weight N [reverse|noreverse]]`; false when Keepalived drops the line.
    fn tracker(&mut self, row: &'static Row, words: &[Word], range: (i64, i64), line: &mut Line) -> bool {
        let Some(word) = words.get(1) else { return true };
        if word.text != "weight" {
            self.unknown_option(row.keyword, word, ["weight"].into_iter());
            return false;
        }
        let Some(weight) = words.get(2) else {
            self.missing(row, word, &format!("a number from {} to {}", range.0, range.1));
            return false;
        };
        let values = smallvec![self.track_weight(row, weight, range)];
        line.options.push(Named { name: "weight", word: word.clone(), values });
        let Some(word) = words.get(3) else { return true };
        let name = match word.text.as_str() {
            "reverse" => "reverse",
            "noreverse" => "noreverse",
            _ => {
                self.unknown_option(row.keyword, word, ["reverse", "noreverse"].into_iter());
                return true;
            }
        };
        line.options.push(Named { name, word: word.clone(), values: Vals::new() });
        if let Some(word) = words.get(4) {
            self.extra_entry(row, word);
        }
        true
    }

    fn track_weight(&mut self, row: &Row, weight: &Word, (min, max): (i64, i64)) -> Val {
        let value = match values::number(&weight.text) {
            Some(number) if (min..=max).contains(&number) => Some(Value::Int(number)),
            Some(number) if number.abs() == 254 && row.keyword != "track_bfd" => {
                let message = format!("weight {number} is read as {}", number.signum() * 253);
                self.diagnostics
                    .push(Diagnostic::warning("weight", weight.span, message).hint("weights go from -253 to 253"));
                Some(Value::Int(number.signum() * 253))
            }
            _ => {
                values::read(Kind::Int(min, max), weight, "weight", &mut self.diagnostics);
                None
            }
        };
        Val { name: "weight", word: weight.clone(), value }
    }

    /// Options that are rows of the table; false when one is so wrong that the line is dropped.
    fn address_options(&mut self, place: &'static Row, words: &[Word], line: &mut Line) -> bool {
        let path = "<addr-entry>";
        let mut at = 0;
        let mut good = true;
        while let Some(word) = words.get(at) {
            at += 1;
            let found = keywords::find(path, &word.text).filter(|(row, _)| !row.keyword.starts_with('<'));
            let Some((row, _)) = found else {
                if values::address(without_suffix(&word.text)).is_ok() {
                    self.diagnostics.push(
                        Diagnostic::error("two-addresses", word.span, "a second address on the line is ignored")
                            .hint("write one address per line"),
                    );
                    continue;
                }
                let known = keywords::block(path).iter().map(|row| row.keyword).filter(|word| !word.starts_with('<'));
                self.unknown_option(place.keyword, word, known);
                // What follows and is no option either was meant as its value.
                at += usize::from(words.get(at).is_some_and(|next| keywords::find(path, &next.text).is_none()));
                continue;
            };
            let option = row.keyword;
            let before = self.diagnostics.len();
            let (used, values, _) = self.row_values(path, row, word, words.get(at..).unwrap_or_default());
            at += used;
            let args = row_args(row);
            if used == 0 && args.iter().any(|arg| arg.need == Need::One) {
                good = false;
            }
            // Without these the line would mean something else.
            if self.diagnostics.len() > before && matches!(option, "dev" | "label") {
                good = false;
            }
            line.options.push(Named { name: option, word: word.clone(), values });
        }
        good
    }

    /// The values of an option that is a row of the table: how many words they took, and whether all were good.
    pub(super) fn row_values(
        &mut self,
        path: &str,
        row: &'static Row,
        keyword: &Word,
        rest: &[Word],
    ) -> (usize, Vals, bool) {
        let args = row_args(row);
        let mut values = Vals::new();
        if let (Some(Arg { need: Need::One, kind, .. }), Some(next)) = (args.first(), rest.first())
            && keywords::find(path, &next.text).is_some()
        {
            // An option in place of the value means that the value is missing.
            let message = format!("`{}` needs {}, found `{}`", keyword.text, keywords::docs::kind(*kind), next.text);
            let diagnostic = Diagnostic::error("missing-value", keyword.span, message);
            self.diagnostics.push(diagnostic.hint("add the value, or delete the word"));
            return (0, values, false);
        }
        let (used, good) = self.positional(row, keyword, args, rest, &mut values, false);
        (used, values, good)
    }

    fn group_entry(&mut self, row: &'static Row, words: &[Word], line: &mut Line) -> bool {
        let Some(first) = words.first() else { return false };
        if first.text == "fwmark" {
            let Some(mark) = words.get(1) else {
                self.diagnostics.push(
                    Diagnostic::error("missing-value", first.span, "`fwmark` needs a mark")
                        .class(Class::MissingArgument)
                        .refuses_start(),
                );
                return false;
            };
            let value = values::read(Kind::Int(0, 4_294_967_295), mark, "fwmark", &mut self.diagnostics);
            let mut good = value.is_some();
            line.values.push(Val { name: "fwmark", word: mark.clone(), value });
            if let Some(word) = words.get(2) {
                let value = values::read(Kind::Word(&["inet", "inet6"]), word, "fwmark", &mut self.diagnostics);
                good &= value.is_some();
                line.values.push(Val { name: "family", word: word.clone(), value });
            }
            return good;
        }
        let (host, range) = match (first.text.split_once('-'), first.text.split_once('/')) {
            (Some((host, range)), _) => (host, Some(('-', range))),
            (None, Some((host, length))) => (host, Some(('/', length))),
            (None, None) => (first.text.as_str(), None),
        };
        let host_word = Word { text: host.into(), ..first.clone() };
        let Some(Value::Ip(address)) = values::read(Kind::Ip, &host_word, row.keyword, &mut self.diagnostics) else {
            return false;
        };
        let last = match range.map_or(Ok(address), |(sign, text)| range_end(address, sign, text)) {
            Ok(last) => last,
            Err(problem) => {
                self.diagnostics.push(Diagnostic::error("range", first.span, problem).hint("the line is ignored"));
                return false;
            }
        };
        let port = match words.get(1) {
            Some(port) => {
                let Some(value) = self.port(port, row.keyword) else { return false };
                Some(Val { name: "port", word: port.clone(), value: Some(value) })
            }
            None => None,
        };
        line.values.push(Val { name: "addr", word: first.clone(), value: Some(Value::Ip(address)) });
        line.values.push(Val { name: "last", word: first.clone(), value: Some(Value::Ip(last)) });
        line.values.extend(port);
        if let Some(extra) = words.get(2) {
            self.extra_entry(row, extra);
        }
        true
    }
}

fn row_args(row: &'static Row) -> &'static [Arg] {
    match row.shape {
        Shape::Words(args) => args,
        _ => &[],
    }
}

/// The last address of `first-TEXT` or `first/TEXT`, or what is wrong with it.
fn range_end(first: IpAddr, sign: char, text: &str) -> Result<IpAddr, String> {
    if sign == '/' {
        let (full, bits) = match first {
            IpAddr::V4(v4) => (32, u128::from(v4.to_bits())),
            IpAddr::V6(v6) => (128, v6.to_bits()),
        };
        let Some(length) = values::number(text).filter(|length| (1..=full).contains(length)) else {
            return Err(format!("expected a prefix length from 1 to {full}, found `{text}`"));
        };
        let host_bits = u32::try_from(full - length).ok().and_then(|host| 1_u128.checked_shl(host)).unwrap_or(0);
        let host_bits = host_bits.wrapping_sub(1);
        if bits & host_bits != 0 {
            return Err(format!("{first}/{length} has host bits set"));
        }
        return Ok(match first {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() | u32::try_from(host_bits).unwrap_or(u32::MAX)).into()),
            IpAddr::V6(_) => IpAddr::V6((bits | host_bits).into()),
        });
    }
    if let Ok(end) = values::address(text) {
        return match (first, end) {
            (IpAddr::V4(first), IpAddr::V4(last)) if last >= first => Ok(end),
            (IpAddr::V6(first), IpAddr::V6(last)) if last >= first => Ok(end),
            _ => Err(format!("range end {end} is below its start {first}, or of another family")),
        };
    }
    let last = match first {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            text.parse().ok().map(|d| IpAddr::from([a, b, c, d]))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, _] = v6.segments();
            u16::from_str_radix(text, 16).ok().map(|h| IpAddr::from([a, b, c, d, e, f, g, h]))
        }
    };
    match last {
        Some(last) if last > first => Ok(last),
        Some(_) => Err(format!("range end {text} is below its start {}", address_end(first))),
        None => Err(format!("`{text}` cannot end a range")),
    }
}

fn address_end(address: IpAddr) -> String {
    let text = address.to_string();
    text.rsplit(['.', ':']).next().unwrap_or_default().to_owned()
}
