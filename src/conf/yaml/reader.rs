//! What every section is read with: mappings with known keys, lists, words of each kind, and places for mistakes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::diag::{Diagnostic, Severity, Span};
use super::super::keywords::closest;
use super::tree::{self, Kind, Node, Path, Turn};

/// Most entries of any list in a file.
const ENTRIES_MAX: usize = 64;
/// Places are looked for by reading again; who made more mistakes than this sees the rest next time.
const DIAGNOSTICS_MAX: usize = 50;

/// Every mapping of a file, by its place, and the keys it may have.
pub(super) type Keys = &'static [(&'static str, &'static [&'static str])];

pub(super) struct Reader<'t> {
    text: &'t str,
    file: u32,
    lines: Vec<&'t str>,
    keys: Keys,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// The entries of a mapping whose keys are known.
pub(super) struct Fields<'n> {
    pub(super) node: &'n Node,
    entries: Vec<(&'n str, &'n Node)>,
}

impl<'n> Fields<'n> {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value, unless it is missing or nothing.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        let found = self.entries.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        found.filter(|node| !matches!(node.kind, Kind::Nothing))
    }
}

impl<'t> Reader<'t> {
    /// For a text whose mappings have these keys. `file` is where the diagnostics say that it is.
    pub(super) fn new(text: &'t str, file: u32, keys: Keys) -> Reader<'t> {
        Reader { text, file, lines: text.lines().collect(), keys, diagnostics: vec![] }
    }

    /// The whole text as a tree; `None` when it is not YAML.
    pub(super) fn root(&mut self) -> Option<Node> {
        tree::read(self.text)
            .map_err(|broken| {
                let span = self.span_of(broken.place);
                let message = format!("this is not YAML: {}", broken.message);
                self.diagnostics.push(Diagnostic::error("yaml", span, message));
            })
            .ok()
    }

    // --- words

    pub(super) fn word(&mut self, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Word(word) => Some(word.clone()),
            Kind::Nothing => {
                self.complain(&node.path, "a value is missing here");
                None
            }
            Kind::List(_) | Kind::Map(_) => {
                self.complain(&node.path, "expected a single value");
                None
            }
        }
    }

    /// A word of so many octets.
    pub(super) fn sized(&mut self, node: &Node, what: &str, length: RangeInclusive<usize>) -> Option<String> {
        let word = self.word(node)?;
        if length.contains(&word.len()) {
            return Some(word);
        }
        self.complain(&node.path, format!("{what} has {} to {} octets", length.start(), length.end()));
        None
    }

