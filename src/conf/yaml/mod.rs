//! `keepwatch.yaml`: text to checked [`Settings`] and diagnostics like those for `keepalived.conf`.
//!
//! Start at [`read`]. [`KEYS`] has every key; the sample `conf/keepwatch.yaml` documents them. Nothing outside of this
//! module knows that there is YAML.

mod tree;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use self::tree::{Kind, Node, Path, Turn};
use super::diag::{Class, Diagnostic, Source, Sources, Span};
use super::files::{FileKind, Files};
use super::keywords::closest;
use super::model::{
    Access, AuthProtocol, Community, Config, PrivacyProtocol, QueueSettings, Receiver, Responder, Retries, Secret,
    Security, Settings, SnmpSettings, UsmUser,
};

/// Longest file, octets.
pub const SIZE_MAX: usize = 256 * 1024;

/// Its name beside the main configuration file.
pub const DEFAULT_NAME: &str = "keepwatch.yaml";

/// Every mapping, by its place in the file, and the keys it may have.
pub const KEYS: [(&str, &[&str]); 11] = [
    ("", &["snmp"]),
    ("snmp", &["queue", "users", "receivers", "responder", "engine_id"]),
    ("snmp.queue", &["length", "expires"]),
    ("snmp.users", &["name", "auth", "privacy"]),
    ("snmp.users.auth", &["protocol", "passphrase"]),
    ("snmp.users.privacy", &["protocol", "passphrase"]),
    ("snmp.receivers", &["address", "version", "community", "user", "inform"]),
    ("snmp.receivers.inform", &["timeout", "retries"]),
    ("snmp.responder", &["listen", "communities", "users"]),
    ("snmp.responder.communities", &["name", "write", "networks"]),
    ("snmp.responder.users", &["user", "write"]),
];

/// Most entries of any list in the file.
const ENTRIES_MAX: usize = 64;
/// Places are looked for by reading again; who made more mistakes than this sees the rest next time.
const DIAGNOSTICS_MAX: usize = 50;
/// RFC 3414 section 11.2.
const PASSPHRASE_MIN: usize = 8;

/// Reads the file `named`, or the one beside `main` if it is there. With any mistake the settings are the default ones.
pub(super) fn load(
    named: Option<&str>,
    main: &str,
    files: &dyn Files,
    sources: &mut Sources,
) -> (Settings, Vec<Diagnostic>) {
    let path = match (named, main.rsplit_once('/')) {
        (Some(named), _) => named.to_owned(),
        (None, Some((directory, _))) => format!("{directory}/{DEFAULT_NAME}"),
        (None, None) => DEFAULT_NAME.to_owned(),
    };
    let stat = files.stat(&path);
    if stat.is_none() && named.is_none() {
        return (Settings::default(), vec![]);
    }
    let mut refuse = |class, message: String| {
        let file = sources.add(Source { name: path.clone(), lines: vec![] });
        let span = Span { file, ..Span::default() };
        (Settings::default(), vec![Diagnostic::error("settings", span, message).class(class)])
    };
    let Some(stat) = stat else {
        return refuse(Class::MissingFile, format!("there is no file {path}, which --settings names"));
    };
    if stat.kind != FileKind::Regular {
        return refuse(Class::General, format!("{path} is not a file"));
    }
    let bytes = match files.read_some(&path, SIZE_MAX + 1) {
        Ok(bytes) if bytes.len() > SIZE_MAX => {
            return refuse(Class::General, format!("{path} is longer than {} KiB", SIZE_MAX / 1024));
        }
        Ok(bytes) => bytes,
        Err(error) => return refuse(Class::General, format!("{path} cannot be read: {error}")),
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return refuse(Class::General, format!("{path} is not UTF-8"));
    };
    let file = sources.add(Source { name: path, lines: text.lines().map(str::to_owned).collect() });
    let (settings, mut diagnostics) = read(&text, file);
    if settings.has_secrets() && stat.mode & 0o007 != 0 {
        let span = Span { file, ..Span::default() };
        let note = Diagnostic::note("settings", span, "everybody may read the pass phrases in this file");
        diagnostics.push(note.hint("chmod 0600 is enough for keepwatchd"));
    }
    (settings, diagnostics)
}

