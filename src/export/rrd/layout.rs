//! Files, data sources and archives, by profile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names;
use crate::conf::model::RrdProfile;
use crate::export::graph::GraphKind;

/// What a file is kept of, by the name that a [`GraphRequest`](crate::export::graph::GraphRequest) has for it. There is one
/// `ipvs` and one `daemon`, whose names are empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Object {
    pub kind: GraphKind,
    pub name: String,
}

impl Object {
    pub fn new(kind: GraphKind, name: impl Into<String>) -> Object {
        Object { kind, name: name.into() }
    }

    /// A real server of a virtual server; the sorry server is `sorry:ADDRESS:PORT`.
    pub fn server(service: &str, server: &str) -> Object {
        Object::new(GraphKind::Rs, format!("{service},{server}"))
    }

    /// The two parts of a real server's name.
    pub fn parts(&self) -> Option<(&str, &str)> {
        self.name.rsplit_once(',').filter(|_| self.kind == GraphKind::Rs)
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.name())?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        Ok(())
    }
}

impl GraphKind {
    pub const ALL: [GraphKind; 5] = [GraphKind::Vrrp, GraphKind::Vs, GraphKind::Rs, GraphKind::Ipvs, GraphKind::Daemon];

    pub fn name(self) -> &'static str {
        match self {
            GraphKind::Vrrp => "vrrp",
            GraphKind::Vs => "vs",
            GraphKind::Rs => "rs",
            GraphKind::Ipvs => "ipvs",
            GraphKind::Daemon => "daemon",
        }
    }

    pub fn from_name(name: &str) -> Option<GraphKind> {
        GraphKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How librrd makes rates of what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DsType {
    Gauge,
    /// Not COUNTER, which takes a counter that begins anew for a wrap of 32 bits: a rate of 4e8 that never was. Below the
    /// minimum, 0, DERIVE leaves an unknown.
    Derive,
}

impl DsType {
    pub fn name(self) -> &'static str {
        match self {
            DsType::Gauge => "GAUGE",
            DsType::Derive => "DERIVE",
        }
    }
}

/// One data source. The minimum is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ds {
    /// At most 19 characters of `[a-zA-Z0-9_]`.
    pub name: &'static str,
    pub kind: DsType,
    pub max: Option<u32>,
}

impl Ds {
    /// As `rrdtool create` and rrdcached's CREATE take it.
    pub fn argument(&self, heartbeat: u32) -> String {
        let kind = self.kind.name();
        let max = self.max.map_or_else(|| "U".to_owned(), |max| max.to_string());
        format!("DS:{}:{kind}:{heartbeat}:0:{max}", self.name)
    }
}

const fn gauge(name: &'static str, max: Option<u32>) -> Ds {
    Ds { name, kind: DsType::Gauge, max }
}

const fn derive(name: &'static str) -> Ds {
    Ds { name, kind: DsType::Derive, max: None }
}

const VRRP: [Ds; 9] = [
    // As the MIB numbers states.
    gauge("state", Some(4)),
    gauge("master", Some(1)),
    gauge("priority", Some(255)),
    derive("adv_sent"),
    derive("adv_rcvd"),
    derive("adv_dropped"),
    derive("transitions"),
    gauge("addr_missing", None),
    gauge("other_master", Some(1)),
];

const VS: [Ds; 8] = [
    derive("conns"),
    derive("in_pkts"),
    derive("out_pkts"),
    derive("in_bytes"),
    derive("out_bytes"),
    gauge("rs_up", None),
    gauge("weight_up", None),
    gauge("quorum_met", Some(1)),
];

const RS: [Ds; 11] = [
    derive("conns"),
    derive("in_pkts"),
    derive("out_pkts"),
    derive("in_bytes"),
    derive("out_bytes"),
    gauge("active", None),
    gauge("inactive", None),
    gauge("persistent", None),
    gauge("weight", Some(65535)),
    gauge("up", Some(1)),
    gauge("check_ms", None),
];

const IPVS: [Ds; 5] = [derive("conns"), derive("in_pkts"), derive("out_pkts"), derive("in_bytes"), derive("out_bytes")];

