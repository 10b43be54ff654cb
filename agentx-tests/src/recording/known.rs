//! The recordings, and what is right where they are not. A difference has the number of `oracle/bugs.tsv` or a reason.

use super::sets::Rewrite;
use super::stage::{Link, Scenario};
use super::traps::Fewer;
use super::{Difference, NotYet, Recording, Right};

pub(super) const fn is(object: &'static str, value: &'static str, why: &'static str) -> Difference {
    Difference { object, right: Right::Is(value), why }
}

pub(super) const fn instead(object: &'static str, of: &'static str, is: &'static str, why: &'static str) -> Difference {
    Difference { object, right: Right::Instead(of, is), why }
}

pub(super) const fn absent(object: &'static str, why: &'static str) -> Difference {
    Difference { object, right: Right::Absent, why }
}

/// 01-seed-vrrp: `eth0` is 10 and `eth1` is 11.
pub const SEED: Recording = Recording {
    walk: include_str!("../../oracle/01-seed-vrrp/walk-numeric.txt"),
    differences: &[GLOBAL_DIFFERENCES, VI_1_DIFFERENCES, VI_1_RFC_DIFFERENCES],
    not_yet: &[],
};

/// 02-seed-ipvs: the seed's virtual servers beside its virtual router, after six connections to each.
pub const SEED_IPVS: Recording = Recording {
    walk: include_str!("../../oracle/02-seed-ipvs/walk-numeric.txt"),
    differences: &[GLOBAL_DIFFERENCES, VI_1_DIFFERENCES, VI_1_RFC_DIFFERENCES, SEED_IPVS_DIFFERENCES],
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

const B8: &str = "B8: the number of octets comes before them";
const B11: &str = "B11: encapsulations of next hops are served";
const B12: &str = "B12: these columns of rules are served";
const B22: &str = "B22: type, labels and locator as the module says";
const B15: &str = "B15: virtual addresses of every instance are advertised";
const B16: &str = "B16: the weight of the line";
const B25: &str = "B25: counted";
const B17: &str = "B17: the interface is tracked unless dont_track_primary says otherwise";
const B18: &str = "B18: a TruthValue; VRRPv2 accepts packets to its addresses";
const B27: &str = "B27: a master's master is itself";
const B28: &str = "B28: the virtual MAC address of the standard";

/// VI_1 in the modules of the RFCs.
const VI_1_RFC_DIFFERENCES: &[Difference] = &[
    is(".1.3.6.1.2.1.68.1.3.1.2.12.1", "Hex-STRING: 00 00 5E 00 01 01", B28),
    is(".1.3.6.1.2.1.68.1.3.1.7.12.1", "IpAddress: 10.99.0.1", B27),
    is(".1.3.6.1.2.1.207.1.1.1.1.5.12.1.1", "Hex-STRING: 00 00 5E 00 01 01", B28),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.12.1.1.1.1.1.15", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.12.1.1.4.1.1.1.15", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.12.1.1.192.168.1.1", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.12.1.1.4.192.168.1.1", "INTEGER: 1", B8),
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
        Link {
            name: "bfd0",
            index: 15,
            mac: "02:00:00:00:03:15",
            addresses: &["10.99.0.1/24"],
            peers: &["10.99.0.2/24"],
        },
    ],
    walk: recorded!("03-sync-tracking", "walk-numeric.txt"),
    differences: &[SYNC_TRACKING_DIFFERENCES],
    sets: recorded!("03-sync-tracking", "sets.txt"),
    sets_script: recorded!("03-sync-tracking", "sets.sh"),
    rewrites: SYNC_TRACKING_REWRITES,
    traps: recorded!("03-sync-tracking", "traps.txt"),
    fewer: &[],
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

