//! The canonical dump: what a [`Config`] says, as `keepalived.conf` text that is read as the same model.
//!
//! [`dump`] makes directives out of a model, without looking at the text that the model came from: includes, parameters and
//! repetitions are resolved, and what is inherited stands where it takes effect. [`Dump::text`] writes them. What the model
//! does not hold is named by [`Dump::remarks`]. [`super::explain`] tells of each directive where its value comes from.

mod address;
mod check;
mod global;
mod route;
mod track;
mod vrrp;
mod words;

pub(super) use self::check::member;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::lex;
use super::model::{Config, Location, Script, ScriptEntry};

/// What stands in place of a secret.
pub const HIDDEN: &str = "********";

/// What is written.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Values that hold without being written, too.
    pub defaults: bool,
    /// Passwords and keys in clear. Without them a dump is not the whole configuration.
    pub secrets: bool,
    /// Names of user and group ids; a number without a name is written as a number.
    pub users: BTreeMap<u32, String>,
    pub groups: BTreeMap<u32, String>,
}

/// A line, or a block with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Empty for a line of data, as in `virtual_ipaddress`.
    pub keyword: &'static str,
    /// Quoted as they have to be.
    pub words: Vec<String>,
    pub block: Option<Vec<Directive>>,
    /// The same would hold without this line.
    pub default: bool,
    /// Where the object was configured; blocks with a name, and lines of data.
    pub location: Option<Location>,
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Dump {
    pub directives: Vec<Directive>,
    /// What the text cannot say, each a sentence.
    pub remarks: Vec<String>,
    defaults: bool,
}

/// The directives that say the same as a model.
pub fn dump(config: &Config, options: &Options) -> Dump {
    // Who runs most of the scripts is known when all of them have been written.
    let first = Writer::new(config, options, (0..config.scripts.len()).collect());
    directives(&first);
    let directives = directives(&Writer::new(config, options, first.written.take()));
    Dump { directives, remarks: remarks(config, options), defaults: options.defaults }
}

fn directives(writer: &Writer<'_>) -> Vec<Directive> {
    let mut top = writer.block();
    global::top_level(writer, &mut top);
    top.push(global::definitions(writer));
    global::blocks(writer, &mut top);
    track::trackers(writer, &mut top);
    address::statics(writer, &mut top);
    vrrp::all(writer, &mut top);
    check::all(writer, &mut top);
    top.lines
}

fn remarks(config: &Config, options: &Options) -> Vec<String> {
    let mut remarks = Vec::new();
    let has_secret = config.instances.iter().any(|instance| instance.auth.is_some())
        || check::tls_client(config).is_some_and(|client| client.password.is_some());
    if has_secret && !options.secrets {
        remarks.push(format!("Secrets are written as {HIDDEN}: read again, this is another configuration."));
    }
    for left_out in &config.not_built {
        remarks.push(format!("{}: {} has no effect yet, and is left out.", left_out.location, left_out.directive));
    }
    if config.has_virtual_servers && config.services.is_empty() {
        remarks.push("None of the virtual servers can work; they are left out.".to_owned());
    }
    remarks
}

impl Dump {
    /// As text. Bytes, because what an operator wrote need not be UTF-8.
    pub fn text(&self) -> Vec<u8> {
        let mut out = String::new();
        for remark in &self.remarks {
            out.push_str(&format!("# {remark}\n"));
        }
        let mut before = None;
        for directive in self.directives.iter().filter(|directive| self.shows(directive)) {
            let block = directive.block.is_some();
            if before.is_some_and(|before| before || block) || (before.is_none() && !out.is_empty()) {
                out.push('\n');
            }
            before = Some(block);
            self.write(directive, 0, &mut out);
        }
        lex::encode(&out)
    }

    /// Whether a directive is written.
    pub fn shows(&self, directive: &Directive) -> bool {
        self.defaults || !directive.default
    }

    fn write(&self, directive: &Directive, depth: usize, out: &mut String) {
        out.push_str(&"    ".repeat(depth));
        out.push_str(&directive.line());
        out.push('\n');
        let Some(inner) = &directive.block else { return };
        for line in inner.iter().filter(|line| self.shows(line)) {
            self.write(line, depth + 1, out);
        }
        out.push_str(&"    ".repeat(depth));
        out.push_str("}\n");
    }
}

impl Directive {
    /// Its line, with the `{` of a block.
    pub fn line(&self) -> String {
        let keyword = Some(self.keyword).filter(|keyword| !keyword.is_empty());
        let brace = self.block.as_ref().map(|_| "{");
        let words = self.words.iter().map(String::as_str);
        keyword.into_iter().chain(words).chain(brace).collect::<Vec<_>>().join(" ")
    }

