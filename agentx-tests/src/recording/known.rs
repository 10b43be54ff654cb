//! The recordings, and what is right where they are not. A difference has the number of `oracle/bugs.tsv` or a reason.

use super::sets::Rewrite;
use super::stage::{Link, Scenario};
use super::{At, Difference, NotYet, Recording, Right};

const fn is(object: &'static str, value: &'static str, why: &'static str) -> Difference {
    Difference { object, right: Right::Is(value), why }
}

const fn instead(object: &'static str, of: &'static str, is: &'static str, why: &'static str) -> Difference {
    Difference { object, right: Right::Instead(of, is), why }
}

const fn absent(object: &'static str, why: &'static str) -> Difference {
    Difference { object, right: Right::Absent, why }
}

/// 01-seed-vrrp: `eth0` is 10 and `eth1` is 11.
pub const SEED: Recording = Recording {
    walk: include_str!("../../oracle/01-seed-vrrp/walk-numeric.txt"),
    differences: &[GLOBAL_DIFFERENCES, VI_1_DIFFERENCES],
    not_yet: &[],
};

/// 02-seed-ipvs: the seed's virtual servers beside its virtual router, after six connections to each.
pub const SEED_IPVS: Recording = Recording {
    walk: include_str!("../../oracle/02-seed-ipvs/walk-numeric.txt"),
    differences: &[GLOBAL_DIFFERENCES, VI_1_DIFFERENCES, SEED_IPVS_DIFFERENCES],
    not_yet: &[],
};

/// 06-fwmark-quorum: without `-x`, so that nothing of its virtual router is served.
pub const FWMARK_QUORUM: Recording = Recording {
    walk: include_str!("../../oracle/06-fwmark-quorum/walk-numeric.txt"),
    differences: &[GLOBAL_DIFFERENCES, FWMARK_QUORUM_DIFFERENCES],
    not_yet: &[],
};

const GLOBAL_DIFFERENCES: &[Difference] = &[
    is(".1.3.1.0", "INTEGER: 0", "B1: no smtp_server is no address"),
    is(".1.3.2.0", "\"\"", "B1: no smtp_server is no address"),
];

const B4: &str = "B4: the second index is the ifIndex";
const SIXES: &str = "the seed's IPv6 addresses, which v2.4.3 drops, move with the instance and are not advertised";

const VI_1_DIFFERENCES: &[Difference] = &[
    is(".2.3.1.11.1", "INTEGER: 2", "B17: dont_track_primary is in the file"),
    is(".2.3.1.27.1", "INTEGER: 1", "B18: a TruthValue; this instance accepts packets to its addresses"),
    absent(".2.4.1.1.1.1", B4),
    absent(".2.4.1.1.1.2", B4),
    absent(".2.4.1.2.1.1", B4),
    absent(".2.4.1.2.1.2", B4),
    absent(".2.4.1.3.1.1", B4),
    absent(".2.4.1.3.1.2", B4),
    is(".2.4.1.1.1.10", "STRING: \"eth0\"", B4),
    is(".2.4.1.1.1.11", "STRING: \"eth1\"", B4),
    is(".2.4.1.2.1.10", "INTEGER: 0", B4),
    is(".2.4.1.2.1.11", "INTEGER: 0", B4),
    is(".2.4.1.3.1.10", "INTEGER: 2", B4),
    is(".2.4.1.3.1.11", "INTEGER: 2", B4),
    is(".2.6.1.2.1.3", "INTEGER: 2", SIXES),
    is(".2.6.1.2.1.4", "INTEGER: 2", SIXES),
    is(".2.6.1.3.1.3", "Hex-STRING: 20 01 0D B8 00 00 00 00 00 00 00 00 00 00 00 15", SIXES),
    is(".2.6.1.3.1.4", "Hex-STRING: FD 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01", SIXES),
    is(".2.6.1.5.1.3", "Gauge32: 64", SIXES),
    is(".2.6.1.5.1.4", "Gauge32: 64", SIXES),
    is(".2.6.1.6.1.3", "INTEGER: 14", SIXES),
    is(".2.6.1.6.1.4", "INTEGER: 14", SIXES),
    is(".2.6.1.7.1.3", "INTEGER: 10", SIXES),
    is(".2.6.1.7.1.4", "INTEGER: 11", SIXES),
    is(".2.6.1.8.1.3", "STRING: \"eth0\"", SIXES),
    is(".2.6.1.8.1.4", "STRING: \"eth1\"", SIXES),
    is(".2.6.1.10.1.3", "INTEGER: 1", SIXES),
    is(".2.6.1.10.1.4", "INTEGER: 1", SIXES),
    is(".2.6.1.11.1.3", "INTEGER: 2", SIXES),
    is(".2.6.1.11.1.4", "INTEGER: 2", SIXES),
];

