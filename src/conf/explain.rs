//! Where each value of the effective configuration comes from: `keepwatch check --explain`.
//!
//! The lines are those of the canonical [`dump`](super::dump) with every default. The model itself knows little of its origin,
//! so [`explain`] goes through the directives of the dump and those that were parsed side by side: a line was written, was
//! written and corrected, is inherited from a block around or from `global_defs`, was asked for on the command line, follows
//! from other lines, or is the default. What it prints is a configuration with comments.

use std::fmt;

use super::Options;
use super::build::group_member;
use super::diag::{Diagnostic, Made, Severity, Sources, Span};
use super::dump::{self, Directive, Dump, HIDDEN};
use super::keywords::{Arg, Kind, Shape};
use super::lex;
use super::model::Location;
use super::parse::Node;

/// The effective configuration, line by line.
#[derive(Debug)]
pub struct Explanation {
    pub remarks: Vec<String>,
    pub lines: Vec<Explained>,
}

/// One line of it.
#[derive(Debug)]
pub struct Explained {
    /// Blocks around it.
    pub depth: usize,
    pub text: String,
    /// `None` for a `}`.
    pub origin: Option<Origin>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Written {
        location: Location,
        /// The parameter that brought it there.
        through: Option<Through>,
    },
    /// What stands there is not what is used.
    Corrected {
        location: Location,
        because: String,
    },
    /// Said by `keyword` around it, or in `global_defs`.
    Inherited {
        location: Location,
        keyword: &'static str,
    },
    CommandLine(&'static str),
    /// Follows from lines that say something else; what was reported of it.
    Made(Option<String>),
    Default,
}

/// A parameter and where it is defined, unless it is a built-in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    pub name: String,
    pub defined: Option<Location>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Written { location, through: None } => location.fmt(f),
            Origin::Written { location, through: Some(Through { name, defined: None }) } => {
                write!(f, "{location}, through ${name}")
            }
            Origin::Written { location, through: Some(Through { name, defined: Some(defined) }) } => {
                write!(f, "{location}, through ${name}, which is defined at {defined}")
            }
            Origin::Corrected { location, because } => write!(f, "{location}, corrected: {because}"),
            Origin::Inherited { location, keyword } => write!(f, "{location}, inherited from {keyword}"),
            Origin::CommandLine(option) => write!(f, "command line, {option}"),
            Origin::Made(None) => f.write_str("follows from other lines"),
            Origin::Made(Some(because)) => write!(f, "follows from other lines: {because}"),
            Origin::Default => f.write_str("default"),
        }
    }
}

impl Explanation {
    /// A configuration whose comments say where each line comes from.
    pub fn text(&self) -> Vec<u8> {
        let mut out = String::new();
        for remark in &self.remarks {
            out.push_str(&format!("# {remark}\n"));
        }
        for (number, line) in self.lines.iter().enumerate() {
            if line.depth == 0 && line.origin.is_some() && (number > 0 || !out.is_empty()) {
                out.push('\n');
            }
            let text = format!("{}{}", "    ".repeat(line.depth), line.text);
            match &line.origin {
                Some(origin) => out.push_str(&format!("{text:<48} # {origin}\n")),
                None => out.push_str(&format!("{text}\n")),
            }
        }
        lex::encode(&out)
    }
}

/// Says of every line of a dump where it comes from.
pub(super) fn explain(
    dump: &Dump,
    nodes: &[Node],
    diagnostics: &[Diagnostic],
    sources: &Sources,
    options: &Options,
) -> Explanation {
    let global = nodes.iter().filter(|node| node.name() == "global_defs").flat_map(|node| &node.children).collect();
    let mut tracer = Tracer { diagnostics, sources, options, global, lines: Vec::new() };
    let top: Vec<&Node> = nodes.iter().collect();
    tracer.block(&dump.directives, &Scope { depth: 0, nodes: top, owner: None, around: None });
    Explanation { remarks: dump.remarks.clone(), lines: tracer.lines }
}