const SYNC_TRACKING_DIFFERENCES: &[Difference] = &[
    is(".1.3.5.1.2.1", "STRING: \"ops@example.com\"", "B23: emailTable is served"),
    is(".1.3.5.1.2.2", "STRING: \"noc@example.com\"", "B23: emailTable is served"),
    is(".1.3.5.1.2.3", "STRING: \"third.person@example.com\"", "B23: emailTable is served"),
    is(".2.3.1.11.1", "INTEGER: 1", B17),
    is(".2.3.1.11.3", "INTEGER: 1", B17),
    is(".2.3.1.11.4", "INTEGER: 1", B17),
    is(".2.3.1.11.5", "INTEGER: 2", B17),
    instead(".2.3.1.27", "INTEGER: 0", "INTEGER: 1", B18),
    absent(".2.4.1.1.2.1", B4),
    absent(".2.4.1.1.5.1", B4),
    absent(".2.4.1.1.5.2", B4),
    absent(".2.4.1.1.5.3", B4),
    is(".2.4.1.1.2.13", "STRING: \"eth3\"", B4),
    is(".2.4.1.1.5.13", "STRING: \"eth3\"", B4),
    is(".2.4.1.1.5.10", "STRING: \"eth0\"", B4),
    is(".2.4.1.1.5.11", "STRING: \"eth1\"", B4),
    absent(".2.4.1.2.2.1", B4),
    absent(".2.4.1.2.5.1", B4),
    absent(".2.4.1.2.5.2", B4),
    absent(".2.4.1.2.5.3", B4),
    is(".2.4.1.2.2.13", "INTEGER: -5", B4),
    is(".2.4.1.2.5.13", "INTEGER: 5", B4),
    is(".2.4.1.2.5.10", "INTEGER: 0", B4),
    is(".2.4.1.2.5.11", "INTEGER: -3", B4),
    absent(".2.4.1.3.2.1", B4),
    absent(".2.4.1.3.5.1", B4),
    absent(".2.4.1.3.5.2", B4),
    absent(".2.4.1.3.5.3", B4),
    is(".2.4.1.3.2.13", "INTEGER: 2", B4),
    is(".2.4.1.3.5.13", "INTEGER: 1", B4),
    is(".2.4.1.3.5.10", "INTEGER: 2", B4),
    is(".2.4.1.3.5.11", "INTEGER: 2", B4),
    absent(".2.14.1.1.1.1", B4),
    absent(".2.14.1.1.1.2", B4),
    is(".2.14.1.1.1.13", "STRING: \"eth3\"", B4),
    is(".2.14.1.1.1.14", "STRING: \"eth4\"", B4),
    absent(".2.14.1.2.1.1", B4),
    absent(".2.14.1.2.1.2", B4),
    is(".2.14.1.2.1.13", "INTEGER: 9", B4),
    is(".2.14.1.2.1.14", "INTEGER: 0", B4),
    absent(".2.14.1.3.1.1", B4),
    absent(".2.14.1.3.1.2", B4),
    is(".2.14.1.3.1.13", "INTEGER: 2", B4),
    is(".2.14.1.3.1.14", "INTEGER: 2", B4),
    is(".2.6.1.11.2.1", "INTEGER: 1", B15),
    is(".2.6.1.11.2.2", "INTEGER: 1", B15),
    is(".2.6.1.11.3.1", "INTEGER: 1", B15),
    is(".2.6.1.11.4.1", "INTEGER: 1", B15),
    is(".2.6.1.11.5.1", "INTEGER: 1", B15),
    is(".2.12.1.3.5.1", "INTEGER: 1", B16),
    is(".2.12.1.3.5.2", "INTEGER: -1", B16),
    is(".2.17.1.3.5.1", "INTEGER: 20", B16),
    is(".2.17.1.3.5.2", "INTEGER: 20", B16),
    is(".2.20.1.3.5.1", "INTEGER: 6", B16),
    is(".2.21.1.5.1", "INTEGER: 3", "B19: `param_match initial`"),
];
const SYNC_TRACKING_REWRITES: &[Rewrite] = &[
    Rewrite {
        request: "$ snmpget .1.3.6.1.4.1.9586.100.5.2.4.1.1.5.13",
        from: ".1.3.6.1.4.1.9586.100.5.2.4.1.1.5.13 = No Such Instance currently exists at this OID",
        to: ".1.3.6.1.4.1.9586.100.5.2.4.1.1.5.13 = STRING: \"eth3\"",
        why: B4,
    },
    Rewrite {
        request: "$ snmpgetnext .1.3.6.1.4.1.9586.100.5.2.4.1.1.4.1",
        from: ".1.3.6.1.4.1.9586.100.5.2.4.1.1.5.1 = STRING: \"eth3\"",
        to: ".1.3.6.1.4.1.9586.100.5.2.4.1.1.5.10 = STRING: \"eth0\"",
        why: B4,
    },
];
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
    differences: &[GLOBAL_DIFFERENCES, ROUTES_RULES_DIFFERENCES],
    sets: recorded!("04-routes-rules", "sets.txt"),
    sets_script: recorded!("04-routes-rules", "sets.sh"),
    rewrites: ROUTES_RULES_REWRITES,
    traps: recorded!("04-routes-rules", "traps.txt"),
    fewer: ROUTES_RULES_FEWER,
    streams: &[("\"VI_R1\"", "VI_R1"), ("\"VI_R2\"", "VI_R2"), ("\"VI_R3\"", "VI_R3")],
    sysor: recorded!("04-routes-rules", "sysor.txt"),
    not_yet: ROUTES_RULES_NOT_YET,
};