    fn new(keyword: &'static str, words: Vec<String>) -> Directive {
        Directive { keyword, words, block: None, default: false, location: None }
    }

    fn at(mut self, location: &Location) -> Directive {
        self.location = Some(location.clone());
        self
    }
}

/// What every part of the dump looks at.
struct Writer<'a> {
    config: &'a Config,
    options: &'a Options,
    /// Who runs scripts that say nothing of it: whoever runs most of them.
    script_user: Option<(u32, u32)>,
    all_groups: bool,
    /// Numbers of the scripts that something runs.
    written: RefCell<BTreeSet<usize>>,
}

impl<'a> Writer<'a> {
    fn new(config: &'a Config, options: &'a Options, scripts: BTreeSet<usize>) -> Writer<'a> {
        let mut counts: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        let mut all_groups = false;
        for script in scripts.iter().filter_map(|number| config.scripts.get(*number)) {
            *counts.entry((script.uid, script.gid)).or_default() += 1;
            all_groups |= script.all_groups;
        }
        let script_user = counts.into_iter().max_by_key(|(_, count)| *count).map(|(user, _)| user);
        Writer { config, options, script_user, all_groups, written: RefCell::default() }
    }

    fn block(&self) -> Block {
        Block::default()
    }

    fn entry(&self, script: &Script) -> Option<&'a ScriptEntry> {
        let number = usize::try_from(script.id.0).ok()?;
        self.written.borrow_mut().insert(number);
        self.config.scripts.get(number)
    }

    /// A command in quotes.
    fn command(&self, script: &Script) -> String {
        match self.entry(script) {
            Some(entry) => words::command(&entry.words),
            None => words::command(std::slice::from_ref(&script.path)),
        }
    }

    /// Who runs a script, where that is not said for all of them.
    fn user(&self, script: &Script) -> Vec<String> {
        let user =
            self.entry(script).map(|entry| (entry.uid, entry.gid)).filter(|user| Some(*user) != self.script_user);
        user.map(|user| self.identity(user)).unwrap_or_default()
    }

    fn identity(&self, (uid, gid): (u32, u32)) -> Vec<String> {
        let name = |names: &BTreeMap<u32, String>, id: u32| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        vec![name(&self.options.users, uid), name(&self.options.groups, gid)]
    }

    /// A command and its user on one line.
    fn script(&self, script: &Script) -> Vec<String> {
        let mut line = vec![self.command(script)];
        line.extend(self.user(script));
        line
    }

    fn secret(&self, text: &str) -> String {
        if self.options.secrets { words::plain(text) } else { HIDDEN.to_owned() }
    }
}

/// Lines in the order in which they are written.
#[derive(Debug, Default)]
struct Block {
    lines: Vec<Directive>,
}

impl Block {
    fn push(&mut self, directive: Directive) {
        self.lines.push(directive);
    }

    fn line(&mut self, keyword: &'static str, words: impl Words) {
        self.push(Directive::new(keyword, words.words()));
    }

    /// A line whose value is what holds without it, if `default`.
    fn value(&mut self, keyword: &'static str, words: impl Words, default: bool) {
        self.push(Directive { default, ..Directive::new(keyword, words.words()) });
    }

    /// A line where there is a value.
    fn some<T: std::fmt::Display>(&mut self, keyword: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.line(keyword, words::plain(&value.to_string()));
        }
    }

    /// A word that turns something on; nothing turns it off.
    fn flag(&mut self, keyword: &'static str, on: bool) {
        if on {
            self.line(keyword, ());
        }
    }

    fn switch(&mut self, keyword: &'static str, on: bool, default: bool) {
        self.value(keyword, words::on_off(on), on == default);
    }

    /// A block of lines of data, if there are any.
    fn entries(&mut self, keyword: &'static str, entries: Vec<Directive>) {
        if !entries.is_empty() {
            self.push(Directive { block: Some(entries), ..Directive::new(keyword, vec![]) });
        }
    }

    /// A block with a name that was configured at a place.
    fn named(&mut self, keyword: &'static str, words: impl Words, location: &Location, inner: Block) {
        self.push(Directive { block: Some(inner.lines), ..Directive::new(keyword, words.words()).at(location) });
    }
}

/// A line of data.
fn data(words: impl Words) -> Directive {
    Directive::new("", words.words())
}

/// What can stand behind a keyword.
trait Words {
    fn words(self) -> Vec<String>;
}

impl Words for () {
    fn words(self) -> Vec<String> {
        Vec::new()
    }
}

impl Words for String {
    fn words(self) -> Vec<String> {
        vec![self]
    }
}

impl Words for &str {
    fn words(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl Words for Vec<String> {
    fn words(self) -> Vec<String> {
        self
    }
}