const B14: &str = "B14: one granularity, by family";

const SEED_IPVS_DIFFERENCES: &[Difference] =
    &[absent(".3.3.1.51.1", B14), absent(".3.3.1.15.2", B14), is(".3.3.1.51.2", "Gauge32: 128", B14)];

const B7: &str = "B7: v2.4.3 dies of this column where there is a sorry server, and its recording has none of it";

const FWMARK_QUORUM_DIFFERENCES: &[Difference] = &[
    absent(".3.3.1.51.1", B14),
    absent(".3.3.1.51.3", B14),
    absent(".3.3.1.15.4", B14),
    is(".3.3.1.51.4", "Gauge32: 128", B14),
    is(".3.4.1.63.1.1", "Gauge32: 0", B7),
    is(".3.4.1.63.1.2", "Gauge32: 0", B7),
    is(".3.4.1.63.2.1", "Gauge32: 0", B7),
    is(".3.4.1.63.2.2", "Gauge32: 0", B7),
    is(".3.4.1.63.2.3", "Gauge32: 0", B7),
    is(".3.4.1.63.2.4", "Gauge32: 0", B7),
    is(".3.4.1.63.3.1", "Gauge32: 0", B7),
    is(".3.4.1.63.3.2", "Gauge32: 0", B7),
    is(".3.4.1.63.3.3", "Gauge32: 0", B7),
    is(".3.4.1.63.4.1", "Gauge32: 0", B7),
    is(".3.4.1.63.4.2", "Gauge32: 0", B7),
    is(".3.4.1.63.5.1", "Gauge32: 0", B7),
    is(".3.4.1.63.5.2", "Gauge32: 0", B7),
];


/// A recorded file of a scenario.
macro_rules! recorded {
    ($scenario:literal, $file:literal) => {
        include_str!(concat!("../../oracle/", $scenario, "/", $file))
    };
}

/// 03-sync-tracking.
pub static SYNC_TRACKING: Scenario = Scenario {
    configuration: recorded!("03-sync-tracking", "keepalived.conf"),
    peer: Some(recorded!("03-sync-tracking", "peer.conf")),
    arguments: &[],
    links: &[
        Link { name: "eth0", index: 10, mac: "02:00:00:00:03:10", addresses: &["10.0.0.1/24"], peers: &[] },
        Link { name: "eth1", index: 11, mac: "02:00:00:00:03:11", addresses: &["10.0.1.1/24"], peers: &[] },
        Link { name: "eth2", index: 12, mac: "02:00:00:00:03:12", addresses: &["10.0.2.1/24"], peers: &[] },
        Link { name: "eth3", index: 13, mac: "02:00:00:00:03:13", addresses: &["10.0.3.1/24"], peers: &[] },
        Link { name: "eth4", index: 14, mac: "02:00:00:00:03:14", addresses: &["10.0.4.1/24"], peers: &[] },
        Link { name: "bfd0", index: 15, mac: "02:00:00:00:03:15", addresses: &["10.99.0.1/24"], peers: &["10.99.0.2/24"] },
    ],
    walk: recorded!("03-sync-tracking", "walk-numeric.txt"),
    differences: &[SYNC_TRACKING_DIFFERENCES],
    sets: recorded!("03-sync-tracking", "sets.txt"),
    sets_script: recorded!("03-sync-tracking", "sets.sh"),
    rewrites: SYNC_TRACKING_REWRITES,
    traps: recorded!("03-sync-tracking", "traps.txt"),
    streams: &[
        ("\"VI_A\"", "G_ONE"),
        ("\"VI_B\"", "G_ONE"),
        ("\"G_ONE\"", "G_ONE"),
        ("\"VI_C\"", "G_TWO"),
        ("\"VI_D\"", "G_TWO"),
        ("\"G_TWO\"", "G_TWO"),
        ("\"VI_LOOSE\"", "VI_LOOSE"),
    ],
    sysor: recorded!("03-sync-tracking", "sysor.txt"),
    not_yet: SYNC_TRACKING_NOT_YET,
};

