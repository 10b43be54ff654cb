//! The section `snmp`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::super::keywords::closest;
use super::super::model::{
    Access, AuthProtocol, Community, PrivacyProtocol, QueueSettings, Receiver, Responder, Retries, Secret, Security,
    SnmpSettings, UsmUser,
};
use super::reader::Reader;
use super::tree::{Kind, Node};

/// RFC 3414 section 11.2.
const PASSPHRASE_MIN: usize = 8;

impl Reader<'_> {
    pub(super) fn snmp(&mut self, node: &Node) -> SnmpSettings {
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
}