const ROUTES_RULES_DIFFERENCES: &[Difference] = &[
    is(".2.3.1.11.1", "INTEGER: 1", B17),
    is(".2.3.1.11.2", "INTEGER: 1", B17),
    is(".2.3.1.11.3", "INTEGER: 1", B17),
    instead(".2.3.1.27", "INTEGER: 0", "INTEGER: 1", B18),
    is(".2.6.1.11.2.1", "INTEGER: 1", B15),
    is(".2.6.1.11.2.2", "INTEGER: 1", B15),
    is(".2.6.1.11.3.1", "INTEGER: 1", B15),
    instead(".2.7.1.18", "INTEGER: 19", "INTEGER: 112", "B20: the number of keepalived in the module"),
    is(".2.7.1.25.0.5", "Gauge32: 1360", "B21: shown with advmss"),
    absent(".2.7.1.25.0.13", "B21: shown with advmss"),
    is(".2.7.1.46.3.1", "INTEGER: 1", B22),
    is(".2.7.1.46.3.2", "INTEGER: 2", B22),
    is(".2.7.1.46.3.3", "INTEGER: 4", B22),
    is(".2.7.1.46.3.4", "INTEGER: 3", B22),
    is(".2.7.1.47.3.1", "STRING: \"100\"", B22),
    is(".2.7.1.54.3.4", "Counter64: 281483566841860", B22),
    is(".2.8.1.33.0.1", "INTEGER: 112", B12),
    is(".2.8.1.33.0.2", "INTEGER: 112", B12),
    is(".2.8.1.33.0.3", "INTEGER: 112", B12),
    is(".2.8.1.33.0.4", "INTEGER: 112", B12),
    is(".2.8.1.33.0.5", "INTEGER: 112", B12),
    is(".2.8.1.33.0.6", "INTEGER: 112", B12),
    is(".2.8.1.33.0.7", "INTEGER: 112", B12),
    is(".2.8.1.33.0.8", "INTEGER: 112", B12),
    is(".2.8.1.33.0.9", "INTEGER: 112", B12),
    is(".2.8.1.33.0.10", "INTEGER: 112", B12),
    is(".2.8.1.33.0.11", "INTEGER: 112", B12),
    is(".2.8.1.33.0.12", "INTEGER: 112", B12),
    is(".2.8.1.33.0.13", "INTEGER: 112", B12),
    is(".2.8.1.33.1.1", "INTEGER: 112", B12),
    is(".2.8.1.33.2.1", "INTEGER: 112", B12),
    is(".2.8.1.34.0.12", "Gauge32: 17", B12),
    is(".2.8.1.35.0.12", "Gauge32: 10", B12),
    is(".2.8.1.36.0.12", "Gauge32: 20", B12),
    is(".2.8.1.37.0.12", "Gauge32: 20", B12),
    is(".2.8.1.38.0.12", "Gauge32: 30", B12),
    is(".2.11.1.11.3.5.1", "STRING: \"16\"", B11),
    is(".2.11.1.12.3.5.2", "Counter64: 9", B11),
    is(".2.11.1.13.3.5.2", "Hex-STRING: 0A 01 01 03", B11),
];
const ROUTES_RULES_REWRITES: &[Rewrite] = &[];
const ROUTES_RULES_FEWER: &[Fewer] = &[Fewer {
    event: "a virtual route of VI_R1 (192.168.111.0/24, tracked) is deleted behind its back",
    of: "\"VI_R1\"",
    kept: 0,
    why: "the route is put back at once, and the router stays MASTER",
}];
const ROUTES_RULES_NOT_YET: &[NotYet] = &[];

