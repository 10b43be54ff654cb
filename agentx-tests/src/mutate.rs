//! Configurations that nobody wrote: made from the keyword table, and real ones with a mistake in them.
//!
//! Everything follows from [`Dice`]. [`generated`] puts directives of the table, with values that fit or nearly do, into blocks
//! that are otherwise whole; [`mutated`] does to a text what fingers, editors and merges do.

use std::path::{Path, PathBuf};

use keepwatch::conf::keywords::{self, Arg, Entry, Kind, Need, Row, Shape};

use crate::dice::Dice;

/// The repository's configurations: recorded ones, and one for each mistake of the list.
#[track_caller]
pub fn corpus() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conf");
    let mut files: Vec<PathBuf> = ["seeds", "diagnostics"]
        .iter()
        .flat_map(|directory| {
            let directory = root.join(directory);
            std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        })
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, String::from_utf8_lossy(&std::fs::read(&path).ok()?).into_owned()))
    };
    files.into_iter().filter_map(read).collect()
}

/// Whole blocks; a line `@PATH` is where directives of that block may be put.
const SKELETONS: &[&str] = &[
    "global_defs {\n    router_id lab\n@global_defs\n}\n",
    "vrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 51\n@vrrp_instance\n    priority 100\n    \
     virtual_ipaddress {\n        192.0.2.100/24\n@vip\n    }\n@vrrp_instance\n}\n",
    "vrrp_script chk {\n    script \"/usr/bin/test -d /tmp\"\n    interval 2\n@vrrp_script\n}\nvrrp_instance VI_1 {\n    \
     interface eth0\n    virtual_router_id 51\n    track_script {\n        chk\n    }\n    virtual_ipaddress {\n        \
     192.0.2.100/24\n    }\n@vrrp_instance\n}\n",
    "vrrp_sync_group G {\n    group {\n        A\n        B\n    }\n@vrrp_sync_group\n}\nvrrp_instance A {\n    interface \
     eth0\n    virtual_router_id 51\n    virtual_ipaddress {\n        192.0.2.100/24\n    }\n}\nvrrp_instance B {\n    \
     interface eth1\n    virtual_router_id 52\n    virtual_ipaddress {\n        198.51.100.100/24\n    }\n}\n",
    "virtual_server 192.0.2.80 80 {\n    delay_loop 6\n@virtual_server\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    \
     real_server 198.51.100.2 80 {\n        weight 1\n@virtual_server/real_server\n        TCP_CHECK {\n            \
     connect_timeout 3\n@virtual_server/real_server/TCP_CHECK\n        }\n    }\n}\n",
    "virtual_server 192.0.2.80 80 {\n    delay_loop 6\n    lb_algo wrr\n    lb_kind NAT\n    real_server 198.51.100.2 80 {\n        \
     HTTP_GET {\n            url {\n                path /\n@virtual_server/real_server/HTTP_GET/url\n            \
     }\n@virtual_server/real_server/HTTP_GET\n        }\n    }\n}\n",
    "virtual_server 192.0.2.80 53 {\n    protocol UDP\n    real_server 198.51.100.2 53 {\n        DNS_CHECK {\n            \
     name example.com\n@virtual_server/real_server/DNS_CHECK\n        }\n    }\n    real_server 198.51.100.3 53 {\n        \
     MISC_CHECK {\n            misc_path /usr/bin/true\n@virtual_server/real_server/MISC_CHECK\n        }\n    }\n}\n",
    "vrrp_track_process p {\n    process nginx\n@vrrp_track_process\n}\nvrrp_instance VI_1 {\n    interface eth0\n    \
     virtual_router_id 51\n    track_process {\n        p\n    }\n    virtual_ipaddress {\n        192.0.2.100/24\n    }\n}\n",
    "bfd_instance b {\n    neighbor_ip 192.0.2.2\n    source_ip 192.0.2.11\n@bfd_instance\n}\n",
    "static_routes {\n@route\n}\nstatic_rules {\n@rule\n}\nstatic_ipaddress {\n@vip\n}\n",
];

/// Directives that would change this machine, ask the network, or ask for what a test's namespace does not have.
const LEFT_OUT: &[&str] = &[
    "config_save_dir",
    "include_check",
    "instance",
    "linkbeat_use_polling",
    "log_file",
    "namespace_with_ipsets",
    "net_namespace",
    "net_namespace_ipvs",
    "nftables",
    "random_seed",
    "smtp_server",
    "state_dump_file",
    "stats_dump_file",
    "json_dump_file",
    "tmp_config_directory",
    "use_pid_dir",
    "process_name",
    "data_use_instance",
];

