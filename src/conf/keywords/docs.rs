//! The table as documentation: `docs/keywords.md`.

use std::fmt::Write;

use super::{Arg, Effect, Entry, Kind, Need, Row, Shape, rows};

/// The whole table as Markdown, one section per block.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Keywords of keepalived.conf\n\n\
         Generated from the keyword table; `KEEPWATCH_RENEW=1 cargo test --test conf` renews it.\n\n\
         `?` optional, `*` any number, `+` one or more. \"not yet\": read and checked, reported once at start, without \
         effect so far.\n",
    );
    let mut sections: Vec<&[&str]> = Vec::new();
    for row in rows() {
        if !sections.contains(&row.paths) {
            sections.push(row.paths);
        }
    }
    for paths in sections {
        let names: Vec<_> = paths.iter().map(|path| format!("`{path}`")).collect();
        let _ = write!(out, "\n## {}\n\n", names.join(", "));
        out.push_str("| keyword | value | default | effect |\n|---|---|---|---|\n");
        for row in rows().filter(|row| row.paths == paths) {
            line(&mut out, row);
        }
    }
    out
}

fn line(out: &mut String, row: &Row) {
    let synonyms: String = row.synonyms.iter().map(|synonym| format!(", `{}`", synonym.word())).collect();
    let not_yet = if row.effect == Effect::NotBuilt { " (not yet)" } else { "" };
    let _ = writeln!(
        out,
        "| `{}`{synonyms} | {} | {} | {}{not_yet} |",
        row.keyword,
        cell(&shape(row.shape)),
        cell(row.default),
        cell(row.help)
    );
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// What follows a keyword.
pub(super) fn shape(shape: Shape) -> String {
    match shape {
        Shape::Flag => String::new(),
        Shape::Words(list) => args(list),
        Shape::Options(head, options) => {
            let options: Vec<_> =
                options.iter().map(|option| format!("[{}]", join(option.word, &args(option.args)))).collect();
            join(&args(head), &options.join(" "))
        }
        Shape::Block(head) => join(&args(head), "{ … }"),
        Shape::Entries(head, entry) => join(&args(head), &format!("{{ {} }}", self::entry(entry))),
        Shape::Rest => "…".to_owned(),
    }
}

fn entry(entry: Entry) -> String {
    match entry {
        Entry::EachWord(name, kind) => format!("{name}: {} …", self::kind(kind)),
        Entry::Line(list) => args(list),
        Entry::Addresses => "<addr-entry>".to_owned(),
        Entry::Routes => "<route-entry>".to_owned(),
        Entry::Rules => "<rule-entry>".to_owned(),
        Entry::Track { name, min, max, noreverse } => {
            let reverse = if noreverse { "[reverse|noreverse]" } else { "[reverse]" };
            format!("{name} [weight {min}..{max}] {reverse}")
        }
        Entry::Peers => "address [min_ttl 0..255] [max_ttl 0..255]".to_owned(),
        Entry::VirtualServerGroup => "address, range or fwmark".to_owned(),
    }
}

fn args(list: &[Arg]) -> String {
    let list: Vec<_> = list
        .iter()
        .map(|arg| {
            let mark = match arg.need {
                Need::One => "",
                Need::Optional => "?",
                Need::Any => "*",
                Need::Some => "+",
            };
            match arg.kind {
                Kind::Word(words) if words.len() == 1 => format!("`{}`{mark}", words[0]),
                kind => format!("{}: {}{mark}", arg.name, self::kind(kind)),
            }
        })
        .collect();
    list.join(", ")
}

/// What a value has to be, in words that fit after "expected".
pub(in crate::conf) fn kind(kind: Kind) -> String {
    match kind {
        Kind::Str => "text".to_owned(),
        Kind::Name(max) => format!("a name of at most {max} characters"),
        Kind::Bool => "on, off, true, false, yes or no".to_owned(),
        Kind::Int(min, max) => format!("a number from {min} to {max}"),
        Kind::U64 => "a number".to_owned(),
        Kind::Dec(digits, min, max) => {
            let max = if max == u64::MAX { String::new() } else { format!(" to {}", millionths(max)) };
            format!("a decimal from {}{max} with at most {digits} digits after the point", millionths(min))
        }
        Kind::Ip => "an IP address".to_owned(),
        Kind::Multicast => "a multicast address".to_owned(),
        Kind::Multicast4 => "an IPv4 multicast address (224.0.0.0/4)".to_owned(),
        Kind::Multicast6 => "an IPv6 multicast address (ff00::/8)".to_owned(),
        Kind::Prefix => "an IP address with an optional /prefix".to_owned(),
        Kind::IfName => "an interface name (1 to 15 characters)".to_owned(),
        Kind::Script => "a command, in quotes when it has arguments".to_owned(),
        Kind::User => "a user".to_owned(),
        Kind::Group => "a group".to_owned(),
        Kind::Path => "a path".to_owned(),
        Kind::AbsPath => "an absolute path".to_owned(),
        Kind::Email => "a mail address".to_owned(),
        Kind::Host => "an IP address or host name".to_owned(),
        Kind::Word(words) | Kind::AnyCase(words) => alternatives(words),
        Kind::NumberOrWord(words) => format!("a number, {}", alternatives(words)),
        Kind::NumberOrName(max) => format!("a number up to {max} or a name iproute2 knows"),
        Kind::Scope => "site, link, host, nowhere, global or a number".to_owned(),
        Kind::Lifetime => "a number of seconds or forever".to_owned(),
        Kind::Broadcast => "an IPv4 address, + or -".to_owned(),
        Kind::AnyBase(max) => format!("a number up to {max} (decimal, 0octal or 0xhex)"),
        Kind::Mark => "a mark, or mark/mask".to_owned(),
        Kind::PortRange => "a port or first-last".to_owned(),
        Kind::Hex32 => "32 hex digits".to_owned(),
        Kind::HexString => "hex digits".to_owned(),
        Kind::HexWild => "hex digits, with X for any digit".to_owned(),
        Kind::StatusCodes => "a status code from 100 to 599, or first-last".to_owned(),
        Kind::Granularity => "an IPv4 netmask, or an IPv6 prefix length from 1 to 128".to_owned(),
        Kind::Regex => "a quoted pattern".to_owned(),
        Kind::IncludeCheck => "read, match, wildcard_match or brace_match, each with an optional + or -".to_owned(),
    }
}

fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [words @ .., last] => format!("{} or {last}", words.join(", ")),
    }
}

/// Millionths as a decimal without trailing zeros.
pub(in crate::conf) fn millionths(value: u64) -> String {
    let text = format!("{}.{:06}", value / 1_000_000, value % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn join(left: &str, right: &str) -> String {
    [left, right].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