const DAEMON: [Ds; 5] = [
    gauge("adv_delay_max_ms", None),
    gauge("loop_lag_max_ms", None),
    gauge("agentx_up", Some(1)),
    derive("scrapes"),
    gauge("rss_bytes", None),
];

/// What is recorded of an object, in the order in which an [`Update`](super::wire::Update) has its values.
pub fn sources(kind: GraphKind) -> &'static [Ds] {
    match kind {
        GraphKind::Vrrp => &VRRP,
        GraphKind::Vs => &VS,
        GraphKind::Rs => &RS,
        GraphKind::Ipvs => &IPVS,
        GraphKind::Daemon => &DAEMON,
    }
}

/// Consolidation functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cf {
    Average,
    Min,
    Max,
    Last,
}

impl Cf {
    pub fn name(self) -> &'static str {
        match self {
            Cf::Average => "AVERAGE",
            Cf::Min => "MIN",
            Cf::Max => "MAX",
            Cf::Last => "LAST",
        }
    }
}

/// A round-robin archive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Archive {
    pub cf: Cf,
    /// Share of unknown steps that still gives a known value.
    pub xff: f64,
    /// Steps in a row.
    pub steps: u32,
    pub rows: u32,
}

impl Archive {
    pub fn argument(&self) -> String {
        format!("RRA:{}:{}:{}:{}", self.cf.name(), self.xff, self.steps, self.rows)
    }
}

/// What a file is, as far as it matters to those who write to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Existing {
    /// Seconds.
    pub step: Option<u32>,
    /// Seconds since 1970.
    pub last_update: Option<u64>,
    /// Names with types, in their order.
    pub sources: Vec<(String, String)>,
}

impl Existing {
    /// Of what `rrdtool info` says, keys with values.
    pub fn new(items: impl Iterator<Item = (String, String)>) -> Existing {
        let mut existing = Existing::default();
        let mut sources: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for (key, value) in items {
            match key.as_str() {
                "step" => existing.step = value.parse().ok(),
                "last_update" => existing.last_update = value.parse().ok(),
                _ => {
                    let ds = key.strip_prefix("ds[").and_then(|rest| rest.split_once("]."));
                    match ds {
                        Some((name, "index")) => {
                            sources.entry(name.to_owned()).or_default().0 = value.parse().unwrap_or(usize::MAX);
                        }
                        Some((name, "type")) => sources.entry(name.to_owned()).or_default().1 = value,
                        _ => {}
                    }
                }
            }
        }
        let mut sources: Vec<(String, (usize, String))> = sources.into_iter().collect();
        sources.sort_by_key(|(_, (index, _))| *index);
        existing.sources = sources.into_iter().map(|(name, (_, kind))| (name, kind)).collect();
        existing
    }

    /// Why this file is not one with that step and these data sources; `None`: it is.
    pub fn differs(&self, step: u32, wanted: &[Ds]) -> Option<String> {
        if self.step != Some(step) {
            return Some(format!("its step is {} s instead of {step} s", self.step.unwrap_or(0)));
        }
        let same = self.sources.len() == wanted.len()
            && self.sources.iter().zip(wanted).all(|((name, kind), ds)| name == ds.name && kind == ds.kind.name());
        if same {
            return None;
        }
        let have: Vec<&str> = self.sources.iter().map(|(name, _)| name.as_str()).collect();
        Some(format!("it has other data sources ({})", have.join(", ")))
    }
}

/// One file, and which values of its object go into it: data sources with their places in [`sources`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Below the directory.
    pub path: String,
    pub sources: Vec<(Ds, usize)>,
}

/// What decides about files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub profile: RrdProfile,
    /// Of this host, which collectd has in its paths.
    pub host: String,
}

impl Layout {
    /// Seconds between two updates.
    pub fn step(&self) -> u32 {
        step(self.profile)
    }

    /// Seconds after which a value that was not followed by another is unknown.
    pub fn heartbeat(&self) -> u32 {
        2 * self.step()
    }

    pub fn archives(&self) -> Vec<Archive> {
        archives(self.profile)
    }

