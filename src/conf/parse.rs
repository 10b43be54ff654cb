//! From lines to a tree of directives, checked against the keyword table: nesting, arity, types.
//!
//! One mistake is one diagnostic: an unknown block is skipped as a unit, a word that is reported is not reported again
//! further on. What the values mean together is not known here.

use super::diag::{Class, Diagnostic, Sources, Span};
use super::expand::Item;
use super::keywords::{self, Arg, Effect, Entry, Kind, Missing, Need, Opt, PEER_OPTIONS, Row, Shape, Synonym, docs};
use super::lex::{self, Split, Text, Word};
use super::values::{self, Value};

/// A directive with everything that belongs to it.
#[derive(Debug)]
pub struct Node {
    pub row: &'static Row,
    pub keyword: Word,
    /// Positional values; a bad one is `None`.
    pub values: Vec<Val>,
    pub options: Vec<Option_>,
    pub children: Vec<Node>,
    pub entries: Vec<Line>,
    /// Words that the directive has no place for.
    pub extra: Vec<Word>,
    /// The block was refused, with a report: there is nothing in it.
    pub skipped: bool,
}

/// A line of a value block.
#[derive(Debug)]
pub struct Line {
    pub values: Vec<Val>,
    pub options: Vec<Option_>,
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
pub struct Option_ {
    pub name: &'static str,
    pub word: Word,
    pub values: Vec<Val>,
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

    pub fn option(&self, name: &str) -> Option<&Option_> {
        self.options.iter().rev().find(|option| option.name == name)
    }

    pub fn first(&self) -> Option<&Val> {
        self.values.first()
    }
}

impl Option_ {
    pub fn value(&self) -> Option<&Value> {
        self.values.first()?.value.as_ref()
    }
}

fn find<'a>(values: &'a [Val], name: &str) -> Option<&'a Value> {
    values.iter().find(|value| value.name == name)?.value.as_ref()
}

/// The directives of the top level, and every complaint.
pub fn parse(items: &[Item], sources: &Sources) -> (Vec<Node>, Vec<Diagnostic>) {
    let opens = items.iter().filter(|item| matches!(item, Item::Open(_))).count();
    let closes = items.iter().filter(|item| matches!(item, Item::Close(_))).count();
    let mut parser = Parser {
        items,
        at: 0,
        sources,
        diagnostics: Vec::new(),
        unclosed: opens.saturating_sub(closes),
        depth: 0,
        last_close: None,
        to_top: false,
    };
    let mut nodes = Vec::new();
    while parser.at < items.len() {
        nodes.extend(parser.block("/", None));
        parser.to_top = false;
    }
    nodes.retain(|node: &Node| !node.skipped);
    (nodes, parser.diagnostics)
}

struct Parser<'a> {
    items: &'a [Item],
    at: usize,
    sources: &'a Sources,
    diagnostics: Vec<Diagnostic>,
    /// How many `}` the text lacks.
    unclosed: usize,
    depth: usize,
    last_close: Option<Span>,
    /// A top-level block was found inside others: all of them end here.
    to_top: bool,
}