const GROUP: &str = "virtual_server_group";

struct Tracer<'a> {
    diagnostics: &'a [Diagnostic],
    sources: &'a Sources,
    options: &'a Options,
    global: Vec<&'a Node>,
    lines: Vec<Explained>,
}

/// The directives that were written where the dump stands.
struct Scope<'s, 'a> {
    /// Blocks of the dump around it.
    depth: usize,
    nodes: Vec<&'a Node>,
    /// The blocks that these are in.
    owner: Option<Vec<&'a Node>>,
    around: Option<&'s Scope<'s, 'a>>,
}

impl<'a> Tracer<'a> {
    fn block(&mut self, directives: &[Directive], scope: &Scope<'_, 'a>) {
        let depth = scope.depth;
        let mut occurrence: Vec<(&'static str, usize)> = Vec::new();
        for directive in directives {
            let number = match occurrence.iter_mut().find(|(keyword, _)| *keyword == directive.keyword) {
                Some((_, number)) => {
                    *number += 1;
                    *number
                }
                None => {
                    occurrence.push((directive.keyword, 0));
                    0
                }
            };
            let text = directive.line();
            let Some(inner) = &directive.block else {
                let origin = self.line(directive, scope);
                self.lines.push(Explained { depth, text, origin: Some(origin) });
                continue;
            };
            let blocks = self.blocks(directive, number, scope);
            let origin = match (blocks.first(), &directive.location) {
                (Some(block), _) => self.written(block.keyword.span),
                (None, Some(location)) => Origin::Written { location: location.clone(), through: None },
                (None, None) => Origin::Made(None),
            };
            self.lines.push(Explained { depth, text, origin: Some(origin) });
            // What a `host` does not say its SMTP_CHECK does.
            let whole = blocks.first().filter(|block| block.name() == "host").and_then(|host| {
                scope.nodes.iter().find(|node| node.children.iter().any(|child| std::ptr::eq(child, *host)))
            });
            let whole = whole.map(|whole| Scope {
                depth,
                nodes: whole.children.iter().collect(),
                owner: Some(vec![*whole]),
                around: Some(scope),
            });
            let nodes = blocks.iter().flat_map(|block| &block.children).collect();
            let around = Some(whole.as_ref().unwrap_or(scope));
            self.block(inner, &Scope { depth: depth + 1, nodes, owner: Some(blocks), around });
            self.lines.push(Explained { depth, text: "}".to_owned(), origin: None });
        }
    }

    /// The blocks that a block of the dump stands for: the one at its place, the one of its number, or all that say the
    /// same thing.
    fn blocks(&self, directive: &Directive, number: usize, scope: &Scope<'_, 'a>) -> Vec<&'a Node> {
        let named = |node: &&&'a Node| same_keyword(directive.keyword, node.name());
        if let Some(location) = &directive.location {
            // A `host` in an SMTP_CHECK is a checker of its own.
            let inside =
                scope.nodes.iter().flat_map(|node| node.children.iter().filter(|child| child.name() == "host"));
            let all = scope.nodes.iter().filter(named).copied().chain(inside);
            return all.filter(|node| self.location(node.keyword.span) == *location).take(1).collect();
        }
        let mut all = scope.nodes.iter().filter(named).copied();
        if matches!(directive.keyword, "url" | "garp_group") {
            return all.nth(number).into_iter().collect();
        }
        if directive.words.is_empty() {
            return all.collect();
        }
        let name = directive.words.iter().map(|word| unquoted(word)).collect::<Vec<_>>().join(" ");
        all.filter(|node| node.text() == Some(name.as_str())).take(1).collect()
    }

