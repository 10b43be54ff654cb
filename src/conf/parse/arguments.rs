//! What stands on the line of a directive: names of blocks, values, options, and words too many.

use smallvec::smallvec;
use thin_vec::ThinVec;

use super::{Named, Node, Parser, Val, Vals, fits, last, without_suffix};
use crate::conf::diag::{Class, Diagnostic};
use crate::conf::keywords::{self, Arg, Kind, Missing, Need, Opt, Row, Shape, docs};
use crate::conf::lex::Word;
use crate::conf::values::{self, Value};

impl Parser<'_> {
    pub(super) fn virtual_server(&mut self, node: &mut Node, words: &[Word]) -> bool {
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
                let stripped = Word { text: without_suffix(&first.text).into(), ..first.clone() };
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

    pub(super) fn port(&mut self, word: &Word, what: &str) -> Option<Value> {
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

    pub(super) fn arguments(&mut self, path: &str, node: &mut Node, words: &[Word], broken: bool) {
        match node.row.shape {
            Shape::Flag => match words.first() {
                Some(word) if matches!(word.text.as_str(), "off" | "false" | "no") => {
                    self.flag_with_off(path, node, word)
                }
                Some(word) => self.extra_word(path, node, word),
                None => {}
            },
            Shape::Words(args) => {
                let (used, _) = self.positional(node.row, &node.keyword, args, words, &mut node.values, broken);
                if let Some(word) = words.get(used).filter(|_| !broken) {
                    self.extra_word(path, node, word);
                }
                node.extra = words.get(used..).unwrap_or_default().into();
            }
            Shape::Options(head, options) => {
                let head_words = if head.is_empty() { &[] } else { words.get(..1).unwrap_or_default() };
                self.positional(node.row, &node.keyword, head, head_words, &mut node.values, broken);
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
            let values = smallvec![Val { name: "instance", word: word.clone(), value }];
            node.options.push(Named { name: "inst", word: word.clone(), values });
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
        if word.is_undefined() || node.values.iter().any(|value| value.word.is_undefined()) {
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
            let diagnostic = Diagnostic::warning("extra-word", word.span, message).hint("delete it");
            // Where Keepalived does count the words.
            let counted =
                ["snmp_socket", "notification_email_from", "snmp_name", "state_dump_file", "reload_time_file"];
            if counted.contains(&name) { diagnostic } else { diagnostic.silent() }
        });
    }

    /// Reads positional values; how many words were used, and whether all were good.
    pub(super) fn positional(
        &mut self,
        row: &'static Row,
        keyword: &Word,
        args: &'static [Arg],
        words: &[Word],
        found: &mut Vals,
        broken: bool,
    ) -> (usize, bool) {
        let mut at = 0;
        let mut good = true;
        for (index, arg) in args.iter().enumerate() {
            let word = words.get(at);
            match (arg.need, word) {
                (Need::One | Need::Some, None) => {
                    if !broken {
                        self.missing(row, keyword, &docs::kind(arg.kind));
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

    pub(super) fn read(&mut self, arg: &Arg, word: &Word, what: &str) -> Option<Value> {
        if arg.name == "port" {
            return match arg.kind {
                Kind::Int(0, _) => self.port(word, what),
                kind => values::read(kind, word, what, &mut self.diagnostics),
            };
        }
        if what == "real_server" && arg.kind == Kind::Ip {
            let stripped = Word { text: without_suffix(&word.text).into(), ..word.clone() };
            return values::read(Kind::Ip, &stripped, what, &mut self.diagnostics);
        }
        values::read(arg.kind, word, what, &mut self.diagnostics)
    }

    pub(super) fn missing(&mut self, row: &'static Row, keyword: &Word, what: &str) {
        let diagnostic = Diagnostic::error("missing-value", keyword.span, format!("`{}` needs {what}", keyword.text));
        let diagnostic = match row.missing {
            Missing::Fatal => diagnostic.class(Class::MissingArgument).refuses_start(),
            // Nor does Keepalived count these.
            Missing::Warn
                if row.keyword.starts_with("regex") || matches!(row.keyword, "smtp_helo_name" | "status_code") =>
            {
                diagnostic.silent()
            }
            Missing::Warn => diagnostic,
        };
        self.diagnostics.push(diagnostic.hint(match row.default {
            "" | "-" | "none" => "add the value, or delete the line".to_owned(),
            default => format!("add the value, or delete the line (default: {default})"),
        }));
    }

    pub(super) fn options(&mut self, row: &'static Row, options: &[Opt], words: &[Word]) -> ThinVec<Named> {
        let mut found = ThinVec::new();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            at += 1;
            let Some(option) = options.iter().find(|option| option.word == word.text) else {
                self.unknown_option(row.keyword, word, options.iter().map(|option| option.word));
                // What follows and is no option either was meant as its value.
                let value = words.get(at).is_some_and(|next| options.iter().all(|option| option.word != next.text));
                at += usize::from(value);
                continue;
            };
            let mut values = Vals::new();
            let (used, _) =
                self.positional(row, word, option.args, words.get(at..).unwrap_or_default(), &mut values, false);
            at += used;
            found.push(Named { name: option.word, word: word.clone(), values });
        }
        found
    }

    pub(super) fn unknown_option<'w>(
        &mut self,
        place: &str,
        word: &Word,
        known: impl Iterator<Item = &'w str> + Clone,
    ) {
        if word.is_undefined() {
            return;
        }
        let message = format!("unknown option `{}` for `{place}`", word.text);
        let diagnostic = Diagnostic::error("unknown-option", word.span, message);
        self.diagnostics.push(match keywords::closest(&word.text, known.clone()) {
            Some(near) => diagnostic.suggest(near),
            None => diagnostic.hint(format!("known: {}", known.collect::<Vec<_>>().join(", "))),
        });
    }
}