impl Parser<'_> {
    fn block(&mut self, path: &str, open: Option<Span>) -> Vec<Node> {
        let mut nodes = Vec::new();
        while let Some(item) = self.items.get(self.at) {
            match item {
                Item::Close(span) => {
                    self.at += 1;
                    if open.is_some() {
                        self.last_close = Some(*span);
                        return nodes;
                    }
                    self.extra_close(*span);
                }
                Item::Open(span) => {
                    self.diagnostics.push(
                        Diagnostic::error("unexpected-brace", *span, "`{` opens no block here")
                            .class(Class::UnexpectedOpen)
                            .hint("a brace follows the name of a block; this one and its contents are skipped"),
                    );
                    self.skip_block();
                }
                Item::Line(text) => {
                    if open.is_some() && self.belongs_to_top(path, text, open) {
                        return nodes;
                    }
                    self.at += 1;
                    nodes.extend(self.directive(path, text));
                    if self.to_top {
                        return nodes;
                    }
                }
            }
        }
        if let Some(open) = open {
            self.never_closed(open, None);
        }
        nodes
    }

    fn extra_close(&mut self, span: Span) {
        let mut diagnostic =
            Diagnostic::error("unmatched-brace", span, "this `}` closes nothing").class(Class::UnexpectedClose);
        if let Some(last) = self.last_close {
            diagnostic = diagnostic.related(last, "the last block was closed here");
        }
        self.diagnostics.push(diagnostic.hint("delete it, or look for a `{` that is missing before it"));
    }

    fn never_closed(&mut self, open: Span, before: Option<(&Word, Span)>) {
        let mut diagnostic = Diagnostic::error("unclosed-block", open, "the block opened here is never closed")
            .class(Class::MissingClose);
        diagnostic = match before {
            Some((word, span)) => diagnostic
                .related(span, format!("`{}` cannot stand inside it", word.text))
                .hint(format!("a `}}` is probably missing before line {}", span.line)),
            None => diagnostic.hint("add a `}` after its last line"),
        };
        self.diagnostics.push(diagnostic);
    }

    /// A block of the top level inside another, in a text that lacks a `}`: the brace is missing before it.
    fn belongs_to_top(&mut self, path: &str, text: &Text, open: Option<Span>) -> bool {
        if self.unclosed == 0 {
            return false;
        }
        let Some(word) = lex::plain(text).words.into_iter().next() else { return false };
        let is_block = |path: &str| {
            keywords::find(path, &word.text)
                .is_some_and(|(row, _)| matches!(row.shape, Shape::Block(_) | Shape::Entries(..)))
        };
        if keywords::find(path, &word.text).is_some() || !is_block("/") {
            return false;
        }
        if let Some(open) = open {
            self.never_closed(open, Some((&word, word.span)));
        }
        self.unclosed = self.unclosed.saturating_sub(self.depth);
        self.to_top = true;
        true
    }

    /// Skips from `{` to its `}`.
    fn skip_block(&mut self) {
        let mut depth = 0_usize;
        while let Some(item) = self.items.get(self.at) {
            self.at += 1;
            match item {
                Item::Open(_) => depth += 1,
                Item::Close(span) => {
                    depth = depth.saturating_sub(1);
                    self.last_close = Some(*span);
                }
                Item::Line(_) => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn opens_next(&self) -> Option<Span> {
        match self.items.get(self.at) {
            Some(Item::Open(span)) => Some(*span),
            _ => None,
        }
    }

    fn directive(&mut self, path: &str, text: &Text) -> Option<Node> {
        let keyword = lex::plain(&text.first_word()).words.into_iter().next().unwrap_or_else(|| Word {
            text: text.first_word().to_string(),
            span: text.span(0, text.first_word().len()),
            quoted: true,
        });
        let Some((row, synonym)) = keywords::find(path, &keyword.text).filter(|(row, _)| !row.keyword.starts_with('<'))
        else {
            self.unknown(path, &keyword);
            if self.opens_next().is_some() {
                self.skip_block();
            }
            return None;
        };
        self.synonym(row, synonym, &keyword);
        let split = self.split(text, is_script(row));
        let broken = split.is_none();
        // What was meant by half a command nobody knows; half a line of plain words is used.
        let words = split.unwrap_or_else(|| if is_script(row) { Vec::new() } else { lex::plain(text).words });
        let words = words.get(1..).unwrap_or_default();
        let inner = if path == "/" { row.keyword.to_owned() } else { format!("{path}/{}", row.keyword) };
        let mut node = Node {
            row,
            keyword,
            values: Vec::new(),
            options: Vec::new(),
            children: Vec::new(),
            entries: Vec::new(),
            extra: Vec::new(),
            skipped: false,
        };
        match row.shape {
            Shape::Block(head) | Shape::Entries(head, _) => {
                let named = self.head(&mut node, head, words, broken);
                let open = match self.opens_next() {
                    Some(open) => {
                        self.at += 1;
                        open
                    }
                    None => {
                        let last = words.last().map_or(node.keyword.span, |word| word.span);
                        self.diagnostics.push(
                            Diagnostic::error("missing-brace", last, format!("expected `{{` after `{}`", node.name()))
                                .class(Class::MissingOpen)
                                .hint("the lines up to the next `}` are read as its block"),
                        );
                        last
                    }
                };
                if !named {
                    // Skipped as a unit, `{` included when there is one.
                    if matches!(self.items.get(self.at.wrapping_sub(1)), Some(Item::Open(_))) {
                        self.at -= 1;
                        self.skip_block();
                    }
                    node.skipped = true;
                    return Some(node);
                }
                self.depth += 1;
                match row.shape {
                    Shape::Entries(_, entry) => self.entries(path, entry, open, &mut node),
                    _ => node.children = self.block(&inner, Some(open)),
                }
                self.depth -= 1;
                self.required(&inner, &node);
            }
            _ => {
                self.arguments(path, &mut node, words, broken);
                if let Some(open) = self.opens_next() {
                    if !broken && !node.values.is_empty() || matches!(row.shape, Shape::Flag) {
                        let message = format!("`{}` is not a block: `{{` cannot stand here", node.name());
                        self.diagnostics.push(
                            Diagnostic::error("unexpected-brace", open, message)
                                .class(Class::UnexpectedOpen)
                                .hint("values stand on the line of the directive"),
                        );
                    }
                    self.skip_block();
                }
            }
        }
        Some(node)
    }

    fn synonym(&mut self, row: &'static Row, synonym: Option<Synonym>, keyword: &Word) {
        let (class, word) = match synonym {
            Some(Synonym::Deprecated(word)) => (Class::Silent, word),
            Some(Synonym::DeprecatedQuietly(word)) => (Class::Silent, word),
            _ => return,
        };
        let class = if matches!(word, "vrrp_vmac_garp_intvl" | "vmac_garp_intvl" | "thread_timer_expired") {
            Class::Deprecated
        } else {
            class
        };
        self.diagnostics.push(
            Diagnostic::warning("deprecated", keyword.span, format!("`{word}` is an old name"))
                .class(class)
                .hint(format!("write `{}`", row.keyword)),
        );
    }

    /// The words of a line; `None` after a complaint about a quote that is not closed.
    fn split(&mut self, text: &Text, script: bool) -> Option<Vec<Word>> {
        let Split { words, open } = if script { lex::script(text) } else { lex::plain(text) };
        let Some((quote, span)) = open else { return Some(words) };
        let column = usize::try_from(span.column).unwrap_or_default();
        let rest: String = self.sources.line(span).map(|line| line.chars().skip(column).collect()).unwrap_or_default();
        let diagnostic = if quote == '\'' && rest.contains(['#', '!']) && rest.contains('\'') {
            let sign = if rest.contains('#') { '#' } else { '!' };
            Diagnostic::error("unclosed-quote", span, format!("`{sign}` starts a comment even inside single quotes"))
                .hint("use double quotes")
        } else {
            Diagnostic::error("unclosed-quote", span, "the string opened here is not closed before the end of the line")
                .hint(format!("add a {quote}"))
        };
        self.diagnostics.push(diagnostic.class(Class::UnmatchedQuote));
        None
    }

    fn unknown(&mut self, path: &str, word: &Word) {
        let text = word.text.as_str();
        if word.is_undefined() {
            return;
        }
        let place = if path == "/" { "at the top level".to_owned() } else { format!("in {}", last(path)) };
        let unknown =
            |message: String| Diagnostic::error("unknown-keyword", word.span, message).class(Class::UnknownKeyword);
        if let Some(message) = keywords::removed(text) {
            let diagnostic = Diagnostic::warning("removed-keyword", word.span, message);
            self.diagnostics
                .push(diagnostic.class(Class::UnknownKeyword).hint("it belongs to old releases of Keepalived"));
            return;
        }
        let same = keywords::block(path).iter().find(|row| row.keyword.eq_ignore_ascii_case(text));
        let homes = keywords::homes(text);
        self.diagnostics.push(if let Some(row) = same {
            unknown(format!("unknown directive `{text}` {place}: keywords are case-sensitive"))
                .hint(format!("did you mean `{}`?", row.keyword))
        } else if let Some(home) = homes.first() {
            let home = match *home {
                "/" => "the top level".to_owned(),
                home => home.to_owned(),
            };
            let more = if homes.len() > 1 { " and others" } else { "" };
            unknown(format!("`{text}` cannot stand {place}")).hint(format!("it belongs in {home}{more}"))
        } else if let Some(near) = keywords::nearest(path, text) {
            unknown(format!("unknown directive `{text}` {place}")).hint(format!("did you mean `{near}`?"))
        } else if let Some(near) = keywords::closest(text, keywords::rows().map(|row| row.keyword)) {
            let home = keywords::homes(near).first().copied().unwrap_or("/");
            let home = if home == "/" { "the top level" } else { home };
            unknown(format!("unknown directive `{text}` {place}"))
                .hint(format!("did you mean `{near}`? It belongs in {home}"))
        } else if text.starts_with('$') {
            unknown(format!("`{text}` is not a definition or a known parameter")).hint("write `$NAME=value`")
        } else {
            unknown(format!("unknown directive `{text}` {place}")).hint("docs/keywords.md lists what may stand where")
        });
    }

    /// The names of a block; false when the block has to be skipped.
    fn head(&mut self, node: &mut Node, head: &'static [Arg], words: &[Word], broken: bool) -> bool {
        if node.name() == "virtual_server" {
            return self.virtual_server(node, words);
        }
        let (used, good) = self.positional(node.row, node.keyword.clone(), head, words, &mut node.values, broken);
        let extra = words.get(used..).unwrap_or_default();
        let Some(first) = extra.first() else { return good };
        if !head.is_empty() && node.name() != "real_server" {
            self.diagnostics.push(
                Diagnostic::error("extra-name", first.span, format!("`{}` takes one name only", node.name()))
                    .hint("put a name with blanks in double quotes; the block is skipped"),
            );
            return false;
        }
        let counted =
            if node.name() == "global_defs" || node.name() == "real_server" { Class::Silent } else { Class::General };
        self.diagnostics.push(
            Diagnostic::warning("extra-word", first.span, format!("`{}` takes nothing before its `{{`", node.name()))
                .class(counted)
                .hint("the word is ignored"),
        );
        good
    }

    fn virtual_server(&mut self, node: &mut Node, words: &[Word]) -> bool {
        let Some(first) = words.first() else {
            self.missing(node.row, &node.keyword, "an address and a port, `fwmark` and a mark, or `group` and a name");
            return false;
        };
        let second = words.get(1);
        let mut push = |name, word: &Word, value| node.values.push(Val { name, word: word.clone(), value });
        let kind = match first.text.as_str() {
            "group" => Some(("group", Kind::Str, "a name")),
            "fwmark" => Some(("fwmark", Kind::Int(0, 4_294_967_295), "a mark")),
            _ => None,
        };
        let good = match kind {
            Some((name, kind, what)) => match second {
                Some(word) => {
                    let value = values::read(kind, word, name, &mut self.diagnostics);
                    let good = value.is_some();
                    push(name, word, value);
                    good
                }
                None => {
                    self.diagnostics.push(
                        Diagnostic::error("missing-value", first.span, format!("`{}` needs {what}", first.text))
                            .class(Class::MissingParameter)
                            .hint("Keepalived crashes here; the block is skipped"),
                    );
                    false
                }
            },
            None => {
                let stripped = Word { text: without_suffix(&first.text), ..first.clone() };
                let address = values::read(Kind::Ip, &stripped, "virtual_server", &mut self.diagnostics);
                let mut good = address.is_some();
                push("address", first, address);
                if let Some(port) = second {
                    let value = self.port(port, "virtual_server");
                    good &= value.is_some();
                    push("port", port, value);
                }
                good
            }
        };
        if let Some(extra) = words.get(2) {
            self.extra_word("/", node, extra);
        }
        good
    }

    fn port(&mut self, word: &Word, what: &str) -> Option<Value> {
        let before = self.diagnostics.len();
        let value = values::read(Kind::Int(0, 65535), word, what, &mut self.diagnostics);
        let service = match word.text.as_str() {
            "http" => 80,
            "https" => 443,
            "smtp" => 25,
            "domain" => 53,
            "ftp" => 21,
            "ssh" => 22,
            "imap" => 143,
            "ldap" => 389,
            _ => return value,
        };
        if let Some(diagnostic) = self.diagnostics.get_mut(before) {
            diagnostic.hint = Some(format!("a port is a number: {} is {service}", word.text));
        }
        value
    }

    fn arguments(&mut self, path: &str, node: &mut Node, words: &[Word], broken: bool) {
        match node.row.shape {
            Shape::Flag => match words.first() {
                Some(word) if matches!(word.text.as_str(), "off" | "false" | "no") => {
                    self.flag_with_off(path, node, word)
                }
                Some(word) => self.extra_word(path, node, word),
                None => {}
            },
            Shape::Words(args) => {
                let (used, _) = self.positional(node.row, node.keyword.clone(), args, words, &mut node.values, broken);
                if let Some(word) = words.get(used).filter(|_| !broken) {
                    self.extra_word(path, node, word);
                }
                node.extra = words.get(used..).unwrap_or_default().to_vec();
            }
            Shape::Options(head, options) => {
                let head_words = if head.is_empty() { &[] } else { words.get(..1).unwrap_or_default() };
                self.positional(node.row, node.keyword.clone(), head, head_words, &mut node.values, broken);
                let rest = words.get(head.len()..).unwrap_or_default();
                if node.name() == "lvs_sync_daemon" {
                    self.sync_daemon(node, options, rest);
                } else {
                    let found = self.options(node.row, options, rest);
                    node.options = found;
                }
            }
            Shape::Rest | Shape::Block(_) | Shape::Entries(..) => {}
        }
    }

    /// The word `inst` is optional before the instance.
    fn sync_daemon(&mut self, node: &mut Node, options: &'static [Opt], mut rest: &[Word]) {
        if let Some(word) = rest.first().filter(|word| options.iter().all(|option| option.word != word.text)) {
            let value = Some(Value::Text(word.text.clone()));
            let values = vec![Val { name: "instance", word: word.clone(), value }];
            node.options.push(Option_ { name: "inst", word: word.clone(), values });
            rest = rest.get(1..).unwrap_or_default();
        }
        let found = self.options(node.row, options, rest);
        node.options.extend(found);
    }

    fn flag_with_off(&mut self, path: &str, node: &Node, word: &Word) {
        let name = node.name();
        let message = format!("`{name}` takes no value: this line turns it on");
        let opposite = match name {
            "nopreempt" => Some("preempt"),
            "accept" => Some("no_accept"),
            "no_accept" => Some("accept"),
            _ => None,
        }
        .filter(|opposite| keywords::find(path, opposite).is_some());
        self.diagnostics.push(match opposite {
            Some(opposite) => Diagnostic::warning("flag-with-value", word.span, message)
                .silent()
                .hint(format!("delete the line, or write `{opposite}`")),
            None => Diagnostic::error("flag-with-value", word.span, message).silent().hint("delete the line"),
        });
    }

    fn extra_word(&mut self, path: &str, node: &Node, word: &Word) {
        if word.is_undefined() {
            return;
        }
        let name = node.name();
        if word.text == "}" || word.text == "{" {
            return;
        }
        let directive = keywords::find(path, &word.text).is_some() && path != "/";
        self.diagnostics.push(if directive && last(path) == "authentication" {
            let message = format!("`{}` is a directive, but an ignored extra word of `{name}` here", word.text);
            Diagnostic::error("extra-word", word.span, message)
                .hint("one line holds one directive: put it on its own line")
        } else if directive {
            let message = format!("`{}` is a directive, but an ignored extra word of `{name}` here", word.text);
            Diagnostic::warning("extra-word", word.span, message)
                .silent()
                .hint("one line holds one directive: put it on its own line")
        } else if matches!(name, "script" | "misc_path") {
            let message = format!("only the first word is run: `{}` and what follows are ignored", word.text);
            Diagnostic::error("extra-word", word.span, message).silent().hint("put the whole command in double quotes")
        } else {
            let message = format!("the extra word `{}` after `{name}` is ignored", word.text);
            Diagnostic::warning("extra-word", word.span, message).silent().hint("delete it")
        });
    }

    /// Reads positional values; how many words were used, and whether all were good.
    fn positional(
        &mut self,
        row: &'static Row,
        keyword: Word,
        args: &'static [Arg],
        words: &[Word],
        found: &mut Vec<Val>,
        broken: bool,
    ) -> (usize, bool) {
        let mut at = 0;
        let mut good = true;
        for (index, arg) in args.iter().enumerate() {
            let word = words.get(at);
            match (arg.need, word) {
                (Need::One | Need::Some, None) => {
                    if !broken {
                        self.missing(row, &keyword, &docs::kind(arg.kind));
                    }
                    return (at, false);
                }
                (Need::Optional | Need::Any, None) => {}
                (Need::Optional, Some(word)) if index + 1 < args.len() && !fits(arg.kind, word) => {}
                (Need::One | Need::Optional, Some(word)) => {
                    at += 1;
                    let value = self.read(arg, word, &keyword.text);
                    good &= value.is_some();
                    found.push(Val { name: arg.name, word: word.clone(), value });
                }
                (Need::Any | Need::Some, Some(_)) => {
                    for word in words.get(at..).unwrap_or_default() {
                        let value = self.read(arg, word, &keyword.text);
                        good &= value.is_some();
                        found.push(Val { name: arg.name, word: word.clone(), value });
                    }
                    at = words.len();
                }
            }
        }
        (at, good)
    }

    fn read(&mut self, arg: &Arg, word: &Word, what: &str) -> Option<Value> {
        if arg.name == "port" {
            return match arg.kind {
                Kind::Int(0, _) => self.port(word, what),
                kind => values::read(kind, word, what, &mut self.diagnostics),
            };
        }
        if what == "real_server" && arg.kind == Kind::Ip {
            let stripped = Word { text: without_suffix(&word.text), ..word.clone() };
            return values::read(Kind::Ip, &stripped, what, &mut self.diagnostics);
        }
        values::read(arg.kind, word, what, &mut self.diagnostics)
    }

    fn missing(&mut self, row: &'static Row, keyword: &Word, what: &str) {
        let diagnostic = Diagnostic::error("missing-value", keyword.span, format!("`{}` needs {what}", keyword.text));
        let diagnostic = match row.missing {
            Missing::Fatal => diagnostic.class(Class::MissingArgument).refuses_start(),
            Missing::Warn => diagnostic,
        };
        self.diagnostics.push(diagnostic.hint(match row.default {
            "" | "-" | "none" => "add the value, or delete the line".to_owned(),
            default => format!("add the value, or delete the line (default: {default})"),
        }));
    }

    fn options(&mut self, row: &'static Row, options: &[Opt], words: &[Word]) -> Vec<Option_> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            at += 1;
            let Some(option) = options.iter().find(|option| option.word == word.text) else {
                self.unknown_option(row.keyword, word, options.iter().map(|option| option.word));
                // What follows may be its value.
                continue;
            };
            let mut values = Vec::new();
            let (used, _) = self.positional(
                row,
                word.clone(),
                option.args,
                words.get(at..).unwrap_or_default(),
                &mut values,
                false,
            );
            at += used;
            found.push(Option_ { name: option.word, word: word.clone(), values });
        }
        found
    }

    fn unknown_option<'w>(&mut self, place: &str, word: &Word, known: impl Iterator<Item = &'w str> + Clone) {
        if word.is_undefined() {
            return;
        }
        let message = format!("unknown option `{}` for `{place}`", word.text);
        let hint = match keywords::closest(&word.text, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.diagnostics.push(Diagnostic::error("unknown-option", word.span, message).hint(hint));
    }

    // Value blocks.

    fn entries(&mut self, parent: &str, entry: Entry, open: Span, node: &mut Node) {
        while let Some(item) = self.items.get(self.at) {
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
                Item::Line(text) => {
                    if self.ends_here(parent, entry, text, open) {
                        return;
                    }
                    self.at += 1;
                    if let Some(words) = self.split(text, false) {
                        let line = text.span(0, text.len());
                        self.entry(node.row, entry, &words, line, &mut node.entries);
                    }
                }
            }
        }
        self.never_closed(open, None);
    }

    /// A directive of an outer block among data, in a text that lacks a `}`.
    fn ends_here(&mut self, parent: &str, entry: Entry, text: &Text, open: Span) -> bool {
        if self.unclosed == 0 {
            return false;
        }
        let Some(word) = lex::plain(text).words.into_iter().next() else { return false };
        let addresses = matches!(entry, Entry::Addresses | Entry::Peers | Entry::Routes);
        let opens = matches!(self.items.get(self.at + 1), Some(Item::Open(_)));
        if parent != "/" && (addresses || opens) && keywords::find(parent, &word.text).is_some() {
            self.unclosed -= 1;
            self.never_closed(open, Some((&word, word.span)));
            return true;
        }
        opens && self.belongs_to_top(parent, text, Some(open))
    }

    fn entry(&mut self, row: &'static Row, entry: Entry, words: &[Word], span: Span, out: &mut Vec<Line>) {
        let Some(first) = words.first() else { return };
        let mut line = Line { values: Vec::new(), options: Vec::new(), span };
        match entry {
            Entry::EachWord(name, kind) => {
                for word in words {
                    let value = values::read(kind, word, row.keyword, &mut self.diagnostics);
                    let values = vec![Val { name, word: word.clone(), value }];
                    out.push(Line { values, options: Vec::new(), span: word.span });
                }
                return;
            }
            Entry::Line(args) => {
                let (used, _) = self.positional(row, first.clone(), args, words, &mut line.values, false);
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
                if !self.row_options("<addr-entry>", row, words.get(1..).unwrap_or_default(), &mut line) {
                    return;
                }
            }
            Entry::Routes => {
                if !self.route(row, words, &mut line) {
                    return;
                }
            }
            Entry::Rules => {
                if !self.row_options("<rule-entry>", row, words, &mut line) {
                    return;
                }
                if line.option("preference").is_none() {
                    self.diagnostics.push(
                        Diagnostic::warning(
                            "rule-preference",
                            first.span,
                            "the rule has no preference: one is assigned, from 16384 down",
                        )
                        .hint("add `preference N`"),
                    );
                }
            }
            Entry::Track { name, min, max, noreverse } => {
                line.values.push(Val { name, word: first.clone(), value: Some(Value::Text(first.text.clone())) });
                self.track(row, words, (min, max, noreverse), &mut line);
            }
            Entry::Peers => {
                let value = values::read(Kind::Ip, first, row.keyword, &mut self.diagnostics);
                if value.is_none() {
                    return;
                }
                line.values.push(Val { name: "addr", word: first.clone(), value });
                line.options = self.options(row, PEER_OPTIONS, words.get(1..).unwrap_or_default());
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

    fn track(&mut self, row: &'static Row, words: &[Word], (min, max, noreverse): (i64, i64, bool), line: &mut Line) {
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
                    let mut value = None;
                    match values::number(&weight.text) {
                        Some(number) if (min..=max).contains(&number) => value = Some(Value::Int(number)),
                        Some(number) if number.abs() == 254 => {
                            let message = format!("weight {number} is read as {}", number.signum() * 253);
                            self.diagnostics.push(
                                Diagnostic::warning("weight", weight.span, message).hint("weights go from -253 to 253"),
                            );
                            value = Some(Value::Int(number.signum() * 253));
                        }
                        _ => {
                            values::read(Kind::Int(min, max), weight, "weight", &mut self.diagnostics);
                        }
                    }
                    let values = vec![Val { name: "weight", word: weight.clone(), value }];
                    line.options.push(Option_ { name: "weight", word: word.clone(), values });
                }
                "reverse" => line.options.push(Option_ { name: "reverse", word: word.clone(), values: Vec::new() }),
                "noreverse" if noreverse => {
                    line.options.push(Option_ { name: "noreverse", word: word.clone(), values: Vec::new() });
                }
                _ => {
                    self.unknown_option(row.keyword, word, ["weight", "reverse"].into_iter());
                    return;
                }
            }
        }
    }

    /// Options that are rows of the table; false when one is so wrong that the line is dropped.
    fn row_options(&mut self, path: &str, place: &'static Row, words: &[Word], line: &mut Line) -> bool {
        let mut at = 0;
        let mut good = true;
        while let Some(word) = words.get(at) {
            at += 1;
            let found = keywords::find(path, &word.text).filter(|(row, _)| !row.keyword.starts_with('<'));
            // The word `type` is optional before the action of a rule.
            let action =
                path == "<rule-entry>" && matches!(word.text.as_str(), "blackhole" | "unreachable" | "prohibit");
            if action {
                line.options.push(Option_ { name: "type", word: word.clone(), values: Vec::new() });
                continue;
            }
            let Some((row, _)) = found else {
                // `ip_proto` is the manual page's name.
                if path == "<rule-entry>" && word.text == "ip_proto" {
                    at += 1;
                    continue;
                }
                if path == "<addr-entry>" && values::address(without_suffix(&word.text).as_str()).is_ok() {
                    self.diagnostics.push(
                        Diagnostic::error("two-addresses", word.span, "a second address on the line is ignored")
                            .hint("write one address per line"),
                    );
                    continue;
                }
                let known = keywords::block(path).iter().map(|row| row.keyword).filter(|word| !word.starts_with('<'));
                self.unknown_option(place.keyword, word, known);
                continue;
            };
            let option = row.keyword;
            let args: &'static [Arg] = match row.shape {
                Shape::Words(args) => args,
                _ => &[],
            };
            let before = self.diagnostics.len();
            let mut values = Vec::new();
            let rest = words.get(at..).unwrap_or_default();
            // An option in place of the value means that the value is missing.
            let rest = match (args.first(), rest.first()) {
                (Some(arg), Some(next)) if arg.need == Need::One && keywords::find(path, &next.text).is_some() => &[],
                _ => rest,
            };
            let (used, _) = self.positional(row, word.clone(), args, rest, &mut values, false);
            at += used;
            if used == 0 && args.iter().any(|arg| arg.need == Need::One) {
                good = false;
            }
            if self.diagnostics.len() > before
                && row.default == "none"
                && matches!(option, "dev" | "from" | "to" | "table")
            {
                good = false;
            }
            line.options.push(Option_ { name: option, word: word.clone(), values });
        }
        good
    }

    fn route(&mut self, row: &'static Row, words: &[Word], line: &mut Line) -> bool {
        let path = "<route-entry>";
        let types = [
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
        let mut at = 0;
        let mut destination = false;
        let mut good = true;
        while let Some(word) = words.get(at) {
            at += 1;
            match word.text.as_str() {
                // Their own grammar follows; it is read when routes are built.
                "nexthop" | "encap" => {
                    let values = Vec::new();
                    line.options.push(Option_ { name: "nexthop", word: word.clone(), values });
                    break;
                }
                "to" => continue,
                "inet" | "inet6" => {
                    line.options.push(Option_ { name: "family", word: word.clone(), values: Vec::new() });
                    continue;
                }
                text if types.contains(&text) && !destination => continue,
                text => {
                    let option = keywords::find(path, text).filter(|(row, _)| !row.keyword.starts_with('<'));
                    let Some((option, _)) = option else {
                        if destination {
                            let known = keywords::block(path).iter().map(|row| row.keyword);
                            self.unknown_option(row.keyword, word, known.filter(|word| !word.starts_with('<')));
                            return false;
                        }
                        destination = true;
                        let value = match text {
                            "default" | "any" | "all" | "default6" => Some(Value::Text(text.to_owned())),
                            _ => values::read(Kind::Prefix, word, row.keyword, &mut self.diagnostics),
                        };
                        good &= value.is_some();
                        line.values.push(Val { name: "destination", word: word.clone(), value });
                        continue;
                    };
                    let args: &'static [Arg] = match option.shape {
                        Shape::Words(args) => args,
                        _ => &[],
                    };
                    let mut values = Vec::new();
                    let rest = words.get(at..).unwrap_or_default();
                    let (used, fine) = self.positional(option, word.clone(), args, rest, &mut values, false);
                    at += used;
                    good &= fine;
                    line.options.push(Option_ { name: option.keyword, word: word.clone(), values });
                }
            }
        }
        if !destination && let Some(first) = words.first().filter(|_| good) {
            self.diagnostics.push(
                Diagnostic::error("route-destination", first.span, "the route has no destination")
                    .hint("write a prefix or `default` first"),
            );
        }
        good && destination
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
            let family = words.get(2).is_none_or(|word| {
                values::read(Kind::Word(&["inet", "inet6"]), word, "fwmark", &mut self.diagnostics).is_some()
            });
            let good = value.is_some() && family;
            line.values.push(Val { name: "fwmark", word: mark.clone(), value });
            return good;
        }
        let (host, range) = match (first.text.split_once('-'), first.text.split_once('/')) {
            (Some((host, range)), _) => (host, Some(('-', range))),
            (None, Some((host, length))) => (host, Some(('/', length))),
            (None, None) => (first.text.as_str(), None),
        };
        let host_word = Word { text: host.to_owned(), ..first.clone() };
        let Some(Value::Ip(address)) = values::read(Kind::Ip, &host_word, row.keyword, &mut self.diagnostics) else {
            return false;
        };
        if let Some(problem) = range.and_then(|(sign, text)| bad_range(address, sign, text)) {
            self.diagnostics.push(Diagnostic::error("range", first.span, problem).hint("the line is ignored"));
            return false;
        }
        let port = match words.get(1) {
            Some(port) => {
                let Some(value) = self.port(port, row.keyword) else { return false };
                Some(Val { name: "port", word: port.clone(), value: Some(value) })
            }
            None => None,
        };
        line.values.push(Val { name: "addr", word: first.clone(), value: Some(Value::Ip(address)) });
        line.values.extend(port);
        if let Some(extra) = words.get(2) {
            self.extra_entry(row, extra);
        }
        true
    }

    /// Blocks that are nothing without a certain directive.
    fn required(&mut self, path: &str, node: &Node) {
        let needs: &[&str] = match path {
            "vrrp_script" => &["script"],
            "vrrp_track_process" => &["process"],
            "track_file" | "vrrp_track_file" => &["file"],
            "bfd_instance" => &["neighbor_ip"],
            "vrrp_sync_group" => &["group"],
            "virtual_server/real_server/HTTP_GET" | "virtual_server/real_server/SSL_GET" => &["url"],
            "virtual_server/real_server/HTTP_GET/url" | "virtual_server/real_server/SSL_GET/url" => &["path"],
            "virtual_server/real_server/MISC_CHECK" => &["misc_path"],
            "virtual_server/real_server/FILE_CHECK" => &["track_file"],
            "virtual_server/real_server/BFD_CHECK" => &["name"],
            _ => &[],
        };
        for need in needs {
            if !node.wrote(need) {
                let name = node.word("name").map(|word| format!(" {}", word.text)).unwrap_or_default();
                let place = format!("{}{name}", node.name());
                self.diagnostics.push(
                    Diagnostic::error("missing-directive", node.span(), format!("`{need}` is missing in {place}"))
                        .hint("without it the block has no effect"),
                );
            }
        }
    }
}