/// What is no mistake in either file, and has no effect without something in the other. The last of the sources is ours.
pub(super) fn advice(config: &Config, sources: &Sources) -> Vec<Diagnostic> {
    let (snmp, global) = (&config.settings.snmp, &config.global.snmp);
    let file = u32::try_from(sources.iter().count()).unwrap_or(u32::MAX).saturating_sub(1);
    let note = |text| Diagnostic::note("settings", Span { file, ..Span::default() }, text);
    let mut notes = vec![];
    if !snmp.receivers.is_empty() && !global.traps {
        notes.push(note("the receivers get nothing: `enable_traps` in global_defs switches notifications on"));
    }
    if snmp.responder.is_some() && !(global.vrrp || global.checker || global.rfcv2 || global.rfcv3) {
        notes.push(note(
            "the responder has nothing to show: enable_snmp_vrrp, enable_snmp_checker or -x switch its tables on",
        ));
    }
    if !snmp.receivers.is_empty() && global.traps && !(global.vrrp || global.checker || global.rfcv2 || global.rfcv3) {
        notes
            .push(note("the receivers get nothing: enable_snmp_vrrp, enable_snmp_checker or -x switch the modules on"));
    }
    let Some(responder) = &snmp.responder else { return notes };
    if responder.communities.is_empty() && responder.users.is_empty() {
        notes.push(note("the responder answers nobody: list `communities` or `users`"));
    }
    if responder.communities.iter().any(|community| community.write && community.networks.is_empty()) {
        notes.push(note("a community may write from everywhere: give it `networks`"));
    }
    notes
}

/// Reads a text. `file` is where the diagnostics say that it is. With any mistake the settings are the default ones.
pub fn read(text: &str, file: u32) -> (Settings, Vec<Diagnostic>) {
    let mut reader = Reader { text, file, lines: text.lines().collect(), diagnostics: vec![] };
    let settings = match tree::read(text) {
        Ok(root) => reader.settings(&root),
        Err(broken) => {
            let span = reader.span_of(broken.place);
            reader.diagnostics.push(Diagnostic::error("yaml", span, format!("this is not YAML: {}", broken.message)));
            Settings::default()
        }
    };
    if reader.diagnostics.is_empty() { (settings, vec![]) } else { (Settings::default(), reader.diagnostics) }
}

impl Settings {
    fn has_secrets(&self) -> bool {
        let SnmpSettings { users, receivers, responder, .. } = &self.snmp;
        users.iter().any(|user| user.auth.is_some())
            || receivers.iter().any(|receiver| !matches!(receiver.security, Security::V3 { .. }))
            || responder.as_ref().is_some_and(|responder| !responder.communities.is_empty())
    }
}

struct Reader<'t> {
    text: &'t str,
    file: u32,
    lines: Vec<&'t str>,
    diagnostics: Vec<Diagnostic>,
}

/// The entries of a mapping whose keys are known.
struct Fields<'n> {
    node: &'n Node,
    entries: Vec<(&'n str, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// The value, unless it is missing or nothing.
    fn get(&self, key: &str) -> Option<&'n Node> {
        let found = self.entries.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        found.filter(|node| !matches!(node.kind, Kind::Nothing))
    }
}

