//! File names of objects, and the list that says which file is whose.

use std::fmt::Write;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::layout::{Layout, Object};
use crate::conf::model::RrdProfile;
use crate::export::graph::GraphKind;

/// The list of files, in their directory.
pub const NAMES: &str = "names.tsv";

/// Longest part of a path that is made of a name, octets; what is longer ends in a hash.
const NAME_MAX: usize = 200;

/// Everything but `[A-Za-z0-9._-]` becomes `%XX`, as does a dot at the front, so that no name hides a file or leaves the
/// directory.
pub fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && at > 0);
        if plain {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    if encoded.is_empty() {
        // Encoded names have a digit behind each per cent sign.
        return "%".to_owned();
    }
    if encoded.len() <= NAME_MAX {
        return encoded;
    }
    let hash = Sha256::digest(name.as_bytes());
    let mut cut = NAME_MAX;
    // Not within a `%XX`.
    if let Some(at) = encoded.get(cut - 2..cut).and_then(|end| end.find('%')) {
        cut = cut - 2 + at;
    }
    encoded.truncate(cut);
    encoded.push('-');
    for byte in hash.iter().take(8) {
        let _ = write!(encoded, "{byte:02x}");
    }
    encoded
}

/// The file of an object below the directory, as all profiles but collectd's have it.
pub fn path(object: &Object) -> String {
    match (object.kind, object.parts()) {
        (GraphKind::Vrrp, _) => format!("vrrp/{}.rrd", encode(&object.name)),
        (GraphKind::Vs, _) => format!("vs/{}.rrd", service(&object.name)),
        (GraphKind::Rs, Some((of, server))) => format!("{}/{}.rrd", servers_directory(of), encode(server)),
        (GraphKind::Rs, None) => format!("rs/{}.rrd", encode(&object.name)),
        (GraphKind::Ipvs, _) => "ipvs.rrd".to_owned(),
        (GraphKind::Daemon, _) => "daemon.rrd".to_owned(),
    }
}

/// The directory of a virtual server's real servers.
pub fn servers_directory(of: &str) -> String {
    format!("rs/{}", service(of))
}

/// `PROTO-VS` of `VS/PROTO`.
fn service(name: &str) -> String {
    match protocol(name) {
        (address, Some(protocol)) => encode(&format!("{protocol}-{address}")),
        (address, None) => encode(address),
    }
}

fn protocol(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('/') {
        Some((address, protocol @ ("tcp" | "udp" | "sctp" | "inet6"))) => (address, Some(protocol)),
        _ => (name, None),
    }
}

/// `VIP_TCPport`, as collectd's plugin names its instances. It knows IPv4 only; others are named in the same spirit.
pub fn collectd_service(name: &str) -> String {
    let (address, protocol) = protocol(name);
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    match protocol {
        Some(protocol) => encode(&format!("{}_{}{port}", host.trim_matches(['[', ']']), protocol.to_uppercase())),
        None => encode(address),
    }
}

/// `RS_port`.
pub fn collectd_server(name: &str) -> String {
    match name.rsplit_once(':') {
        Some((host, port)) => encode(&format!("{}_{port}", host.replace(['[', ']'], ""))),
        None => encode(name),
    }
}

/// What [`NAMES`] says: how files are laid out, and whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub layout: Layout,
    /// Of rrdcached, when it writes.
    pub cached: Option<String>,
    /// Paths below the directory, with their objects.
    pub files: Vec<(String, Object)>,
}

impl Names {
    /// The lines that stand at the front.
    pub fn head(layout: &Layout, cached: Option<&str>) -> String {
        let profile = PROFILES.iter().find(|(_, profile)| *profile == layout.profile).map_or("", |(name, _)| name);
        let mut text = format!("#profile\t{profile}\n#host\t{}\n", escape(&layout.host));
        if let Some(cached) = cached {
            let _ = writeln!(text, "#cached\t{}", escape(cached));
        }
        text
    }

    /// The line of one file.
    pub fn line(path: &str, object: &Object) -> String {
        format!("{}\t{}\t{}\n", escape(path), object.kind.name(), escape(&object.name))
    }