const SYNC_TRACKING_DIFFERENCES: &[Difference] = &[];
const SYNC_TRACKING_REWRITES: &[Rewrite] = &[];
const SYNC_TRACKING_NOT_YET: &[NotYet] = &[];

/// 04-routes-rules.
pub static ROUTES_RULES: Scenario = Scenario {
    configuration: recorded!("04-routes-rules", "keepalived.conf"),
    peer: None,
    arguments: &[],
    links: &[
        Link { name: "eth0", index: 10, mac: "02:00:00:00:05:10", addresses: &["192.168.50.2/24"], peers: &[] },
        Link { name: "eth1", index: 11, mac: "02:00:00:00:05:11", addresses: &["192.168.51.2/24"], peers: &[] },
    ],
    walk: recorded!("04-routes-rules", "walk-numeric.txt"),
    differences: &[ROUTES_RULES_DIFFERENCES],
    sets: recorded!("04-routes-rules", "sets.txt"),
    sets_script: recorded!("04-routes-rules", "sets.sh"),
    rewrites: ROUTES_RULES_REWRITES,
    traps: recorded!("04-routes-rules", "traps.txt"),
    streams: &[
        ("\"VI_R1\"", "VI_R1"),
        ("\"VI_R2\"", "VI_R2"),
        ("\"VI_R3\"", "VI_R3"),
    ],
    sysor: recorded!("04-routes-rules", "sysor.txt"),
    not_yet: ROUTES_RULES_NOT_YET,
};

const ROUTES_RULES_DIFFERENCES: &[Difference] = &[];
const ROUTES_RULES_REWRITES: &[Rewrite] = &[];
const ROUTES_RULES_NOT_YET: &[NotYet] = &[];

/// 05-vmac-unicast.
pub static VMAC_UNICAST: Scenario = Scenario {
    configuration: recorded!("05-vmac-unicast", "keepalived.conf"),
    peer: None,
    arguments: &["-x"],
    links: &[
        Link { name: "eth0", index: 10, mac: "02:00:00:00:07:10", addresses: &["10.31.0.1/24", "2001:db8:31::1/64"], peers: &[] },
        Link { name: "eth1", index: 11, mac: "02:00:00:00:07:11", addresses: &["10.32.0.1/24"], peers: &["10.32.0.2/24"] },
        Link { name: "eth2", index: 12, mac: "02:00:00:00:07:12", addresses: &["10.33.0.2/24"], peers: &[] },
    ],
    walk: recorded!("05-vmac-unicast", "walk-numeric.txt"),
    differences: &[VMAC_UNICAST_DIFFERENCES],
    sets: recorded!("05-vmac-unicast", "sets.txt"),
    sets_script: recorded!("05-vmac-unicast", "sets.sh"),
    rewrites: VMAC_UNICAST_REWRITES,
    traps: recorded!("05-vmac-unicast", "traps.txt"),
    streams: &[
        ("\"V4_VMAC\"", "V4_VMAC"),
        (".10.31 ", "V4_VMAC"),
        (".10.31.1 ", "V4_VMAC"),
        ("\"V6_VMAC\"", "V6_VMAC"),
        (".10.32.2 ", "V6_VMAC"),
        ("\"V4_UNI\"", "V4_UNI"),
        (".11.33.1 ", "V4_UNI"),
        ("\"V4_OWNER\"", "V4_OWNER"),
        (".12.34 ", "V4_OWNER"),
        (".12.34.1 ", "V4_OWNER"),
        ("\"V3_NOACCEPT\"", "V3_NOACCEPT"),
        (".12.35.1 ", "V3_NOACCEPT"),
    ],
    sysor: recorded!("05-vmac-unicast", "sysor.txt"),
    not_yet: VMAC_UNICAST_NOT_YET,
};