impl Reader<'_> {
    // --- the file, from the outside in

    fn settings(&mut self, root: &Node) -> Settings {
        let Some(fields) = self.map(root, "") else { return Settings::default() };
        let snmp = fields.get("snmp").map(|node| self.snmp(node)).unwrap_or_default();
        Settings { snmp, ..Settings::default() }
    }

    fn snmp(&mut self, node: &Node) -> SnmpSettings {
        let Some(fields) = self.map(node, "snmp") else { return SnmpSettings::default() };
        let users = self.each(fields.get("users"), Self::user);
        let mut names = HashSet::new();
        for (user, node) in &users {
            if !names.insert(user.name.as_str()) {
                self.complain(&node.path, format!("a second user is called `{}`", user.name));
            }
        }
        let users: Vec<UsmUser> = users.into_iter().map(|(user, _)| user).collect();
        let receivers = self.each(fields.get("receivers"), |reader, node| reader.receiver(node, &users));
        let mut seen = vec![];
        for (receiver, node) in &receivers {
            if seen.contains(&receiver) {
                self.complain(&node.path, "this receiver is listed twice: it would be told everything twice");
            }
            seen.push(receiver);
        }
        SnmpSettings {
            queue: fields.get("queue").map(|node| self.queue(node)).unwrap_or_default(),
            receivers: receivers.into_iter().map(|(receiver, _)| receiver).collect(),
            responder: fields.get("responder").and_then(|node| self.responder(node, &users)),
            engine_id: fields.get("engine_id").and_then(|node| self.engine_id(node)),
            users,
        }
    }

    fn queue(&mut self, node: &Node) -> QueueSettings {
        let default = QueueSettings::default();
        let Some(fields) = self.map(node, "snmp.queue") else { return default };
        let length = fields.get("length").and_then(|node| self.number(node, 1..=65_536));
        let day = Duration::from_secs(24 * 3600);
        let expires = fields.get("expires").and_then(|node| self.duration(node, Duration::from_secs(1)..=7 * day));
        QueueSettings {
            length: length.and_then(|length| usize::try_from(length).ok()).unwrap_or(default.length),
            expires: expires.unwrap_or(default.expires),
        }
    }

    fn user(&mut self, node: &Node) -> Option<UsmUser> {
        let fields = self.map(node, "snmp.users")?;
        let name = self.required(&fields, "name").and_then(|node| self.sized(node, "a user's name", 1..=32));
        let auth = fields.get("auth").map(|node| {
            self.keyed(node, "snmp.users.auth", |word| match word {
                "sha" | "sha1" => Some(AuthProtocol::Sha1),
                "sha224" => Some(AuthProtocol::Sha224),
                "sha256" => Some(AuthProtocol::Sha256),
                "sha384" => Some(AuthProtocol::Sha384),
                "sha512" => Some(AuthProtocol::Sha512),
                _ => None,
            })
        });
        let privacy = fields.get("privacy").map(|node| {
            self.keyed(node, "snmp.users.privacy", |word| match word {
                "aes" | "aes128" => Some(PrivacyProtocol::Aes128),
                _ => None,
            })
        });
        if let (None, Some(node)) = (&auth, fields.get("privacy")) {
            self.complain(&node.path, "privacy needs `auth` too (RFC 3414 section 1.4.3)");
        }
        Some(UsmUser { name: name?, auth: auth.flatten(), privacy: privacy.flatten() })
    }

    /// A protocol with its pass phrase.
    fn keyed<P>(&mut self, node: &Node, place: &'static str, named: fn(&str) -> Option<P>) -> Option<(P, Secret)> {
        let fields = self.map(node, place)?;
        let protocol = self.required(&fields, "protocol").and_then(|node| {
            let word = self.word(node)?;
            let found = named(&word.to_lowercase().replace(['-', '_'], ""));
            if found.is_none() {
                let hint = if place.ends_with("auth") {
                    "sha1, sha224, sha256, sha384 and sha512 are known; MD5 is not: it is broken"
                } else {
                    "aes128 is known; DES is not: it is broken"
                };
                self.advise(&node.path, format!("there is no protocol `{word}` here"), hint);
            }
            found
        });
        let passphrase = self.required(&fields, "passphrase").and_then(|node| {
            let word = self.word(node)?;
            if word.len() < PASSPHRASE_MIN {
                let least = format!("a pass phrase has at least {PASSPHRASE_MIN} characters (RFC 3414 section 11.2)");
                self.complain(&node.path, least);
            }
            Some(Secret(word))
        });
        Some((protocol?, passphrase?))
    }

    fn receiver(&mut self, node: &Node, users: &[UsmUser]) -> Option<Receiver> {
        const PORT: u16 = 162;
        let fields = self.map(node, "snmp.receivers")?;
        let address = self.required(&fields, "address").and_then(|node| self.address(node, PORT));
        let (community, user) = (fields.get("community"), fields.get("user"));
        let version = fields.get("version").and_then(|node| {
            let word = self.word(node)?;
            let version = match word.trim_start_matches(['v', 'V']) {
                "1" => Some(1),
                "2c" | "2C" | "2" => Some(2),
                "3" => Some(3),
                _ => None,
            };
            if version.is_none() {
                self.complain(&node.path, format!("expected v1, v2c or v3, found `{word}`"));
            }
            version
        });
        let version = version.unwrap_or(if user.is_some() { 3 } else { 2 });
        let security = match (version, community, user) {
            (3, None, Some(node)) => self.known_user(node, users).map(|user| Security::V3 { user }),
            (3, None, None) => {
                self.complain(&fields.node.path, "SNMPv3 needs a `user`");
                None
            }
            (3, Some(node), _) => {
                self.complain(&node.path, "SNMPv3 has no communities; name a `user`");
                None
            }
            (_, _, Some(node)) => {
                self.complain(&node.path, "a `user` is SNMPv3's; this receiver has a community");
                None
            }
            (_, None, None) => {
                self.complain(&fields.node.path, "a receiver needs a `community` (v1, v2c) or a `user` (v3)");
                None
            }
            (version, Some(node), None) => self.sized(node, "a community", 1..=255).map(|community| {
                let community = Secret(community);
                if version == 1 { Security::V1 { community } } else { Security::V2c { community } }
            }),
        };
        let inform = fields.get("inform").and_then(|node| self.inform(node));
        if let (true, Some(_), Some(node)) = (version == 1, &inform, fields.get("inform")) {
            self.complain(&node.path, "SNMPv1 has no informs; use v2c or v3");
        }
        let address = address?;
        if address.ip().is_unspecified() {
            let path = fields.get("address").map_or(&fields.node.path, |node| &node.path);
            self.complain(path, format!("nothing can be sent to {address}"));
        }
        Some(Receiver { address, security: security?, inform })
    }

    /// `true`, `false`, or how.
    fn inform(&mut self, node: &Node) -> Option<Retries> {
        let default = Retries { timeout: Duration::from_secs(1), retries: 5 };
        if matches!(node.kind, Kind::Word(_)) {
            return self.truth(node)?.then_some(default);
        }
        let fields = self.map(node, "snmp.receivers.inform")?;
        let range = Duration::from_millis(100)..=Duration::from_secs(60);
        let timeout = fields.get("timeout").and_then(|node| self.duration(node, range));
        let retries = fields.get("retries").and_then(|node| self.number(node, 0..=100));
        Some(Retries { timeout: timeout.unwrap_or(default.timeout), retries: retries.unwrap_or(default.retries) })
    }

    fn responder(&mut self, node: &Node, users: &[UsmUser]) -> Option<Responder> {
        const PORT: u16 = 161;
        let fields = self.map(node, "snmp.responder")?;
        let listen = self.required(&fields, "listen");
        let listen: Vec<SocketAddr> = self
            .each(listen, |reader, node| reader.address(node, PORT))
            .into_iter()
            .map(|(address, _)| address)
            .collect();
        let communities = self.each(fields.get("communities"), Self::community);
        let mut names = HashSet::new();
        for (community, node) in &communities {
            if !names.insert(community.name.0.as_str()) {
                self.complain(&node.path, "this community is listed twice: list its networks in one entry");
            }
        }
        let access = self.each(fields.get("users"), |reader, node| reader.access(node, users));
        let mut names = HashSet::new();
        for (access, node) in &access {
            if !names.insert(access.user.as_str()) {
                self.complain(&node.path, format!("the user `{}` is listed twice", access.user));
            }
        }
        Some(Responder {
            listen,
            communities: communities.into_iter().map(|(community, _)| community).collect(),
            users: access.into_iter().map(|(access, _)| access).collect(),
        })
    }

    fn community(&mut self, node: &Node) -> Option<Community> {
        let fields = self.map(node, "snmp.responder.communities")?;
        let name = self.required(&fields, "name").and_then(|node| self.sized(node, "a community", 1..=255));
        let write = fields.get("write").and_then(|node| self.truth(node)).unwrap_or(false);
        let networks =
            self.each(fields.get("networks"), Self::network).into_iter().map(|(network, _)| network).collect();
        Some(Community { name: Secret(name?), write, networks })
    }

    fn access(&mut self, node: &Node, users: &[UsmUser]) -> Option<Access> {
        let fields = self.map(node, "snmp.responder.users")?;
        let user = self.required(&fields, "user").and_then(|node| self.known_user(node, users));
        let write = fields.get("write").and_then(|node| self.truth(node)).unwrap_or(false);
        if write && users.iter().any(|known| Some(&known.name) == user.as_ref() && known.auth.is_none()) {
            self.complain(&node.path, "a user without `auth` may not write: anybody could say to be that user");
        }
        Some(Access { user: user?, write })
    }

    fn known_user(&mut self, node: &Node, users: &[UsmUser]) -> Option<String> {
        let name = self.word(node)?;
        if users.iter().any(|user| user.name == name) {
            return Some(name);
        }
        let near = closest(&name, users.iter().map(|user| user.name.as_str()));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "users are listed under `users` of `snmp`".to_owned(),
        };
        self.advise(&node.path, format!("there is no user `{name}`"), hint);
        None
    }

    fn engine_id(&mut self, node: &Node) -> Option<Vec<u8>> {
        let word = self.word(node)?;
        let digits: Vec<char> =
            word.strip_prefix("0x").unwrap_or(&word).chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        let octets: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok(),
                _ => None,
            })
            .collect();
        let fits = |octets: &Vec<u8>| {
            (5..=32).contains(&octets.len())
                && octets.iter().any(|octet| *octet != 0)
                && octets.iter().any(|octet| *octet != 0xff)
        };
        match octets.filter(fits) {
            Some(octets) => Some(octets),
            None => {
                let message = "expected 5 to 32 octets in hexadecimal, not all of them 00 or ff (RFC 3411 section 5)";
                self.complain(&node.path, message);
                None
            }
        }
    }

    // --- words

    fn word(&mut self, node: &Node) -> Option<String> {
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
    fn sized(&mut self, node: &Node, what: &str, length: RangeInclusive<usize>) -> Option<String> {
        let word = self.word(node)?;
        if length.contains(&word.len()) {
            return Some(word);
        }
        self.complain(&node.path, format!("{what} has {} to {} octets", length.start(), length.end()));
        None
    }

    fn truth(&mut self, node: &Node) -> Option<bool> {
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

    fn number(&mut self, node: &Node, range: RangeInclusive<u32>) -> Option<u32> {
        let word = self.word(node)?;
        let found = word.replace('_', "").parse().ok().filter(|number| range.contains(number));
        if found.is_none() {
            let (from, to) = range.into_inner();
            self.complain(&node.path, format!("expected a number from {from} to {to}, found `{word}`"));
        }
        found
    }

    fn duration(&mut self, node: &Node, range: RangeInclusive<Duration>) -> Option<Duration> {
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

    fn address(&mut self, node: &Node, port: u16) -> Option<SocketAddr> {
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

    fn network(&mut self, node: &Node) -> Option<(IpAddr, u8)> {
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
    fn each<'n, T>(
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

    /// A mapping that has no other keys than `place` may have.
    fn map<'n>(&mut self, node: &'n Node, place: &'static str) -> Option<Fields<'n>> {
        let known = KEYS.iter().find(|(at, _)| *at == place).map(|(_, keys)| *keys).unwrap_or_default();
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
                let hint = match (closest(key, known.iter().copied()), belongs(key)) {
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

    fn required<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<&'n Node> {
        let found = fields.get(key);
        if found.is_none() {
            self.complain(&fields.node.path, format!("`{key}` is missing here"));
        }
        found
    }

    // --- places

    /// Notes a mistake at what `path` leads to; gives it back for a hint. Nothing when there are too many already.
    fn complain(&mut self, path: &Path, message: impl Into<String>) -> Option<&mut Diagnostic> {
        if self.diagnostics.len() >= DIAGNOSTICS_MAX {
            return None;
        }
        let span = self.span_of(tree::place(self.text, path));
        self.diagnostics.push(Diagnostic::error("settings", span, message));
        self.diagnostics.last_mut()
    }

    /// The same, with what to do about it.
    fn advise(&mut self, path: &Path, message: String, hint: impl Into<String>) {
        if let Some(diagnostic) = self.complain(path, message) {
            diagnostic.hint = Some(hint.into());
        }
    }

    fn span_of(&self, place: Option<(u32, u32)>) -> Span {
        let Some((line, column)) = place else { return Span { file: self.file, ..Span::default() } };
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
        Span { file: self.file, line, column, length: u32::try_from(length.max(1)).unwrap_or(u32::MAX) }
    }
}

/// Another mapping that has this key, if it is one only.
fn belongs(key: &str) -> Option<&'static str> {
    let mut places =
        KEYS.iter().filter(|(place, keys)| !place.is_empty() && keys.contains(&key)).map(|(place, _)| *place);
    places.next().filter(|_| places.next().is_none())
}

/// `500ms`, `1s`, `5m`, `1h`, `7d`.
fn duration(word: &str) -> Option<Duration> {
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
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests;