    fn line(&self, directive: &Directive, scope: &Scope<'_, 'a>) -> Origin {
        if directive.keyword.is_empty() {
            return self.data(directive, scope);
        }
        if let Some(option) = self.command_line(directive.keyword) {
            return Origin::CommandLine(option);
        }
        if let Some(node) = best(directive, &scope.nodes) {
            return self.found(directive, node);
        }
        let mut outer = scope.around;
        while let Some(around) = outer.filter(|around| around.around.is_some()) {
            if let Some(node) = best(directive, &around.nodes).filter(|node| says(directive, node)) {
                let keyword = around.owner.as_ref().and_then(|owner| owner.first()).map_or("", |owner| owner.name());
                return Origin::Inherited { location: self.location(node.span()), keyword };
            }
            outer = around.around;
        }
        let block = scope.owner.as_ref().and_then(|owner| owner.first()).map_or("/", |owner| owner.name());
        for keyword in above(block, directive.keyword) {
            if let Some(node) = self.global.iter().rev().find(|node| node.name() == *keyword) {
                return Origin::Inherited { location: self.location(node.span()), keyword };
            }
        }
        if directive.default { Origin::Default } else { Origin::Made(self.told(directive.keyword, scope)) }
    }

    /// A line of a block of data.
    fn data(&self, directive: &Directive, scope: &Scope<'_, 'a>) -> Origin {
        let first = directive.words.first().map_or("", |word| unquoted(word));
        let entries = || scope.owner.iter().flatten().flat_map(|node| &node.entries);
        let named = entries().find(|line| {
            let word = line.first().map_or("", |value| value.word.text.as_str());
            word == first || (!word.is_empty() && first.split('/').next() == word.split('/').next())
        });
        let group = scope.owner.as_ref().and_then(|owner| owner.first()).is_some_and(|it| it.name() == GROUP);
        // Whatever a mark or a range of a group is written like.
        let named = match group {
            true => {
                entries().find(|line| group_member(line).is_some_and(|it| dump::member(&it).words == directive.words))
            }
            false => named,
        };
        let placed = || {
            let location = directive.location.as_ref()?;
            entries().find(|line| self.location(line.span) == *location)
        };
        match placed().or(named) {
            Some(line) => {
                let mut origin = self.written(line.span);
                // A parameter anywhere on the line.
                if let Origin::Written { through, .. } = &mut origin
                    && through.is_none()
                {
                    *through = line.first().and_then(|value| self.through(value.word.span));
                }
                self.corrected(line.span).filter(|_| named.is_none()).unwrap_or(origin)
            }
            None => match &directive.location {
                Some(location) => Origin::Written { location: location.clone(), through: None },
                None => Origin::Made(None),
            },
        }
    }

    fn found(&self, directive: &Directive, node: &Node) -> Origin {
        // Of what is hidden nobody can say whether it is what was written.
        if says(directive, node) || directive.words.iter().any(|word| unquoted(word) == HIDDEN) {
            return self.written(node.span());
        }
        self.corrected(node.span()).unwrap_or_else(|| self.written(node.span()))
    }

    /// What was reported of a line; a remark is no correction.
    fn corrected(&self, span: Span) -> Option<Origin> {
        let told = |diagnostic: &&Diagnostic| {
            (diagnostic.span.file, diagnostic.span.line) == (span.file, span.line)
                && diagnostic.severity > Severity::Hint
        };
        let diagnostic = self.diagnostics.iter().find(told)?;
        let because = diagnostic.discreet(&diagnostic.message, self.sources);
        Some(Origin::Corrected { location: self.location(span), because })
    }

    /// What was reported where a line was made up.
    fn told(&self, keyword: &str, scope: &Scope<'_, 'a>) -> Option<String> {
        let code = match keyword {
            "vmac_xmit_base" => "xmit-base",
            "persistence_timeout" => "any-port",
            "protocol" => "no-protocol",
            "lvs_sched" => "no-scheduler",
            "no_virtual_ipaddress" => "no-address",
            _ => return None,
        };
        let owner = scope.owner.as_ref()?.first()?;
        let spans = || std::iter::once(owner.keyword.span).chain(owner.children.iter().map(|child| child.keyword.span));
        let here = |span: Span| spans().any(|own| (own.file, own.line) == (span.file, span.line));
        let told = self.diagnostics.iter().find(|diagnostic| diagnostic.code == code && here(diagnostic.span));
        told.map(|diagnostic| diagnostic.message.clone())
    }