/// 05-vmac-unicast.
pub static VMAC_UNICAST: Scenario = Scenario {
    configuration: recorded!("05-vmac-unicast", "keepalived.conf"),
    peer: None,
    arguments: &["-x"],
    links: &[
        Link {
            name: "eth0",
            index: 10,
            mac: "02:00:00:00:07:10",
            addresses: &["10.31.0.1/24", "2001:db8:31::1/64"],
            peers: &[],
        },
        Link {
            name: "eth1",
            index: 11,
            mac: "02:00:00:00:07:11",
            addresses: &["10.32.0.1/24"],
            peers: &["10.32.0.2/24"],
        },
        Link { name: "eth2", index: 12, mac: "02:00:00:00:07:12", addresses: &["10.33.0.2/24"], peers: &[] },
    ],
    walk: recorded!("05-vmac-unicast", "walk-numeric.txt"),
    differences: &[GLOBAL_DIFFERENCES, VMAC_UNICAST_DIFFERENCES],
    sets: recorded!("05-vmac-unicast", "sets.txt"),
    sets_script: recorded!("05-vmac-unicast", "sets.sh"),
    rewrites: VMAC_UNICAST_REWRITES,
    traps: recorded!("05-vmac-unicast", "traps.txt"),
    fewer: &[],
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
    not_yet: &[],
};

