//! From lines to a tree of directives, checked against the keyword table: nesting, arity, types.
//!
//! One mistake is one diagnostic: an unknown block is skipped as a unit, a word that is reported is not reported again
//! further on. What the values mean together is not known here.

mod arguments;
mod entry;
mod node;
mod route;
mod rule;

pub use node::{Line, Named, Node, Val, Vals, not_built};

use thin_vec::ThinVec;

use super::diag::{Class, Diagnostic, Sources, Span};
use super::expand::{Item, MISTAKES_MAX, Patience};
use super::keywords::{self, Arg, Kind, Known, Meant, Row, Shape, Synonym};
use super::lex::{self, Split, Word};
use super::values;

/// The directives of the top level, and every complaint.
pub fn parse(items: &[Item], sources: &Sources) -> (Vec<Node>, Vec<Diagnostic>) {
    let opens = items.iter().filter(|item| matches!(item, Item::Open(_))).count();
    let closes = items.iter().filter(|item| matches!(item, Item::Close(_))).count();
    let mut parser = Parser {
        items,
        at: 0,
        sources,
        nodes: Vec::new(),
        places: Vec::new(),
        diagnostics: Vec::new(),
        unclosed: opens.saturating_sub(closes),
        unopened: closes.saturating_sub(opens),
        depth: 0,
        last_close: None,
        to_top: false,
        patience: Patience::default(),
    };
    while parser.at < items.len() {
        parser.lines("/", None);
        parser.to_top = false;
    }
    let mut nodes = parser.nodes;
    nodes.retain(|node: &Node| !node.skipped);
    (nodes, parser.diagnostics)
}

struct Parser<'a> {
    items: &'a [Item],
    at: usize,
    sources: &'a Sources,
    /// What the open blocks have so far, the outermost first.
    nodes: Vec<Node>,
    /// The blocks that were met, and what may stand in them.
    places: Vec<(&'static str, Option<&'static keywords::Words>)>,
    diagnostics: Vec<Diagnostic>,
    /// How many `}` the text lacks.
    unclosed: usize,
    /// How many `{` the text lacks.
    unopened: usize,
    depth: usize,
    last_close: Option<Span>,
    /// A top-level block was found inside others: all of them end here.
    to_top: bool,
    patience: Patience,
}

impl<'a> Parser<'a> {
    /// The directives of a block, with no room to spare.
    fn block(&mut self, path: &'static str, open: Span) -> ThinVec<Node> {
        let outside = self.nodes.len();
        self.lines(path, Some(open));
        self.nodes.drain(outside..).collect()
    }