    fn command_line(&self, keyword: &str) -> Option<&'static str> {
        match keyword {
            "net_namespace" => self.options.namespace.as_ref().map(|_| "-s"),
            "snmp_socket" => self.options.agent_socket.as_ref().map(|_| "-A"),
            "enable_snmp_vrrp" | "enable_snmp_checker" | "enable_snmp_rfcv2" | "enable_snmp_rfcv3" => {
                self.options.snmp_all.then_some("-x")
            }
            _ => None,
        }
    }

    fn location(&self, span: Span) -> Location {
        Location { file: self.sources.name(span.file).to_owned(), line: span.line }
    }

    fn written(&self, span: Span) -> Origin {
        // The line of a block that says it, and on the way there the first parameter whose definition holds it.
        let (mut at, mut through) = (span, None);
        while let Some(expansion) = self.sources.expansion(at).filter(|expansion| expansion.at.made < at.made) {
            if expansion.how == Made::Used && through.is_none() {
                let defined = Some(self.location(at));
                through = self.parameter(expansion.at).map(|name| Through { name, defined });
            }
            at = expansion.at;
        }
        Origin::Written { location: self.location(at), through: through.or_else(|| self.through(at)) }
    }

    /// The parameter that is used here.
    fn parameter(&self, span: Span) -> Option<String> {
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let line = self.sources.line(span)?;
        let from = number(span.column).checked_sub(1)?;
        let text: String = line.chars().skip(from).take(number(span.length)).collect();
        let rest = text.split_once('$')?.1;
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        (!name.is_empty()).then_some(name)
    }

    /// A word that several pieces make stands where its parameters do.
    fn through(&self, span: Span) -> Option<Through> {
        let name = self.parameter(span)?;
        let defined = self.sources.iter().find_map(|source| {
            let line = source.lines(0..source.len()).position(|line| {
                let rest = line.trim_start().strip_prefix('$').and_then(|rest| rest.strip_prefix(name.as_str()));
                rest.is_some_and(|rest| rest.trim_start().starts_with('='))
            })?;
            Some(Location { file: source.name.clone(), line: u32::try_from(line + 1).ok()? })
        });
        Some(Through { name, defined })
    }
}

/// Of several lines the one that says what holds, else the last.
fn best<'a>(directive: &Directive, nodes: &[&'a Node]) -> Option<&'a Node> {
    let named = || nodes.iter().filter(|node| same_keyword(directive.keyword, node.name())).copied();
    named().rev().find(|node| says(directive, node)).or_else(|| named().next_back())
}

/// Whether a line that was written says the same as one of the dump.
fn says(directive: &Directive, node: &Node) -> bool {
    // A command is written in many ways.
    if matches!(node.row.shape, Shape::Words([Arg { kind: Kind::Script | Kind::Regex, .. }, ..])) {
        return true;
    }
    let options = node
        .options
        .iter()
        .flat_map(|option| std::iter::once(&option.word).chain(option.values.iter().map(|value| &value.word)));
    let written: Vec<&str> =
        node.values.iter().map(|value| &value.word).chain(options).map(|word| word.text.as_str()).collect();
    let words: Vec<&str> = directive.words.iter().map(|word| unquoted(word)).collect();
    if written.is_empty() {
        return matches!(words[..], [] | ["on"]);
    }
    written.len() == words.len() && written.iter().zip(&words).all(|(written, word)| same_value(written, word))
}

