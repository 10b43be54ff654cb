//! Every family that `/metrics` has, in the order of the page.

pub mod check;
pub mod daemon;
pub mod exporter;
pub mod ipvs;
pub mod snmp;
pub mod track;
pub mod vrrp;

use super::family::Family;

/// Sections of the page with their families.
pub static SECTIONS: [(&str, &[Family]); 10] = [
    ("Daemon, configuration, processes", daemon::FAMILIES),
    ("VRRP instances", vrrp::FAMILIES),
    ("Tracking and scripts", track::FAMILIES),
    ("Virtual servers", ipvs::SERVICES),
    ("Real servers", ipvs::SERVERS),
    ("IPVS as a whole", ipvs::WHOLE),
    ("Health checkers", check::FAMILIES),
    ("SNMP", snmp::FAMILIES),
    ("Exporters", exporter::FAMILIES),
    ("The process that serves this page", daemon::OWN_PROCESS),
];

pub fn all() -> impl Iterator<Item = &'static Family> {
    SECTIONS.iter().flat_map(|(_, families)| *families)
}