fn is_script(row: &Row) -> bool {
    matches!(row.shape, Shape::Words([Arg { kind: Kind::Script | Kind::Regex, .. }, ..]))
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether an optional value that others follow is this word.
fn fits(kind: Kind, word: &Word) -> bool {
    word.is_undefined() || values::read(kind, word, "", &mut Vec::new()).is_some()
}

/// An address without the `/len` or `-range` that has no meaning where it stands.
fn without_suffix(text: &str) -> String {
    text.split(['/', '-']).next().unwrap_or_default().to_owned()
}

fn bad_range(address: std::net::IpAddr, sign: char, text: &str) -> Option<String> {
    use std::net::IpAddr;
    if sign == '/' {
        let (full, bits) = match address {
            IpAddr::V4(v4) => (32, u128::from(v4.to_bits())),
            IpAddr::V6(v6) => (128, v6.to_bits()),
        };
        let Some(length) = values::number(text).filter(|length| (1..=full).contains(length)) else {
            return Some(format!("expected a prefix length from 1 to {full}, found `{text}`"));
        };
        let host = u32::try_from(full - length).unwrap_or(0);
        let host_bits = if host >= 128 { u128::MAX } else { (1 << host) - 1 };
        return (bits & host_bits != 0).then(|| format!("{address}/{length} has host bits set"));
    }
    if let Ok(end) = values::address(text) {
        return match (address, end) {
            (IpAddr::V4(start), IpAddr::V4(end)) if end >= start => None,
            (IpAddr::V6(start), IpAddr::V6(end)) if end >= start => None,
            _ => Some(format!("range end {end} is below its start {address}, or of another family")),
        };
    }
    let (start, end) = match address {
        IpAddr::V4(v4) => (u32::from(v4.octets()[3]), text.parse::<u8>().ok().map(u32::from)),
        IpAddr::V6(v6) => (u32::from(v6.segments()[7]), u16::from_str_radix(text, 16).ok().map(u32::from)),
    };
    match end {
        Some(end) if end > start => None,
        Some(_) => Some(format!("range end {text} is below its start {}", address_end(address))),
        None => Some(format!("`{text}` cannot end a range")),
    }
}

fn address_end(address: std::net::IpAddr) -> String {
    let text = address.to_string();
    text.rsplit(['.', ':']).next().unwrap_or_default().to_owned()
}

/// The directives that are understood but do nothing yet: each path once, with the place of its first use.
pub fn not_built(nodes: &[Node]) -> Vec<(String, Span)> {
    let mut found: Vec<(String, Span)> = Vec::new();
    for node in nodes {
        collect_not_built(node, "", &mut found);
    }
    found
}

fn collect_not_built(node: &Node, path: &str, found: &mut Vec<(String, Span)>) {
    let path = if path.is_empty() { node.name().to_owned() } else { format!("{path}/{}", node.name()) };
    let mut add = |path: String, span: Span| {
        if found.iter().all(|(known, _)| *known != path) {
            found.push((path, span));
        }
    };
    if node.row.effect == Effect::NotBuilt {
        // What stands inside has no effect either; one line says it for all.
        add(path, node.keyword.span);
        return;
    }
    if matches!(node.row.shape, Shape::Entries(_, Entry::Addresses)) {
        for option in node.entries.iter().flat_map(|line| &line.options) {
            if keywords::find("<addr-entry>", option.name).is_some_and(|(row, _)| row.effect == Effect::NotBuilt) {
                add(format!("{path}/{}", option.name), option.word.span);
            }
        }
    }
    for child in &node.children {
        collect_not_built(child, &path, found);
    }
}