fn same_value(written: &str, word: &str) -> bool {
    let on = |text: &str| match text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    };
    let number = |text: &str| text.parse::<f64>().ok();
    let both = |left: Option<bool>, right: Option<bool>| left.is_some() && left == right;
    written.eq_ignore_ascii_case(word)
        || both(on(written), on(word))
        || number(written).zip(number(word)).is_some_and(|(left, right)| left.total_cmp(&right).is_eq())
}

fn unquoted(word: &str) -> &str {
    word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap_or(word)
}

/// Whether a directive of the file may be what the dump calls by another name.
fn same_keyword(dumped: &str, written: &str) -> bool {
    dumped == written
        || match dumped {
            "track_file" => written == "vrrp_track_file",
            "unicast_src_ip" => written == "mcast_src_ip",
            "mcast_src_ip" => written == "unicast_src_ip",
            "flag-1" => matches!(written, "sh-fallback" | "mh-fallback"),
            "flag-2" => matches!(written, "sh-port" | "mh-port"),
            "enable_snmp_rfcv2" | "enable_snmp_rfcv3" => written == "enable_snmp_rfc",
            "fork_delay" | "terminate_delay" => written == "delay",
            "retry" => written == "nb_get_retry",
            "sync_group_tracking_weight" => written == "global_tracking",
            "interfaces" => written == "interface",
            _ => false,
        }
}

/// What `global_defs` say in place of a directive of another block, the nearest first.
fn above(block: &str, keyword: &str) -> &'static [&'static str] {
    match (block, keyword) {
        ("vrrp_instance" | "vrrp_sync_group", "smtp_alert") => &["smtp_alert_vrrp", "smtp_alert"],
        ("virtual_server" | "real_server", "smtp_alert") => &["smtp_alert_checker", "smtp_alert"],
        ("vrrp_instance" | "vrrp_sync_group", "notify_priority_changes") => &["vrrp_notify_priority_changes"],
        ("vrrp_instance", "version") => &["vrrp_version"],
        ("vrrp_instance", "strict_mode") => &["vrrp_strict"],
        ("vrrp_instance", "down_timer_adverts") => &["vrrp_down_timer_adverts"],
        ("vrrp_instance", "mcast_dst_ip") => &["vrrp_mcast_group4", "vrrp_mcast_group6"],
        ("vrrp_instance", "garp_master_delay") => &["vrrp_garp_master_delay", "vrrp_min_garp"],
        ("vrrp_instance", "garp_master_repeat") => &["vrrp_garp_master_repeat", "vrrp_min_garp"],
        ("vrrp_instance", "garp_master_refresh") => &["vrrp_garp_master_refresh"],
        ("vrrp_instance", "garp_master_refresh_repeat") => &["vrrp_garp_master_refresh_repeat", "vrrp_min_garp"],
        ("vrrp_instance", "garp_lower_prio_delay") => {
            &["vrrp_garp_lower_prio_delay", "vrrp_garp_master_delay", "vrrp_min_garp"]
        }
        ("vrrp_instance", "garp_lower_prio_repeat") => {
            &["vrrp_garp_lower_prio_repeat", "vrrp_garp_master_repeat", "vrrp_min_garp"]
        }
        ("vrrp_instance", "garp_extra_if") => &["vrrp_garp_extra_if"],
        ("vrrp_instance", "lower_prio_no_advert") => &["vrrp_lower_prio_no_advert", "vrrp_strict"],
        ("vrrp_instance", "higher_prio_send_advert") => &["vrrp_higher_prio_send_advert"],
        ("vrrp_instance", "owner_ignore_adverts") => &["vrrp_owner_ignore_adverts"],
        ("vrrp_instance", "skip_check_adv_addr") => &["vrrp_skip_check_adv_addr"],
        ("vrrp_instance", "check_unicast_src") => &["vrrp_check_unicast_src"],
        ("vrrp_instance", "v3_checksum_as_v2") => &["v3_checksum_as_v2"],
        (_, "log_all_failures") => &["checker_log_all_failures"],
        _ => &[],
    }
}