const VMAC_UNICAST_DIFFERENCES: &[Difference] = &[
    is(".2.3.1.11.1", "INTEGER: 1", B17),
    is(".2.3.1.11.2", "INTEGER: 1", B17),
    is(".2.3.1.11.3", "INTEGER: 1", B17),
    is(".2.3.1.11.4", "INTEGER: 1", B17),
    is(".2.3.1.11.5", "INTEGER: 1", B17),
    instead(".2.3.1.27", "INTEGER: 0", "INTEGER: 1", B18),
    is(".2.6.1.11.2.1", "INTEGER: 1", B15),
    is(".2.6.1.11.2.2", "INTEGER: 1", B15),
    is(".2.6.1.11.3.1", "INTEGER: 1", B15),
    is(".2.6.1.11.4.1", "INTEGER: 1", B15),
    is(".2.6.1.11.5.1", "INTEGER: 1", B15),
    is(".1.3.6.1.2.1.68.1.3.1.7.10.31", "IpAddress: 10.31.0.1", B27),
    is(".1.3.6.1.2.1.68.1.3.1.7.12.34", "IpAddress: 10.33.0.2", B27),
    is(".1.3.6.1.2.1.68.1.3.1.2.12.34", "Hex-STRING: 00 00 5E 00 01 22", B28),
    is(".1.3.6.1.2.1.207.1.1.1.1.5.11.33.1", "Hex-STRING: 00 00 5E 00 01 21", B28),
    is(".1.3.6.1.2.1.207.1.1.1.1.5.12.34.1", "Hex-STRING: 00 00 5E 00 01 22", B28),
    is(".1.3.6.1.2.1.207.1.1.1.1.5.12.35.1", "Hex-STRING: 00 00 5E 00 01 23", B28),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.10.31.0.100", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.4.10.31.0.100", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.10.31.0.101", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.4.10.31.0.101", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.10.32.2.32.1.13.184.0.49.0.0.0.0.0.0.0.0.1.0", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.10.32.2.16.32.1.13.184.0.49.0.0.0.0.0.0.0.0.1.0", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.10.32.2.254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.50", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.10.32.2.16.254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.50", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.11.33.1.10.32.0.100", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.11.33.1.4.10.32.0.100", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.12.34.1.10.33.0.1", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.12.34.1.4.10.33.0.1", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.12.35.1.10.33.0.200", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.12.35.1.4.10.33.0.200", "INTEGER: 1", B8),
];
const VMAC_UNICAST_REWRITES: &[Rewrite] = &[
    Rewrite {
        request: "--- before",
        from: ".1.3.6.1.4.1.9586.100.5.2.3.1.27.1 = INTEGER: 0",
        to: ".1.3.6.1.4.1.9586.100.5.2.3.1.27.1 = INTEGER: 1",
        why: B18,
    },
    Rewrite {
        request: "--- before",
        from: ".1.3.6.1.4.1.9586.100.5.2.3.1.27.4 = INTEGER: 0",
        to: ".1.3.6.1.4.1.9586.100.5.2.3.1.27.4 = INTEGER: 1",
        why: B18,
    },
    Rewrite {
        request: "$ snmpget .1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.10.31.0.100",
        from: ".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.10.31.0.100 = INTEGER: 1",
        to: ".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.10.31.0.100 = No Such Instance currently exists at this OID",
        why: B8,
    },
    Rewrite {
        request: "$ snmpget .1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.4.10.31.0.100",
        from: ".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.4.10.31.0.100 = No Such Instance currently exists at this OID",
        to: ".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.4.10.31.0.100 = INTEGER: 1",
        why: B8,
    },
    Rewrite {
        request: "$ snmpgetnext .1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.10.31.0.100",
        from: ".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.10.31.0.101 = INTEGER: 1",
        to: ".1.3.6.1.2.1.207.1.1.2.1.2.10.32.2.16.32.1.13.184.0.49.0.0.0.0.0.0.0.0.1.0 = INTEGER: 1",
        why: B8,
    },
    Rewrite {
        request: "$ snmpgetnext .1.3.6.1.2.1.207.1.1.2.1.2.10.31.1",
        from: ".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.10.31.0.100 = INTEGER: 1",
        to: ".1.3.6.1.2.1.207.1.1.2.1.2.10.31.1.4.10.31.0.100 = INTEGER: 1",
        why: B8,
    },
    Rewrite {
        request: "--- effective (2)",
        from: ".1.3.6.1.4.1.9586.100.5.2.3.1.8.4 = INTEGER: 100",
        to: ".1.3.6.1.4.1.9586.100.5.2.3.1.8.4 = INTEGER: 255",
        why: "a SET of 255 is in force when it is answered",
    },
];
/// 07-v3-rfc6527.
pub static V3_RFC6527: Scenario = Scenario {
    configuration: recorded!("07-v3-rfc6527", "keepalived.conf"),
    peer: Some(recorded!("07-v3-rfc6527", "peer.conf")),
    arguments: &[],
    links: &[
        Link {
            name: "eth0",
            index: 10,
            mac: "02:00:00:00:09:10",
            addresses: &["10.51.0.1/24", "2001:db8:51::1/64"],
            peers: &["10.51.0.2/24"],
        },
        Link {
            name: "eth1",
            index: 11,
            mac: "02:00:00:00:09:11",
            addresses: &["10.52.0.1/24"],
            peers: &["10.52.0.2/24"],
        },
    ],
    walk: recorded!("07-v3-rfc6527", "walk-numeric.txt"),
    differences: &[V3_RFC6527_DIFFERENCES],
    sets: recorded!("07-v3-rfc6527", "sets.txt"),
    sets_script: recorded!("07-v3-rfc6527", "sets.sh"),
    rewrites: V3_RFC6527_REWRITES,
    traps: recorded!("07-v3-rfc6527", "traps.txt"),
    fewer: V3_RFC6527_FEWER,
    streams: &[(".10.51.1 ", "W4"), (".10.51.2 ", "W6"), (".11.8.1 ", "V2_TOO")],
    sysor: recorded!("07-v3-rfc6527", "sysor.txt"),
    not_yet: V3_RFC6527_NOT_YET,
};