    /// For how long, from now, there is a value for every step, seconds.
    pub fn finest_span(&self) -> u64 {
        let fine = self.archives().into_iter().find(|archive| archive.cf == Cf::Average && archive.steps == 1);
        fine.map_or(0, |archive| u64::from(archive.rows) * u64::from(self.step()))
    }

    /// The files of an object.
    pub fn files(&self, object: &Object) -> Vec<File> {
        let all = sources(object.kind).iter().copied().enumerate().map(|(at, ds)| (ds, at));
        let (Some(stats), RrdProfile::Collectd) = (self.collectd(object), self.profile) else {
            return vec![File { path: names::path(object), sources: all.collect() }];
        };
        // What collectd's plugin has no file for is kept in ours.
        let more: Vec<(Ds, usize)> = all.filter(|(_, at)| *at >= IPVS.len()).collect();
        stats.into_iter().chain([File { path: names::path(object), sources: more }]).collect()
    }

    /// Where to read one data source of an object: the file and its name there.
    pub fn find(&self, object: &Object, ds: &str) -> Option<(String, &'static str)> {
        let wanted = sources(object.kind).iter().position(|source| source.name == ds)?;
        self.files(object).into_iter().find_map(|file| {
            let (source, _) = *file.sources.iter().find(|(_, at)| *at == wanted)?;
            Some((file.path, source.name))
        })
    }

    /// The directory that has a file for each real server of a virtual server.
    pub fn servers_directory(&self, service: &str) -> String {
        names::servers_directory(service)
    }

    /// The files of collectd's ipvs plugin: connections, packets and octets.
    fn collectd(&self, object: &Object) -> Option<Vec<File>> {
        let (service, server) = match object.kind {
            GraphKind::Vs => (object.name.as_str(), None),
            GraphKind::Rs => object.parts().map(|(service, server)| (service, Some(server)))?,
            GraphKind::Vrrp | GraphKind::Ipvs | GraphKind::Daemon => return None,
        };
        let directory = format!("{}/ipvs-{}", names::encode(&self.host), names::collectd_service(service));
        let suffix = server.map(|server| format!("-{}", names::collectd_server(server))).unwrap_or_default();
        let file =
            |name: &str, sources: Vec<(Ds, usize)>| File { path: format!("{directory}/{name}{suffix}.rrd"), sources };
        Some(vec![
            file("connections", vec![(derive("value"), 0)]),
            file("if_packets", vec![(derive("rx"), 1), (derive("tx"), 2)]),
            file("if_octets", vec![(derive("rx"), 3), (derive("tx"), 4)]),
        ])
    }
}

/// Seconds between two updates.
pub fn step(profile: RrdProfile) -> u32 {
    match profile {
        RrdProfile::Standard | RrdProfile::Small | RrdProfile::Collectd => 10,
        RrdProfile::Munin | RrdProfile::Librenms => 300,
    }
}