/// A configuration out of the table: a skeleton or two, and one to four directives with their values.
pub fn generated(dice: &mut Dice) -> String {
    let mut text = (*dice.pick(SKELETONS)).to_owned();
    if dice.between(0, 3) == 0 {
        text.insert_str(0, "global_defs {\n    enable_script_security\n    script_user root\n@global_defs\n}\n");
    }
    let places: Vec<usize> =
        text.lines().enumerate().filter(|(_, line)| line.starts_with('@')).map(|(number, _)| number).collect();
    let chosen: Vec<usize> = (0..dice.between(1, 4)).map(|_| *dice.pick(&places)).collect();
    let mut out = String::new();
    for (number, line) in text.lines().enumerate() {
        match line.strip_prefix('@') {
            Some(path) => {
                for _ in chosen.iter().filter(|place| **place == number) {
                    out.push_str(&directive(dice, path, 0));
                }
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

fn directive(dice: &mut Dice, path: &str, depth: u32) -> String {
    match path {
        "vip" => return address_line(dice),
        "route" => return format!("    {} {}\n", network(dice), options(dice, "<route-entry>")),
        "rule" => return format!("    {}\n", options(dice, "<rule-entry>")),
        _ => {}
    }
    let rows: Vec<&&Row> = keywords::block(path).iter().filter(|row| !LEFT_OUT.contains(&row.keyword)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let row = *dice.pick(&rows);
    let mut line = format!("    {}", row.keyword);
    match row.shape {
        Shape::Flag => {}
        Shape::Words(args) => line.push_str(&arguments(dice, args)),
        Shape::Options(args, named) => {
            line.push_str(&arguments(dice, args));
            for _ in 0..dice.between(0, 2) {
                if !named.is_empty() {
                    let option = dice.pick(named);
                    line.push_str(&format!(" {}{}", option.word, arguments(dice, option.args)));
                }
            }
        }
        Shape::Rest => line.push_str(&format!(" {}", value(dice, Kind::Str))),
        Shape::Block(head) => {
            line.push_str(&arguments(dice, head));
            line.push_str(" {\n");
            let inner = format!("{path}/{}", row.keyword);
            for _ in 0..dice.between(1, 3) {
                if depth < 2 {
                    line.push_str(&directive(dice, &inner, depth + 1));
                }
            }
            line.push_str("    }");
        }
        Shape::Entries(head, entry) => {
            line.push_str(&arguments(dice, head));
            line.push_str(" {\n");
            for _ in 0..dice.between(1, 2) {
                line.push_str(&entry_line(dice, entry));
            }
            line.push_str("    }");
        }
    }
    line.push('\n');
    line
}

fn entry_line(dice: &mut Dice, entry: Entry) -> String {
    match entry {
        Entry::EachWord(_, kind) => format!("        {}\n", value(dice, kind)),
        Entry::Line(args) => format!("       {}\n", arguments(dice, args)),
        Entry::Addresses => address_line(dice),
        Entry::Routes => format!("        {} {}\n", network(dice), options(dice, "<route-entry>")),
        Entry::Rules => format!("        {}\n", options(dice, "<rule-entry>")),
        Entry::Track { min, max, .. } => {
            let name = *dice.pick(&["eth1", "chk", "p", "b", "nothing"]);
            match dice.between(0, 2) {
                0 => format!("        {name}\n"),
                _ => format!("        {name} weight {}\n", value(dice, Kind::Int(min, max))),
            }
        }
        Entry::Peers => format!("        {}\n", value(dice, Kind::Ip)),
        Entry::VirtualServerGroup => format!("        192.0.2.{} 80\n", dice.between(1, 254)),
    }
}

fn address_line(dice: &mut Dice) -> String {
    let length = *dice.pick(&["", "/24", "/32", "/33", "/0", "/x"]);
    let options = options(dice, "<addr-entry>");
    format!("        192.0.2.{}{length} {options}\n", dice.between(100, 254))
}

fn network(dice: &mut Dice) -> String {
    let octet = dice.between(0, 255);
    (*dice.pick(&["default", "10.1.0.0/16", "2001:db8:2::/48", "10.2.0.1"])).replace(".1.", &format!(".{octet}."))
}

/// Some options of a line.
fn options(dice: &mut Dice, path: &str) -> String {
    let rows: Vec<&&Row> = keywords::block(path).iter().filter(|row| !row.keyword.starts_with('<')).collect();
    let mut line = String::new();
    for _ in 0..dice.between(0, 3) {
        let row = *dice.pick(&rows);
        line.push_str(row.keyword);
        if let Shape::Words(args) | Shape::Options(args, _) = row.shape {
            line.push_str(&arguments(dice, args));
        }
        line.push(' ');
    }
    line
}

fn arguments(dice: &mut Dice, args: &[Arg]) -> String {
    let mut line = String::new();
    for arg in args {
        let often = match arg.need {
            // A value is forgotten now and then.
            Need::One => u64::from(dice.between(0, 39) > 0),
            Need::Optional | Need::Any => dice.between(0, 1),
            Need::Some => dice.between(1, 2),
        };
        for _ in 0..often {
            line.push(' ');
            line.push_str(&value(dice, arg.kind));
        }
    }
    line
}

/// A value of a kind: one in six is none, or just beyond its bounds.
fn value(dice: &mut Dice, kind: Kind) -> String {
    let wrong = dice.between(0, 5) == 0;
    let some = |dice: &mut Dice, good: &[&str], bad: &[&str]| {
        (*dice.pick(if wrong && !bad.is_empty() { bad } else { good })).to_owned()
    };
    match kind {
        Kind::Int(low, high) if wrong => {
            let beyond = [low.saturating_sub(1), high.saturating_add(1)];
            let odd = ["x", "1x", "-0", "0x10", "99999999999999999999", ""];
            if dice.between(0, 1) == 0 { dice.pick(&beyond).to_string() } else { (*dice.pick(&odd)).to_owned() }
        }
        Kind::Int(low, high) => dice.pick(&[low, high, low.saturating_add((high - low) / 2)]).to_string(),
        Kind::U64 => some(dice, &["1", "4096", "18446744073709551615"], &["-1", "18446744073709551616", "y"]),
        Kind::Dec(_, low, high) => {
            let shown = |millionths: u64| format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
            let (low, high) = (low, high.min(3_600_000_000));
            match dice.between(0, 3) {
                _ if wrong => (*dice.pick(&["-1", "0", "1.2.3", "abc", "1e3"])).to_owned(),
                0 => shown(low.max(1)),
                1 => shown(high),
                _ => dice.between(1, 10).to_string(),
            }
        }
        Kind::Bool => some(dice, &["on", "off", "true", "false", "yes", "no"], &["On", "maybe", "1"]),
        Kind::Ip | Kind::Host => {
            some(dice, &["192.0.2.9", "198.51.100.9", "2001:db8:1::9"], &["192.0.2.256", "host", "1.2.3", "::g"])
        }
        Kind::Multicast | Kind::Multicast4 => some(dice, &["224.0.0.19", "239.1.1.1"], &["192.0.2.1", "ff02::12"]),
        Kind::Multicast6 => some(dice, &["ff02::13"], &["224.0.0.18", "2001:db8::1"]),
        Kind::Prefix => some(dice, &["192.0.2.0/24", "10.0.0.1", "2001:db8::/32"], &["10.0.0.1/33", "x/8"]),
        Kind::IfName => some(dice, &["eth0", "eth1"], &["eth9", "lo", "a-name-that-is-too-long"]),
        Kind::Script => some(dice, &["\"/usr/bin/true\"", "\"/usr/bin/test -d /\""], &["/no/such/script", "\"\""]),
        Kind::User | Kind::Group => some(dice, &["root"], &["nobody-of-that-name"]),
        Kind::Path | Kind::AbsPath => some(dice, &["/etc/hostname", "/tmp/nothing-here"], &["relative/name"]),
        Kind::Email => some(dice, &["root@example.com"], &["root"]),
        Kind::Word(words) | Kind::AnyCase(words) => some(dice, words, &["nothing", "ON"]),
        Kind::NumberOrWord(words) => {
            if dice.between(0, 1) == 0 {
                some(dice, words, &["q"])
            } else {
                dice.between(0, 300).to_string()
            }
        }
        Kind::NumberOrName(high) => {
            if wrong {
                (high.saturating_add(1)).to_string()
            } else {
                dice.between(0, 200).to_string()
            }
        }
        Kind::Scope => some(dice, &["global", "link", "host", "253"], &["galaxy", "256"]),
        Kind::Lifetime => some(dice, &["forever", "3600"], &["never", "-1"]),
        Kind::Broadcast => some(dice, &["+", "-", "192.0.2.255"], &["192.0.2.256"]),
        Kind::AnyBase(_) => some(dice, &["16", "0x10", "010"], &["0xg", "99999999999999999999"]),
        Kind::Mark => some(dice, &["1", "0x1/0xff"], &["1/", "x"]),
        Kind::PortRange => some(dice, &["80-90", "1024-65535"], &["80", "90-80", "1-65536"]),
        Kind::Hex32 | Kind::HexString => {
            some(dice, &["d41d8cd98f00b204e9800998ecf8427e"], &["d41d8", "zz1d8cd98f00b204e9800998ecf8427e"])
        }
        Kind::HexWild => some(dice, &["68656c6c6f", "68xx6c"], &["686", "zz"]),
        Kind::StatusCodes => some(dice, &["200", "200-299"], &["99", "2xx", "300-200"]),
        Kind::Granularity => some(dice, &["255.255.255.0"], &["24", "255.0.255.0"]),
        Kind::Regex => some(dice, &["\"ok\"", "\"a[bc]*\""], &["\"a(\""]),
        Kind::IncludeCheck => some(dice, &["read", "match"], &["sometimes"]),
        Kind::Str | Kind::Name(_) => some(
            dice,
            &["name", "\"two words\"", "x1"],
            &["a-name-with-far-more-characters-than-anything-of-that-kind-may-have", "\"\"", "\"open"],
        ),
    }
}

/// What happens to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    DeleteWord,
    DoubleWord,
    SwapWords,
    DeleteLine,
    DoubleLine,
    Brace,
    Letter,
    Number,
}

const EDITS: &[Edit] = &[
    Edit::DeleteWord,
    Edit::DoubleWord,
    Edit::SwapWords,
    Edit::DeleteLine,
    Edit::DoubleLine,
    Edit::Brace,
    Edit::Letter,
    Edit::Number,
];

/// The text with one to three edits, and which.
pub fn mutated(dice: &mut Dice, text: &str) -> (String, Vec<Edit>) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let edits: Vec<Edit> = (0..dice.between(1, 3)).map(|_| *dice.pick(EDITS)).collect();
    for edit in &edits {
        apply(dice, *edit, &mut lines);
    }
    (lines.join("\n") + "\n", edits)
}

fn apply(dice: &mut Dice, edit: Edit, lines: &mut Vec<String>) {
    let full: Vec<usize> = (0..lines.len()).filter(|at| !lines[*at].trim().is_empty()).collect();
    if full.is_empty() {
        return;
    }
    let at = *dice.pick(&full);
    let line = lines[at].clone();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let word = dice.between(0, words.len() as u64 - 1) as usize;
    match edit {
        Edit::DeleteWord => drop(words.remove(word)),
        Edit::DoubleWord => words.insert(word, words[word].clone()),
        Edit::SwapWords => {
            let other = dice.between(0, words.len() as u64 - 1) as usize;
            words.swap(word, other);
        }
        Edit::DeleteLine => {
            lines.remove(at);
            return;
        }
        Edit::DoubleLine => {
            lines.insert(at, line);
            return;
        }
        Edit::Brace => match (dice.between(0, 2), line.find(['{', '}'])) {
            (0, Some(brace)) => {
                lines[at].remove(brace);
                return;
            }
            (1, _) => words.push((*dice.pick(&["{", "}"])).to_owned()),
            _ => words.insert(word, (*dice.pick(&["{", "}", "{}"])).to_owned()),
        },
        Edit::Letter => {
            let mut letters: Vec<char> = words[word].chars().collect();
            let place = dice.between(0, letters.len() as u64 - 1) as usize;
            match dice.between(0, 3) {
                0 if letters.len() > 1 => drop(letters.remove(place)),
                1 => letters.insert(place, letters[place]),
                2 if place + 1 < letters.len() => letters.swap(place, place + 1),
                _ => letters[place] = *dice.pick(&['a', 'e', 'x', '_', '0', '9', '.', '/', '"', '#', '$', '~', '@']),
            }
            words[word] = letters.into_iter().collect();
        }
        Edit::Number => {
            let numbers: Vec<usize> =
                (0..words.len()).filter(|at| words[*at].chars().all(|c| c.is_ascii_digit())).collect();
            if numbers.is_empty() {
                return;
            }
            let number = *dice.pick(&numbers);
            words[number] = (*dice.pick(&[
                "0",
                "-1",
                "1",
                "254",
                "255",
                "256",
                "65535",
                "65536",
                "2147483648",
                "4294967296",
                "1.5",
            ]))
            .to_owned();
        }
    }
    lines[at] = indent + &words.join(" ");
}