const V3_RFC6527_DIFFERENCES: &[Difference] = &[
    is(".1.3.6.1.2.1.207.1.1.1.1.5.10.51.1", "Hex-STRING: 00 00 5E 00 01 33", B28),
    is(".1.3.6.1.2.1.207.1.1.1.1.5.10.51.2", "Hex-STRING: 00 00 5E 00 02 33", B28),
    is(".1.3.6.1.2.1.207.1.1.1.1.5.11.7.1", "Hex-STRING: 00 00 5E 00 01 07", B28),
    is(".1.3.6.1.2.1.207.1.1.1.1.5.11.8.1", "Hex-STRING: 00 00 5E 00 01 08", B28),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.1.10.51.0.20", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.1.4.10.51.0.20", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.1.10.51.0.100", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.1.4.10.51.0.100", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.1.10.51.0.200", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.1.4.10.51.0.200", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.2.32.1.13.184.0.81.0.0.0.0.0.0.0.0.0.10", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.2.16.32.1.13.184.0.81.0.0.0.0.0.0.0.0.0.10", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.2.32.1.13.184.0.81.0.0.0.0.0.0.0.0.0.11", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.2.16.32.1.13.184.0.81.0.0.0.0.0.0.0.0.0.11", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.2.254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.81", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.10.51.2.16.254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.81", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.11.7.1.10.52.0.100", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.11.7.1.4.10.52.0.100", "INTEGER: 1", B8),
    absent(".1.3.6.1.2.1.207.1.1.2.1.2.11.8.1.10.52.0.101", B8),
    is(".1.3.6.1.2.1.207.1.1.2.1.2.11.8.1.4.10.52.0.101", "INTEGER: 1", B8),
];
const V3_RFC6527_REWRITES: &[Rewrite] = &[
    Rewrite {
        request: "$ snmpset .1.3.6.1.2.1.207.1.1.2.1.2.10.51.1.10.51.0.100",
        from: "get: .1.3.6.1.2.1.207.1.1.2.1.2.10.51.1.10.51.0.100 = INTEGER: 1",
        to: "get: .1.3.6.1.2.1.207.1.1.2.1.2.10.51.1.10.51.0.100 = No Such Instance currently exists at this OID",
        why: B8,
    },
    Rewrite {
        request: "--- router counters",
        from: ".1.3.6.1.2.1.207.1.2.3.0 = Counter64: 0",
        to: ".1.3.6.1.2.1.207.1.2.3.0 = Counter64: 1",
        why: B25,
    },
    Rewrite {
        request: "--- router counters",
        from: ".1.3.6.1.2.1.207.1.2.5.1.4.10.51.1 = Counter64: 0",
        to: ".1.3.6.1.2.1.207.1.2.5.1.4.10.51.1 = Counter64: 1",
        why: B25,
    },
];
const V3_RFC6527_FEWER: &[Fewer] = &[Fewer { event: "W4: TTL 254, three packets", of: ".10.51.1 ", kept: 1, why: B10 }];
const B10: &str = "B10: one error of one instance is told once in 10 s";
const V3_RFC6527_NOT_YET: &[NotYet] = &[];

/// 08-v2-rfc2787.
pub static V2_RFC2787: Scenario = Scenario {
    configuration: recorded!("08-v2-rfc2787", "keepalived.conf"),
    peer: Some(recorded!("08-v2-rfc2787", "peer.conf")),
    arguments: &[],
    links: &[
        Link {
            name: "eth0",
            index: 10,
            mac: "02:00:00:00:0b:10",
            addresses: &["10.61.0.1/24"],
            peers: &["10.61.0.2/24"],
        },
        Link {
            name: "eth1",
            index: 11,
            mac: "02:00:00:00:0b:11",
            addresses: &["10.62.0.1/24"],
            peers: &["10.62.0.2/24"],
        },
    ],
    walk: recorded!("08-v2-rfc2787", "walk-numeric.txt"),
    differences: &[V2_RFC2787_DIFFERENCES],
    sets: recorded!("08-v2-rfc2787", "sets.txt"),
    sets_script: recorded!("08-v2-rfc2787", "sets.sh"),
    rewrites: V2_RFC2787_REWRITES,
    traps: recorded!("08-v2-rfc2787", "traps.txt"),
    fewer: V2_RFC2787_FEWER,
    streams: &[(".10.61 ", "A_PASS"), (".10.60 ", "B_NONE"), (".11.62 ", "C_AH")],
    sysor: recorded!("08-v2-rfc2787", "sysor.txt"),
    not_yet: V2_RFC2787_NOT_YET,
};