fn archives(profile: RrdProfile) -> Vec<Archive> {
    let each = |cf: Cf, xff: f64, spans: &[(u32, u32)]| -> Vec<Archive> {
        spans.iter().map(|&(steps, rows)| Archive { cf, xff, steps, rows }).collect()
    };
    /// A day of 10 s, a week of 5 min, a month of 30 min, a year of 6 h.
    const STANDARD: [(u32, u32); 4] = [(1, 8640), (30, 2016), (180, 1488), (2160, 1464)];
    /// An hour, a day, a week, 90 days.
    const SMALL: [(u32, u32); 4] = [(1, 360), (30, 288), (180, 336), (2160, 366)];
    /// What collectd makes of its five spans with 1200 rows each at 10 s.
    const COLLECTD: [(u32, u32); 5] = [(1, 1200), (7, 1235), (50, 1210), (223, 1202), (2635, 1201)];
    const MUNIN: [(u32, u32); 4] = [(1, 576), (6, 432), (24, 540), (288, 450)];
    const LIBRENMS: [(u32, u32); 4] = [(1, 2016), (6, 1440), (24, 1440), (288, 1440)];
    match profile {
        // The extremes of single steps are the averages.
        RrdProfile::Standard => {
            let mut all = each(Cf::Average, 0.5, &STANDARD);
            all.extend(each(Cf::Max, 0.5, &STANDARD[1..]));
            all.extend(each(Cf::Min, 0.5, &STANDARD[1..]));
            all
        }
        RrdProfile::Small => {
            let mut all = each(Cf::Average, 0.5, &SMALL);
            all.extend(each(Cf::Max, 0.5, &SMALL[1..]));
            all
        }
        RrdProfile::Collectd => COLLECTD
            .iter()
            .flat_map(|span| [Cf::Average, Cf::Min, Cf::Max].map(|cf| (cf, *span)))
            .map(|(cf, (steps, rows))| Archive { cf, xff: 0.1, steps, rows })
            .collect(),
        RrdProfile::Munin => [Cf::Average, Cf::Min, Cf::Max].into_iter().flat_map(|cf| each(cf, 0.5, &MUNIN)).collect(),
        RrdProfile::Librenms => {
            let mut all: Vec<Archive> =
                [Cf::Average, Cf::Min, Cf::Max].into_iter().flat_map(|cf| each(cf, 0.5, &LIBRENMS)).collect();
            all.extend(each(Cf::Last, 0.5, &LIBRENMS[..1]));
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(profile: RrdProfile) -> Layout {
        Layout { profile, host: "lb1.example".to_owned() }
    }

    #[test]
    fn every_name_of_a_data_source_is_one_that_librrd_takes() {
        for kind in GraphKind::ALL {
            for ds in sources(kind) {
                assert!(ds.name.len() <= 19, "{}", ds.name);
                assert!(ds.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{}", ds.name);
            }
        }
    }

    #[test]
    fn a_virtual_server_has_the_files_of_its_profile() {
        let object = Object::new(GraphKind::Vs, "192.0.2.10:80/tcp");
        let files = layout(RrdProfile::Standard).files(&object);
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].path, "vs/tcp-192.0.2.10%3A80.rrd");
        assert_eq!(files[0].sources.len(), VS.len());
        let files = layout(RrdProfile::Collectd).files(&object);
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let expected = [
            "lb1.example/ipvs-192.0.2.10_TCP80/connections.rrd",
            "lb1.example/ipvs-192.0.2.10_TCP80/if_packets.rrd",
            "lb1.example/ipvs-192.0.2.10_TCP80/if_octets.rrd",
            "vs/tcp-192.0.2.10%3A80.rrd",
        ];
        assert_eq!(paths, expected);
        assert_eq!(files.iter().map(|file| file.sources.len()).sum::<usize>(), VS.len());
    }

    #[test]
    fn a_real_server_of_collectds_profile_is_found_where_collectd_has_it() {
        let object = Object::server("192.0.2.10:80/tcp", "10.0.0.1:8080");
        let layout = layout(RrdProfile::Collectd);
        let octets = "lb1.example/ipvs-192.0.2.10_TCP80/if_octets-10.0.0.1_8080.rrd";
        assert_eq!(layout.find(&object, "out_bytes"), Some((octets.to_owned(), "tx")));
        let ours = "rs/tcp-192.0.2.10%3A80/10.0.0.1%3A8080.rrd";
        assert_eq!(layout.find(&object, "check_ms"), Some((ours.to_owned(), "check_ms")));
        assert_eq!(layout.find(&object, "rs_up"), None);
    }

    #[test]
    fn profiles_span_what_they_promise() {
        for (profile, days) in [
            (RrdProfile::Standard, 366),
            (RrdProfile::Small, 90),
            (RrdProfile::Collectd, 366),
            (RrdProfile::Munin, 450),
            (RrdProfile::Librenms, 1440),
        ] {
            let layout = layout(profile);
            let longest = layout.archives().iter().map(|archive| archive.steps * archive.rows).max().unwrap();
            assert!(u64::from(longest) * u64::from(layout.step()) >= days * 86_400, "{profile:?}");
        }
        assert_eq!(layout(RrdProfile::Standard).finest_span(), 86_400);
    }
}