const VMAC_UNICAST_DIFFERENCES: &[Difference] = &[];
const VMAC_UNICAST_REWRITES: &[Rewrite] = &[];
const VMAC_UNICAST_NOT_YET: &[NotYet] = &[];

/// 07-v3-rfc6527.
pub static V3_RFC6527: Scenario = Scenario {
    configuration: recorded!("07-v3-rfc6527", "keepalived.conf"),
    peer: Some(recorded!("07-v3-rfc6527", "peer.conf")),
    arguments: &[],
    links: &[
        Link { name: "eth0", index: 10, mac: "02:00:00:00:09:10", addresses: &["10.51.0.1/24", "2001:db8:51::1/64"], peers: &["10.51.0.2/24"] },
        Link { name: "eth1", index: 11, mac: "02:00:00:00:09:11", addresses: &["10.52.0.1/24"], peers: &["10.52.0.2/24"] },
    ],
    walk: recorded!("07-v3-rfc6527", "walk-numeric.txt"),
    differences: &[V3_RFC6527_DIFFERENCES],
    sets: recorded!("07-v3-rfc6527", "sets.txt"),
    sets_script: recorded!("07-v3-rfc6527", "sets.sh"),
    rewrites: V3_RFC6527_REWRITES,
    traps: recorded!("07-v3-rfc6527", "traps.txt"),
    streams: &[
        (".10.51.1 ", "W4"),
        (".10.51.2 ", "W6"),
        (".11.8.1 ", "V2_TOO"),
    ],
    sysor: recorded!("07-v3-rfc6527", "sysor.txt"),
    not_yet: V3_RFC6527_NOT_YET,
};

const V3_RFC6527_DIFFERENCES: &[Difference] = &[];
const V3_RFC6527_REWRITES: &[Rewrite] = &[];
const V3_RFC6527_NOT_YET: &[NotYet] = &[];

/// 08-v2-rfc2787.
pub static V2_RFC2787: Scenario = Scenario {
    configuration: recorded!("08-v2-rfc2787", "keepalived.conf"),
    peer: Some(recorded!("08-v2-rfc2787", "peer.conf")),
    arguments: &[],
    links: &[
        Link { name: "eth0", index: 10, mac: "02:00:00:00:0b:10", addresses: &["10.61.0.1/24"], peers: &["10.61.0.2/24"] },
        Link { name: "eth1", index: 11, mac: "02:00:00:00:0b:11", addresses: &["10.62.0.1/24"], peers: &["10.62.0.2/24"] },
    ],
    walk: recorded!("08-v2-rfc2787", "walk-numeric.txt"),
    differences: &[V2_RFC2787_DIFFERENCES],
    sets: recorded!("08-v2-rfc2787", "sets.txt"),
    sets_script: recorded!("08-v2-rfc2787", "sets.sh"),
    rewrites: V2_RFC2787_REWRITES,
    traps: recorded!("08-v2-rfc2787", "traps.txt"),
    streams: &[
        (".10.61 ", "A_PASS"),
        (".10.60 ", "B_NONE"),
        (".11.62 ", "C_AH"),
    ],
    sysor: recorded!("08-v2-rfc2787", "sysor.txt"),
    not_yet: V2_RFC2787_NOT_YET,
};

const V2_RFC2787_DIFFERENCES: &[Difference] = &[];
const V2_RFC2787_REWRITES: &[Rewrite] = &[];
const V2_RFC2787_NOT_YET: &[NotYet] = &[];

/// Of the requests after the reload.
pub const SYNC_TRACKING_RELOADED: &[Rewrite] = &[];
pub const SYNC_TRACKING_RELOADED_NOT_YET: &[NotYet] = &[];
