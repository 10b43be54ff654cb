//! Names of tables, protocols, scopes, realms, DSCP values, interface groups and IP protocols, as iproute2 keeps them.

use std::collections::HashMap;

use crate::conf::diag::{Diagnostic, Span};
use crate::conf::files::Files;
use crate::conf::parse::Node;
use crate::conf::values::any_base;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Table,
    Protocol,
    Scope,
    Realm,
    Dsfield,
    Group,
    /// `/etc/protocols`.
    IpProtocol,
}

/// What the host's files say, read when the first name of a kind is asked for.
pub struct Names {
    /// The administrator's before the vendor's.
    directories: Vec<String>,
    known: HashMap<Kind, Vec<(u32, String)>>,
}

impl Names {
    pub fn new(nodes: &[Node]) -> Names {
        let global = || nodes.iter().filter(|node| node.name() == "global_defs").flat_map(|node| &node.children);
        let configured = |word: &str| global().filter(|node| node.name() == word).find_map(Node::text);
        let mut directories = vec![configured("iproute_etc_dir").unwrap_or("/etc/iproute2").to_owned()];
        match configured("iproute_usr_dir") {
            Some(directory) => directories.push(directory.to_owned()),
            None => directories.extend(["/usr/share/iproute2", "/usr/lib/iproute2"].map(str::to_owned)),
        }
        Names { directories, known: HashMap::new() }
    }

    pub fn number(&mut self, files: &dyn Files, kind: Kind, name: &str) -> Option<u32> {
        self.of(files, kind).iter().find(|(_, known)| known == name).map(|(number, _)| *number)
    }

    pub fn name(&mut self, files: &dyn Files, kind: Kind, number: u32) -> Option<&str> {
        self.of(files, kind).iter().find(|(known, _)| *known == number).map(|(_, name)| name.as_str())
    }

    fn of(&mut self, files: &dyn Files, kind: Kind) -> &[(u32, String)] {
        let Names { directories, known } = self;
        known.entry(kind).or_insert_with(|| read(directories, files, kind))
    }
}

/// What was named by no file and is no number.
pub fn unknown(kind: Kind, name: &str, span: Span) -> Diagnostic {
    let (code, what, file) = match kind {
        Kind::Table => ("unknown-table", "table", "/etc/iproute2/rt_tables"),
        Kind::Protocol => ("unknown-name", "routing protocol", "/etc/iproute2/rt_protos"),
        Kind::Scope => ("unknown-name", "scope", "/etc/iproute2/rt_scopes"),
        Kind::Realm => ("unknown-name", "realm", "/etc/iproute2/rt_realms"),
        Kind::Dsfield => ("unknown-name", "DS field value", "/etc/iproute2/rt_dsfield"),
        Kind::Group => ("unknown-name", "interface group", "/etc/iproute2/group"),
        Kind::IpProtocol => ("unknown-name", "IP protocol", "/etc/protocols"),
    };
    let base = file.rsplit('/').next().unwrap_or_default();
    Diagnostic::error(code, span, format!("no {what} {name} in {base}"))
        .hint(format!("define it in {file}, or use its number"))
}

fn read(directories: &[String], files: &dyn Files, kind: Kind) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut take = |path: &str| {
        let bytes = files.read(path).unwrap_or_default();
        for line in String::from_utf8_lossy(&bytes).lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(first), Some(second)) = (words.next(), words.next()) else { continue };
            if kind == Kind::IpProtocol {
                // Aliases follow the number.
                let Ok(number) = second.parse() else { continue };
                found.extend(std::iter::once(first).chain(words).map(|name| (number, name.to_owned())));
            } else if let Some(number) = any_base(first).and_then(|number| u32::try_from(number).ok()) {
                found.push((number, second.to_owned()));
            }
        }
    };
    let base = match kind {
        Kind::Table => "rt_tables",
        Kind::Protocol => "rt_protos",
        Kind::Scope => "rt_scopes",
        Kind::Realm => "rt_realms",
        Kind::Dsfield => "rt_dsfield",
        Kind::Group => "group",
        Kind::IpProtocol => {
            take("/etc/protocols");
            ""
        }
    };
    if !base.is_empty() {
        for directory in directories {
            take(&format!("{directory}/{base}"));
            let mut more = files.glob(&format!("{directory}/{base}.d/*.conf"));
            more.sort();
            more.iter().for_each(|path| take(path));
        }
    }
    // A host without these files knows the names all the same.
    found.extend(usual(kind).iter().map(|(number, name)| (*number, (*name).to_owned())));
    found
}

fn usual(kind: Kind) -> &'static [(u32, &'static str)] {
    match kind {
        Kind::Table => &[(255, "local"), (254, "main"), (253, "default"), (0, "unspec")],
        Kind::Protocol => &[
            (0, "unspec"),
            (1, "redirect"),
            (2, "kernel"),
            (3, "boot"),
            (4, "static"),
            (8, "gated"),
            (9, "ra"),
            (10, "mrt"),
            (11, "zebra"),
            (12, "bird"),
            (13, "dnrouted"),
            (14, "xorp"),
            (15, "ntk"),
            (16, "dhcp"),
            (18, "keepalived"),
            (42, "babel"),
            (99, "openr"),
            (186, "bgp"),
            (187, "isis"),
            (188, "ospf"),
            (189, "rip"),
            (192, "eigrp"),
        ],
        Kind::Scope => &[(0, "global"), (255, "nowhere"), (254, "host"), (253, "link"), (200, "site")],
        Kind::Realm => &[(0, "cosmos")],
        // RFC 2474, RFC 2597 and RFC 3246, in the upper six bits.
        Kind::Dsfield => &[
            (0x00, "default"),
            (0x28, "AF11"),
            (0x30, "AF12"),
            (0x38, "AF13"),
            (0x48, "AF21"),
            (0x50, "AF22"),
            (0x58, "AF23"),
            (0x68, "AF31"),
            (0x70, "AF32"),
            (0x78, "AF33"),
            (0x88, "AF41"),
            (0x90, "AF42"),
            (0x98, "AF43"),
            (0x20, "CS1"),
            (0x40, "CS2"),
            (0x60, "CS3"),
            (0x80, "CS4"),
            (0xa0, "CS5"),
            (0xc0, "CS6"),
            (0xe0, "CS7"),
            (0xb8, "EF"),
        ],
        Kind::Group => &[(0, "default")],
        Kind::IpProtocol => &[
            (0, "ip"),
            (0, "IP"),
            (1, "icmp"),
            (1, "ICMP"),
            (2, "igmp"),
            (2, "IGMP"),
            (6, "tcp"),
            (6, "TCP"),
            (17, "udp"),
            (17, "UDP"),
            (33, "dccp"),
            (33, "DCCP"),
            (47, "gre"),
            (47, "GRE"),
            (50, "esp"),
            (50, "IPSEC-ESP"),
            (51, "ah"),
            (51, "IPSEC-AH"),
            (58, "ipv6-icmp"),
            (58, "IPv6-ICMP"),
            (112, "vrrp"),
            (112, "VRRP"),
            (132, "sctp"),
            (132, "SCTP"),
        ],
    }
}