    pub(super) fn truth(&mut self, node: &Node) -> Option<bool> {
        let word = self.word(node)?;
        match word.to_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => {
                self.complain(&node.path, format!("expected true or false, found `{word}`"));
                None
            }
        }
    }

    pub(super) fn number(&mut self, node: &Node, range: RangeInclusive<u32>) -> Option<u32> {
        let word = self.word(node)?;
        let found = word.replace('_', "").parse().ok().filter(|number| range.contains(number));
        if found.is_none() {
            let (from, to) = range.into_inner();
            self.complain(&node.path, format!("expected a number from {from} to {to}, found `{word}`"));
        }
        found
    }

    pub(super) fn duration(&mut self, node: &Node, range: RangeInclusive<Duration>) -> Option<Duration> {
        let word = self.word(node)?;
        match duration(&word) {
            Some(found) if range.contains(&found) => Some(found),
            Some(_) => {
                let (from, to) = range.into_inner();
                self.complain(&node.path, format!("expected {} to {}, found `{word}`", shown(from), shown(to)));
                None
            }
            None => {
                self.complain(
                    &node.path,
                    format!("expected a time with its unit, as 500ms, 1s, 5m, 1h or 7d; found `{word}`"),
                );
                None
            }
        }
    }

    pub(super) fn address(&mut self, node: &Node, port: u16) -> Option<SocketAddr> {
        let word = self.word(node)?;
        let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(&word);
        let found = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port)).or_else(|_| word.parse::<SocketAddr>());
        match found {
            Ok(found) if found.port() > 0 => return Some(found),
            Ok(_) => {
                self.complain(&node.path, "port 0 is none");
                return None;
            }
            Err(_) => {}
        }
        let looks_like_a_name = word.chars().any(|c| c.is_ascii_alphabetic()) && word.parse::<Ipv6Addr>().is_err();
        let complaint = self.complain(
            &node.path,
            format!("expected an address as 192.0.2.1, 192.0.2.1:{port} or [2001:db8::1]:{port}, found `{word}`"),
        );
        if let (true, Some(complaint)) = (looks_like_a_name, complaint) {
            complaint.hint =
                Some("names are not looked up: a name server that is away must not keep notifications back".to_owned());
        }
        None
    }

    pub(super) fn network(&mut self, node: &Node) -> Option<(IpAddr, u8)> {
        let word = self.word(node)?;
        let (address, length) = word.split_once('/').map_or((word.as_str(), None), |(a, l)| (a, Some(l)));
        let address: Option<IpAddr> = address.parse().ok();
        let most = if address.is_some_and(|address| address.is_ipv6()) { 128 } else { 32 };
        let length = length.map_or(Some(most), |length| length.parse::<u8>().ok());
        match (address, length) {
            (Some(address), Some(length)) if length <= most => Some((address, length)),
            _ => {
                self.complain(
                    &node.path,
                    format!("expected a network as 192.0.2.0/24 or 2001:db8::/32, found `{word}`"),
                );
                None
            }
        }
    }

    // --- lists and mappings

    /// What `read` makes of each item, with the item.
    pub(super) fn each<'n, T>(
        &mut self,
        list: Option<&'n Node>,
        mut read: impl FnMut(&mut Self, &'n Node) -> Option<T>,
    ) -> Vec<(T, &'n Node)> {
        let Some(list) = list else { return vec![] };
        let Kind::List(items) = &list.kind else {
            self.complain(&list.path, "expected a list: each entry begins with `- `");
            return vec![];
        };
        if items.len() > ENTRIES_MAX {
            self.complain(
                &list.path,
                format!("at most {ENTRIES_MAX} entries are possible here, found {}", items.len()),
            );
            return vec![];
        }
        items.iter().filter_map(|item| Some((read(self, item)?, item))).collect()
    }

    /// A mapping with keys of the operator's own, each once. What is nothing has none.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n str, &'n Node, Path)> {
        let entries = match &node.kind {
            Kind::Map(entries) if entries.len() <= ENTRIES_MAX => entries,
            Kind::Nothing => return vec![],
            Kind::Map(entries) => {
                let message = format!("at most {ENTRIES_MAX} entries are possible here, found {}", entries.len());
                self.complain(&node.path, message);
                return vec![];
            }
            Kind::Word(_) | Kind::List(_) => {
                self.complain(&node.path, format!("expected {what}"));
                return vec![];
            }
        };
        let mut found: Vec<(&str, &Node, Path)> = vec![];
        for (at, (key, value)) in entries.iter().enumerate() {
            let mut path = node.path.clone();
            path.push(Turn::Key(at));
            if found.iter().any(|(name, ..)| name == key) {
                self.complain(&path, format!("`{key}` is given twice"));
            } else {
                found.push((key, value, path));
            }
        }
        found
    }

    /// One of a few words; what is none of them is told with those that are.
    pub(super) fn choice<T: Copy>(&mut self, node: &Node, known: &[(&str, T)]) -> Option<T> {
        let word = self.word(node)?;
        if let Some((_, value)) = known.iter().find(|(name, _)| *name == word) {
            return Some(*value);
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let hint = match closest(&word, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", names.join(", ")),
        };
        self.advise(&node.path, format!("`{word}` is not known here"), hint);
        None
    }

    /// A mapping that has no other keys than `place` may have.
    pub(super) fn map<'n>(&mut self, node: &'n Node, place: &'static str) -> Option<Fields<'n>> {
        let known = self.keys.iter().find(|(at, _)| *at == place).map(|(_, keys)| *keys).unwrap_or_default();
        let entries = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Nothing => return Some(Fields { node, entries: vec![] }),
            Kind::Word(_) | Kind::List(_) => {
                let keys = known.join(", ");
                self.complain(&node.path, format!("expected a mapping with some of the keys {keys}"));
                return None;
            }
        };
        let mut found: Vec<(&str, &Node)> = vec![];
        for (at, (key, value)) in entries.iter().enumerate() {
            let path = || {
                let mut path = node.path.clone();
                path.push(Turn::Key(at));
                path
            };
            if !known.contains(&key.as_str()) {
                let inside = if place.is_empty() { String::new() } else { format!(" in {place}") };
                let hint = match (closest(key, known.iter().copied()), belongs(self.keys, key)) {
                    (Some(near), _) => format!("did you mean `{near}`?"),
                    (None, Some(other)) => format!("`{key}` belongs into {other}"),
                    (None, None) => format!("known here: {}", known.join(", ")),
                };
                let path = path();
                self.advise(&path, format!("there is no setting `{key}`{inside}"), hint);
            } else if found.iter().any(|(name, _)| name == key) {
                let path = path();
                self.complain(&path, format!("`{key}` is given twice"));
            } else {
                found.push((key, value));
            }
        }
        Some(Fields { node, entries: found })
    }

    pub(super) fn required<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<&'n Node> {
        let found = fields.get(key);
        if found.is_none() {
            self.complain(&fields.node.path, format!("`{key}` is missing here"));
        }
        found
    }

    // --- places

    /// Notes a mistake at what `path` leads to; gives it back for a hint. Nothing when there are too many already.
    pub(super) fn complain(&mut self, path: &Path, message: impl Into<String>) -> Option<&mut Diagnostic> {
        if self.diagnostics.len() >= DIAGNOSTICS_MAX {
            return None;
        }
        let span = self.span_of(tree::place(self.text, path));
        self.diagnostics.push(Diagnostic::error("settings", span, message));
        self.diagnostics.last_mut()
    }

    /// Notes what is no mistake but had better be known.
    pub(super) fn remark(&mut self, diagnostic: impl FnOnce(Span) -> Diagnostic, path: &Path) {
        if self.diagnostics.len() < DIAGNOSTICS_MAX {
            let span = self.span_of(tree::place(self.text, path));
            self.diagnostics.push(diagnostic(span));
        }
    }

    pub(super) fn has_mistakes(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The same, with what to do about it.
    pub(super) fn advise(&mut self, path: &Path, message: String, hint: impl Into<String>) {
        if let Some(diagnostic) = self.complain(path, message) {
            diagnostic.hint = Some(hint.into());
        }
    }

    pub(super) fn span(&self, node: &Node) -> Span {
        self.span_of(tree::place(self.text, &node.path))
    }

    fn span_of(&self, place: Option<(u32, u32)>) -> Span {
        let Some((line, column)) = place else { return Span { file: self.file, ..Span::default() } };
        // What is missing at the end is missing behind the last line, and a reader's columns may be those of a line after it.
        let Some(end) = self.lines.last().map(|text| text.chars().count()) else {
            return Span { file: self.file, ..Span::default() };
        };
        let last = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        let (line, column) =
            if line > last { (last, u32::try_from(end + 1).unwrap_or(u32::MAX)) } else { (line, column) };
        let length =
            usize::try_from(line).ok().and_then(|line| Some(self.lines.get(line.checked_sub(1)?)?.chars().count()));
        let column = column.min(u32::try_from(length.unwrap_or_default() + 1).unwrap_or(u32::MAX));
        let before = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let at = usize::try_from(line).ok().and_then(|line| self.lines.get(line.checked_sub(1)?));
        let rest: Vec<char> = at.map(|text| text.chars().skip(before).collect()).unwrap_or_default();
        let length = match rest.first() {
            Some(quote @ ('"' | '\'')) => {
                rest.iter().skip(1).position(|c| c == quote).map_or(rest.len(), |end| end + 2)
            }
            _ => {
                let ends = |(at, c): (usize, &char)| {
                    c.is_whitespace()
                        || matches!(c, ',' | ']' | '}')
                        || *c == ':' && rest.get(at + 1).is_none_or(|next| next.is_whitespace())
                };
                rest.iter().enumerate().position(ends).unwrap_or(rest.len())
            }
        };
        Span { file: self.file, line, column, length: u32::try_from(length.max(1)).unwrap_or(u32::MAX), made: 0 }
    }
}

/// Another mapping that has this key, if it is one only.
fn belongs(keys: Keys, key: &str) -> Option<&'static str> {
    let mut places =
        keys.iter().filter(|(place, keys)| !place.is_empty() && keys.contains(&key)).map(|(place, _)| *place);
    places.next().filter(|_| places.next().is_none())
}

/// `500ms`, `1s`, `5m`, `1h`, `7d`.
pub(super) fn duration(word: &str) -> Option<Duration> {
    let digits = word.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = word.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let ms = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(ms)?))
}

fn shown(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 86_400_000 == 0 => format!("{}d", ms / 86_400_000),
        ms if ms > 0 && ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}