const V2_RFC2787_DIFFERENCES: &[Difference] = &[
    is(".1.3.6.1.2.1.68.1.3.1.2.10.60", "Hex-STRING: 00 00 5E 00 01 3C", B28),
    is(".1.3.6.1.2.1.68.1.3.1.2.10.61", "Hex-STRING: 00 00 5E 00 01 3D", B28),
    is(".1.3.6.1.2.1.68.1.3.1.2.11.62", "Hex-STRING: 00 00 5E 00 01 3E", B28),
    is(".1.3.6.1.2.1.68.1.3.1.2.11.63", "Hex-STRING: 00 00 5E 00 01 3F", B28),
    is(".1.3.6.1.2.1.68.1.3.1.7.10.60", "IpAddress: 10.61.0.1", B27),
    is(".1.3.6.1.2.1.68.1.3.1.7.10.61", "IpAddress: 10.61.0.1", B27),
    is(".1.3.6.1.2.1.68.1.3.1.7.11.62", "IpAddress: 10.62.0.1", B27),
];
const V2_RFC2787_REWRITES: &[Rewrite] = &[
    Rewrite {
        request: "--- statistics",
        from: ".1.3.6.1.2.1.68.2.3.0 = Counter32: 0",
        to: ".1.3.6.1.2.1.68.2.3.0 = Counter32: 2",
        why: B25,
    },
    Rewrite {
        request: "--- statistics",
        from: ".1.3.6.1.2.1.68.2.4.1.3.10.61 = Counter32: 0",
        to: ".1.3.6.1.2.1.68.2.4.1.3.10.61 = Counter32: 1",
        why: B25,
    },
    Rewrite {
        request: "--- operations",
        from: ".1.3.6.1.2.1.68.1.3.1.2.10.60 = Hex-STRING: 02 00 00 00 0B 10",
        to: ".1.3.6.1.2.1.68.1.3.1.2.10.60 = Hex-STRING: 00 00 5E 00 01 3C",
        why: B28,
    },
    Rewrite {
        request: "--- operations",
        from: ".1.3.6.1.2.1.68.1.3.1.2.10.61 = Hex-STRING: 02 00 00 00 0B 10",
        to: ".1.3.6.1.2.1.68.1.3.1.2.10.61 = Hex-STRING: 00 00 5E 00 01 3D",
        why: B28,
    },
    Rewrite {
        request: "--- operations",
        from: ".1.3.6.1.2.1.68.1.3.1.2.11.62 = Hex-STRING: 02 00 00 00 0B 11",
        to: ".1.3.6.1.2.1.68.1.3.1.2.11.62 = Hex-STRING: 00 00 5E 00 01 3E",
        why: B28,
    },
    Rewrite {
        request: "--- operations",
        from: ".1.3.6.1.2.1.68.1.3.1.2.11.63 = Hex-STRING: 02 00 00 00 0B 11",
        to: ".1.3.6.1.2.1.68.1.3.1.2.11.63 = Hex-STRING: 00 00 5E 00 01 3F",
        why: B28,
    },
    Rewrite {
        request: "--- operations",
        from: ".1.3.6.1.2.1.68.1.3.1.7.10.60 = IpAddress: 0.0.0.0",
        to: ".1.3.6.1.2.1.68.1.3.1.7.10.60 = IpAddress: 10.61.0.1",
        why: B27,
    },
    Rewrite {
        request: "--- operations",
        from: ".1.3.6.1.2.1.68.1.3.1.7.11.62 = IpAddress: 0.0.0.0",
        to: ".1.3.6.1.2.1.68.1.3.1.7.11.62 = IpAddress: 10.62.0.1",
        why: B27,
    },
    Rewrite {
        request: "--- operations",
        from: ".1.3.6.1.2.1.68.1.3.1.7.10.61 = IpAddress: 10.61.0.2",
        to: ".1.3.6.1.2.1.68.1.3.1.7.10.61 = IpAddress: 10.61.0.1",
        why: B27,
    },
];
const V2_RFC2787_FEWER: &[Fewer] =
    &[Fewer { event: "A_PASS: wrong password (authFailure), two packets", of: ".10.61 ", kept: 1, why: B10 }];
const V2_RFC2787_NOT_YET: &[NotYet] = &[];

/// Of the requests after the reload.
pub const SYNC_TRACKING_RELOADED: &[Rewrite] = &[];
pub const SYNC_TRACKING_RELOADED_NOT_YET: &[NotYet] = &[];