    /// The whole file. What cannot be understood is left out.
    pub fn parse(text: &str) -> Names {
        let layout = Layout { profile: RrdProfile::Standard, host: String::new() };
        let mut names = Names { layout, cached: None, files: Vec::new() };
        for line in text.lines() {
            let mut words = line.split('\t');
            match (words.next(), words.next(), words.next()) {
                (Some("#profile"), Some(name), None) => {
                    let known = PROFILES.iter().find(|(known, _)| *known == name);
                    names.layout.profile = known.map_or(RrdProfile::Standard, |(_, profile)| *profile);
                }
                (Some("#host"), Some(host), None) => names.layout.host = unescape(host),
                (Some("#cached"), Some(address), None) => names.cached = Some(unescape(address)),
                (Some(path), Some(kind), Some(name)) => {
                    if let Some(kind) = GraphKind::from_name(kind) {
                        names.files.push((unescape(path), Object::new(kind, unescape(name))));
                    }
                }
                _ => {}
            }
        }
        names
    }

    /// Objects, each once, in the order of their kinds and names.
    pub fn objects(&self) -> Vec<Object> {
        let mut objects: Vec<Object> = self.files.iter().map(|(_, object)| object.clone()).collect();
        objects.sort();
        objects.dedup();
        objects
    }
}

const PROFILES: [(&str, RrdProfile); 5] = [
    ("standard", RrdProfile::Standard),
    ("small", RrdProfile::Small),
    ("collectd", RrdProfile::Collectd),
    ("munin", RrdProfile::Munin),
    ("librenms", RrdProfile::Librenms),
];

/// The first of `path`, `path.2`, `path.3`, ...: a file that is not of this layout stays as it is.
pub fn successor(path: &str, number: u32) -> PathBuf {
    if number <= 1 { PathBuf::from(path) } else { PathBuf::from(format!("{path}.{number}")) }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('t') => plain.push('\t'),
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                Some(other) => plain.push(other),
                None => {}
            },
            (other, false) => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_readable_where_they_can_be() {
        for (kind, name, expected) in [
            (GraphKind::Vrrp, "VI_1", "vrrp/VI_1.rrd"),
            (GraphKind::Vrrp, "../../etc/passwd", "vrrp/%2E.%2F..%2Fetc%2Fpasswd.rrd"),
            (GraphKind::Vrrp, "é ", "vrrp/%C3%A9%20.rrd"),
            (GraphKind::Vrrp, "", "vrrp/%.rrd"),
            (GraphKind::Vs, "[2001:db8::1]:443/udp", "vs/udp-%5B2001%3Adb8%3A%3A1%5D%3A443.rrd"),
            (GraphKind::Vs, "fwmark:47", "vs/fwmark%3A47.rrd"),
            (GraphKind::Vs, "fwmark:47/inet6", "vs/inet6-fwmark%3A47.rrd"),
            (GraphKind::Vs, "group:a/b/tcp", "vs/tcp-group%3Aa%2Fb.rrd"),
            (GraphKind::Rs, "group:a,b/tcp,10.0.0.1:80", "rs/tcp-group%3Aa%2Cb/10.0.0.1%3A80.rrd"),
            (GraphKind::Ipvs, "", "ipvs.rrd"),
            (GraphKind::Daemon, "", "daemon.rrd"),
        ] {
            assert_eq!(path(&Object::new(kind, name)), expected);
        }
    }

    #[test]
    fn long_names_that_begin_alike_have_files_of_their_own() {
        let (one, other) = (format!("{}1", "é".repeat(300)), format!("{}2", "é".repeat(300)));
        let (one, other) = (encode(&one), encode(&other));
        assert_ne!(one, other);
        assert!(one.len() <= NAME_MAX + 17 && one[..198] == other[..198], "{one}");
    }

    proptest! {
        #[test]
        fn every_name_stays_in_its_directory_and_is_told_from_others(one in ".{0,300}", other in ".{0,300}") {
            let encoded = encode(&one);
            prop_assert!(encoded.len() <= NAME_MAX + 17 && !encoded.starts_with('.'));
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-%".contains(&byte)));
            prop_assert_eq!(one == other, encoded == encode(&other));
        }

        #[test]
        fn the_list_says_again_what_it_was_told(name in ".{0,40}", host in ".{0,40}", cached in proptest::option::of(".{0,40}")) {
            let layout = Layout { profile: RrdProfile::Munin, host };
            let object = Object::new(GraphKind::Vrrp, name);
            let text = Names::head(&layout, cached.as_deref()) + &Names::line("vrrp/x.rrd", &object);
            let names = Names::parse(&text);
            prop_assert_eq!(names.layout, layout);
            prop_assert_eq!(names.cached, cached);
            prop_assert_eq!(names.files, vec![("vrrp/x.rrd".to_owned(), object)]);
        }
    }
}