    /// Reads up to the end of a block; adds its directives to those of the blocks around it.
    fn lines(&mut self, path: &'static str, open: Option<Span>) {
        let words = self.words_of(path);
        while let Some(item) = self.items.get(self.at) {
            if self.ended(item) {
                return;
            }
            match item {
                Item::Close(span) => {
                    self.at += 1;
                    if open.is_some() {
                        self.last_close = Some(*span);
                        return;
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
                Item::Line(_) | Item::Words(_) => {
                    let line = self.line(item);
                    if open.is_some() && self.belongs_to_top(path, line, open) {
                        return;
                    }
                    self.at += 1;
                    self.directive(path, words, line);
                    if self.to_top {
                        return;
                    }
                }
            }
        }
        if let Some(open) = open {
            self.never_closed(open, None);
        }
    }

    /// The words of a block. Its path is one of a few texts of the table.
    fn words_of(&mut self, path: &'static str) -> Option<&'static keywords::Words> {
        if let Some((_, words)) = self.places.iter().find(|(known, _)| std::ptr::eq(*known, path)) {
            return *words;
        }
        let words = keywords::Words::of(path);
        self.places.push((path, words));
        words
    }

    /// Whether there are so many mistakes that nobody needs the rest.
    fn ended(&mut self, item: &Item) -> bool {
        if !self.patience.is_over(&self.diagnostics) {
            return false;
        }
        let span = match item {
            Item::Line(text) => text.span(0, text.len()),
            Item::Words(span) | Item::Open(span) | Item::Close(span) => *span,
        };
        self.diagnostics.push(
            Diagnostic::error("too-much", span, format!("more than {MISTAKES_MAX} mistakes"))
                .hint("the rest is not read; mend these first")
                .refuses_start(),
        );
        self.at = self.items.len();
        true
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
    fn belongs_to_top(&mut self, path: &str, line: lex::Line, open: Option<Span>) -> bool {
        if self.unclosed == 0 {
            return false;
        }
        let Some(word) = line.plain().words.into_iter().next() else { return false };
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
                Item::Line(_) | Item::Words(_) => {}
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

    /// What an item that holds words says.
    fn line(&self, item: &'a Item) -> lex::Line<'a> {
        match item {
            Item::Line(text) => lex::Line::Made(text),
            Item::Words(span) | Item::Open(span) | Item::Close(span) => {
                lex::Line::Written(self.sources.text(*span), *span)
            }
        }
    }

    /// Adds the directive of a line, with its block.
    fn directive(&mut self, path: &str, known: Option<&keywords::Words>, line: lex::Line) {
        let plain = line.plain();
        let keyword = keyword(line, &plain);
        let known = known.and_then(|known| known.find(&keyword.text));
        let Some(Known { row, synonym, inner, .. }) = known.copied().filter(|it| !it.row.keyword.starts_with('<'))
        else {
            self.unknown(path, &keyword);
            if self.opens_next().is_some() {
                self.skip_block();
            }
            return;
        };
        self.synonym(row, synonym, &keyword);
        let scripted = is_script(row).then(|| line.script());
        let split = scripted.as_ref().unwrap_or(&plain);
        let broken = self.is_unclosed(split);
        // What was meant by half a command nobody knows; half a line of plain words is used.
        let words = if broken && is_script(row) { &[] } else { split.words.get(1..).unwrap_or_default() };
        let mut node = Node {
            row,
            keyword,
            values: Vals::new(),
            options: ThinVec::new(),
            children: ThinVec::new(),
            entries: ThinVec::new(),
            extra: ThinVec::new(),
            refused: 0,
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
                        // Without a `}` to spare the block cannot have been meant to have lines.
                        let block = self.unopened > 0;
                        self.unopened = self.unopened.saturating_sub(1);
                        self.diagnostics.push(
                            Diagnostic::error("missing-brace", last, format!("expected `{{` after `{}`", node.name()))
                                .class(Class::MissingOpen)
                                .hint(if block {
                                    "the lines up to the next `}` are read as its block"
                                } else {
                                    "write `{ }` when the block is to be empty"
                                }),
                        );
                        if !block {
                            self.nodes.push(node);
                            return;
                        }
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
                    self.nodes.push(node);
                    return;
                }
                self.depth += 1;
                match row.shape {
                    Shape::Entries(_, entry) => self.entries(path, entry, open, &mut node),
                    _ => node.children = self.block(inner, open),
                }
                self.depth -= 1;
                self.required(inner, &node);
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
        self.nodes.push(node);
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

    /// Complains about a quote that is not closed.
    fn is_unclosed(&mut self, split: &Split) -> bool {
        let Some((quote, span)) = split.open else { return false };
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
        true
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
        let misspelt = || unknown(format!("unknown directive `{text}` {place}"));
        self.diagnostics.push(match keywords::meant(path, text) {
            Meant::Case(same) => {
                unknown(format!("unknown directive `{text}` {place}: keywords are case-sensitive")).suggest(same)
            }
            Meant::Here(near) => match near.as_slice() {
                [near] => misspelt().suggest(near),
                several => {
                    let several: Vec<_> = several.iter().take(3).map(|near| format!("`{near}`")).collect();
                    misspelt().hint(format!("did you mean {}?", several.join(" or ")))
                }
            },
            Meant::There(homes) => {
                unknown(format!("`{text}` cannot stand {place}")).hint(format!("it belongs in {}", in_words(&homes)))
            }
            Meant::NearThere(near, homes) => {
                misspelt().hint(format!("did you mean `{near}`? It belongs in {}", in_words(&homes)))
            }
            Meant::Unknown if text.starts_with('$') => {
                unknown(format!("`{text}` is not a definition or a known parameter")).hint("write `$NAME=value`")
            }
            Meant::Unknown if path == "vrrp_sync_group" => {
                misspelt().hint("members stand in a block of their own: `group { ... }`")
            }
            Meant::Unknown => misspelt().hint("docs/keywords.md lists what may stand where"),
        });
    }

    /// The names of a block; false when the block has to be skipped.
    fn head(&mut self, node: &mut Node, head: &'static [Arg], words: &[Word], broken: bool) -> bool {
        if node.name() == "virtual_server" {
            return self.virtual_server(node, words);
        }
        let (used, good) = self.positional(node.row, &node.keyword, head, words, &mut node.values, broken);
        let extra = words.get(used..).unwrap_or_default();
        let Some(first) = extra.first() else { return good };
        if !head.is_empty() && node.name() != "real_server" {
            self.diagnostics.push(
                Diagnostic::error("extra-name", first.span, format!("`{}` takes one name only", node.name()))
                    .hint("put a name with blanks in double quotes; the block is skipped"),
            );
            return false;
        }
        // Keepalived counts the words before a block of lines of data only.
        let counted = if matches!(node.row.shape, Shape::Entries(..)) { Class::General } else { Class::Silent };
        self.diagnostics.push(
            Diagnostic::warning("extra-word", first.span, format!("`{}` takes nothing before its `{{`", node.name()))
                .class(counted)
                .hint("the word is ignored"),
        );
        good
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

/// The word that says what a line is.
fn keyword(line: lex::Line, plain: &Split) -> Word {
    match plain.words.as_slice() {
        [first] if !first.quoted && plain.open.is_none() => return first.clone(),
        // A quote may touch the first word.
        [first, second, ..] if !first.quoted && !second.quoted => return first.clone(),
        _ => {}
    }
    let first = line.first_word();
    lex::plain(&first).words.into_iter().next().unwrap_or_else(|| Word {
        text: first.to_string().into(),
        span: first.span(0, first.len()),
        quoted: true,
    })
}

fn is_script(row: &Row) -> bool {
    matches!(row.shape, Shape::Words([Arg { kind: Kind::Script | Kind::Regex, .. }, ..]))
}

/// The blocks where a directive belongs.
fn in_words(homes: &[&str]) -> String {
    let name = |home: &&str| match *home {
        "/" => "the top level".to_owned(),
        home => home.to_owned(),
    };
    match homes {
        [] => "another block".to_owned(),
        [home] => name(home),
        [first, second] => format!("{} and {}", name(first), name(second)),
        [first, ..] => format!("{} and others", name(first)),
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether an optional value that others follow is this word.
fn fits(kind: Kind, word: &Word) -> bool {
    word.is_undefined() || values::read(kind, word, "", &mut Vec::new()).is_some()
}

/// An address without the `/len` or `-range` that has no meaning where it stands.
fn without_suffix(text: &str) -> &str {
    text.split(['/', '-']).next().unwrap_or_default()
}
