//! `/metrics/compat`: the names of exporters that there are, for dashboards and rules that know only those.
//!
//! Names, labels and numbers are theirs, mistakes included, because that is what is asked for: a delay that is called a counter,
//! counters without `_total`, states as numbers. What they read from dumps and `/proc` comes from the same moment as `/metrics`.

use std::collections::{BTreeMap, BTreeSet};

use super::Build;
use super::family::{Family, Samples, Spare, counter, gauge, info};
use super::view::{Router, Service, View, running, wanted};
use crate::bus::rows::{AddressRow, Counters, Finding, ServerConfig, ServerRow, State, TrackerConfig};
use crate::check::table::Stats;
use crate::conf::model::{GroupMember, Protocol, ServiceKind};
use crate::export::look::Look;

/// Whose names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Names {
    /// mehdy/keepalived-exporter, and cafebazaar's before it.
    Mehdy,
    /// gen2brain/keepalived_exporter.
    Gen2brain,
    /// The collector `ipvs` of node_exporter.
    NodeIpvs,
}

impl Names {
    pub const ALL: [Names; 3] = [Names::Mehdy, Names::Gen2brain, Names::NodeIpvs];

    pub fn name(self) -> &'static str {
        match self {
            Names::Mehdy => "mehdy",
            Names::Gen2brain => "gen2brain",
            Names::NodeIpvs => "node_ipvs",
        }
    }

    /// Of a request's query, without the question mark: each `names=` once, several with commas or by several `names=`. None is
    /// mehdy; the error is a name that is not known.
    pub fn parse(query: Option<&str>) -> Result<Vec<Names>, String> {
        let mut found = BTreeSet::new();
        let values = query.unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("names="));
        for name in values.flat_map(|value| value.split(',')).filter(|name| !name.is_empty()) {
            let known = Names::ALL.into_iter().find(|names| names.name() == name);
            found.insert(known.ok_or_else(|| name.to_owned())?);
        }
        Ok(if found.is_empty() { vec![Names::Mehdy] } else { found.into_iter().collect() })
    }

    /// Its families.
    pub fn families(self) -> impl Iterator<Item = &'static Family> {
        let parts: [&[Family]; 2] = match self {
            Names::Mehdy => [UP, MEHDY],
            Names::Gen2brain => [UP, GEN2BRAIN],
            Names::NodeIpvs => [&[], NODE_IPVS],
        };
        parts.into_iter().flatten()
    }
}

/// Text 0.0.4 with those names, each family once.
pub fn render(look: &Look, names: &[Names]) -> Vec<u8> {
    let build = Build::this();
    let view = View::new(look, &build);
    let mut out = String::new();
    let mut seen = BTreeSet::new();
    for family in names.iter().flat_map(|names| names.families()).filter(|family| seen.insert(family.name)) {
        let mut samples = Samples::keeping(family, 0, Spare::default());
        (family.samples)(&view, &mut samples);
        let made = family.proto(samples.into_metrics());
        super::write_text(&mut out, family, &made);
    }
    out.into_bytes()
}

static UP: &[Family] = &[gauge("keepalived_up", "1 while VRRP and the checkers run, as far as they are configured.")
    .from(|view, out| out.flag(&[], is_up(view.look)))];

/// Exactly when every engine that the configuration wants runs and says so.
fn is_up(look: &Look) -> bool {
    ["vrrp", "checks"].into_iter().all(|process| !wanted(look, process) || running(look, process))
}

const MEHDY_ROUTER: &[&str] = &["iname", "intf", "vrid"];
const MEHDY_ADDRESS: &[&str] = &["iname", "intf", "vrid", "ip_address"];

static MEHDY: &[Family] = &[
    info("keepalived_exporter_build_info", "Always 1; which build of keepwatch answers.")
        .labels(&["version", "revision", "branch", "goversion"])
        .from(|view, out| out.put(&[&view.build.version, &view.build.revision, "", ""], 1.0)),
    gauge("keepalived_vrrp_state", "State for each address: 0 init, 1 backup, 2 master, 3 fault.")
        .labels(MEHDY_ADDRESS)
        .from(|view, out| of_addresses(view, out, false, |router, _| f64::from(router.row.state as u8))),
    gauge("keepalived_vrrp_excluded_state", "The same for each excluded address.")
        .labels(MEHDY_ADDRESS)
        .from(|view, out| of_addresses(view, out, true, |router, _| f64::from(router.row.state as u8))),
    // There a script of the user's says it. Here no script runs within a scrape, and it is known where the address is.
    gauge("keepalived_exporter_check_script_status", "1 while the address is here exactly when this node is master.")
        .labels(MEHDY_ADDRESS)
        .from(|view, out| {
            of_addresses(view, out, false, |router, address| {
                f64::from(u8::from(address.installed == (router.row.state == State::Master)))
            });
        }),
    counter(
        "keepalived_gratuitous_arp_delay_total",
        "Configured delay of the second burst of gratuitous ARP, seconds.",
    )
    .labels(MEHDY_ROUTER)
    .from(|view, out| {
        for router in &view.instances {
            out.count(&mehdy_labels(router), router.row.config.garp.delay.as_secs());
        }
    }),
    counter("keepalived_advertisements_received_total", "Adverts received.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.adverts_received)),
    counter("keepalived_advertisements_sent_total", "Adverts sent.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.adverts_sent)),
    counter("keepalived_become_master_total", "Times it became master.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.became_master)),
    counter("keepalived_release_master_total", "Times it stopped being master.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.released_master)),
    counter("keepalived_packet_length_errors_total", "Adverts of a wrong length.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.packet_length_errors)),
    counter("keepalived_advertisements_interval_errors_total", "Adverts with another interval.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.advert_interval_errors)),
    counter("keepalived_ip_ttl_errors_total", "Adverts with a wrong TTL.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.ttl_errors)),
    counter("keepalived_invalid_type_received_total", "Packets that are no adverts.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.invalid_type)),
    counter("keepalived_address_list_errors_total", "Adverts of other addresses.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.address_list_errors)),
    counter("keepalived_authentication_invalid_total", "Adverts with an unknown type of authentication.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.invalid_auth_type)),
    counter("keepalived_authentication_mismatch_total", "Adverts with another type of authentication.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.auth_type_mismatch)),
    counter("keepalived_authentication_failure_total", "Adverts that failed authentication.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.auth_failures)),
    counter("keepalived_priority_zero_received_total", "Adverts of priority 0 received.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.priority_zero_received)),
    counter("keepalived_priority_zero_sent_total", "Adverts of priority 0 sent.")
        .labels(MEHDY_ROUTER)
        .from(|view, out| of_routers(view, out, |counters| counters.priority_zero_sent)),
    gauge("keepalived_script_status", "Tracked script: 0 bad, 1 good.").labels(&["name"]).from(|view, out| {
        for row in view.scripts() {
            if let TrackerConfig::Script(script) = &row.config {
                let good = match row.finding {
                    Finding::Unknown => !script.init_fail,
                    finding => finding == Finding::Good,
                };
                out.flag(&[&script.name], good);
            }
        }
    }),
    gauge("keepalived_script_state", "Tracked script: 0 idle, 1 running.").labels(&["name"]).from(|view, out| {
        for row in view.scripts() {
            if let TrackerConfig::Script(script) = &row.config {
                out.flag(&[&script.name], row.runs.running);
            }
        }
    }),
];

fn mehdy_labels<'a>(router: &'a Router<'_>) -> [&'a str; 3] {
    let [name, vrid, _] = router.labels();
    [name, router.row.config.shown_interface().unwrap_or_default(), vrid]
}

fn of_routers(view: &View<'_>, out: &mut Samples, value: fn(&Counters) -> u64) {
    for router in &view.instances {
        out.count(&mehdy_labels(router), value(&router.counters));
    }
}

/// The interface is the address's own.
fn of_addresses(view: &View<'_>, out: &mut Samples, excluded: bool, value: fn(&Router<'_>, &AddressRow) -> f64) {
    for router in &view.instances {
        let [name, _, vrid] = mehdy_labels(router);
        for row in view.addresses(router) {
            if row.advertised != excluded {
                let address = row.config.address.to_string();
                out.put_first(&[name, &row.config.interface, vrid, &address], value(router, row));
            }
        }
    }
}

const GEN2BRAIN_ROUTER: &[&str] = &["name", "intf", "vrid", "state"];
const GEN2BRAIN_SERVICE: &[&str] = &["addr", "proto"];
const GEN2BRAIN_SERVER: &[&str] = &["vip", "addr", "proto"];

static GEN2BRAIN: &[Family] = &[
    counter("keepalived_vrrp_advert_rcvd", "Adverts received.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.adverts_received)),
    counter("keepalived_vrrp_advert_sent", "Adverts sent.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.adverts_sent)),
    counter("keepalived_vrrp_become_master", "Times it became master.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.became_master)),
    counter("keepalived_vrrp_release_master", "Times it stopped being master.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.released_master)),
    counter("keepalived_vrrp_packet_len_err", "Adverts of a wrong length.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.packet_length_errors)),
    counter("keepalived_vrrp_advert_interval_err", "Adverts with another interval.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.advert_interval_errors)),
    counter("keepalived_vrrp_ip_ttl_err", "Adverts with a wrong TTL.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.ttl_errors)),
    counter("keepalived_vrrp_invalid_type_rcvd", "Packets that are no adverts.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.invalid_type)),
    counter("keepalived_vrrp_addr_list_err", "Adverts of other addresses.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.address_list_errors)),
    counter("keepalived_vrrp_invalid_authtype", "Adverts with an unknown type of authentication.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.invalid_auth_type)),
    counter("keepalived_vrrp_authtype_mismatch", "Adverts with another type of authentication.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.auth_type_mismatch)),
    counter("keepalived_vrrp_auth_failure", "Adverts that failed authentication.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.auth_failures)),
    counter("keepalived_vrrp_pri_zero_rcvd", "Adverts of priority 0 received.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.priority_zero_received)),
    counter("keepalived_vrrp_pri_zero_sent", "Adverts of priority 0 sent.")
        .labels(GEN2BRAIN_ROUTER)
        .from(|view, out| of_routers_and_states(view, out, |counters| counters.priority_zero_sent)),
    counter("keepalived_lvs_vip_in_packets", "Packets from clients, by virtual server.")
        .labels(GEN2BRAIN_SERVICE)
        .from(|view, out| of_services(view, out, |stats| stats.packets_in)),
    counter("keepalived_lvs_vip_out_packets", "Packets to clients, by virtual server.")
        .labels(GEN2BRAIN_SERVICE)
        .from(|view, out| of_services(view, out, |stats| stats.packets_out)),
    counter("keepalived_lvs_vip_in_bytes", "Bytes from clients, by virtual server.")
        .labels(GEN2BRAIN_SERVICE)
        .from(|view, out| of_services(view, out, |stats| stats.bytes_in)),
    counter("keepalived_lvs_vip_out_bytes", "Bytes to clients, by virtual server.")
        .labels(GEN2BRAIN_SERVICE)
        .from(|view, out| of_services(view, out, |stats| stats.bytes_out)),
    counter("keepalived_lvs_vip_conn", "Connections, by virtual server.")
        .labels(GEN2BRAIN_SERVICE)
        .from(|view, out| of_services(view, out, |stats| stats.connections)),
    counter("keepalived_lvs_rs_in_packets", "Packets from clients, by real server.")
        .labels(GEN2BRAIN_SERVER)
        .from(|view, out| of_servers(view, out, |stats| stats.packets_in)),
    counter("keepalived_lvs_rs_out_packets", "Packets to clients, by real server.")
        .labels(GEN2BRAIN_SERVER)
        .from(|view, out| of_servers(view, out, |stats| stats.packets_out)),
    counter("keepalived_lvs_rs_in_bytes", "Bytes from clients, by real server.")
        .labels(GEN2BRAIN_SERVER)
        .from(|view, out| of_servers(view, out, |stats| stats.bytes_in)),
    counter("keepalived_lvs_rs_out_bytes", "Bytes to clients, by real server.")
        .labels(GEN2BRAIN_SERVER)
        .from(|view, out| of_servers(view, out, |stats| stats.bytes_out)),
    counter("keepalived_lvs_rs_conn", "Connections, by real server.")
        .labels(GEN2BRAIN_SERVER)
        .from(|view, out| of_servers(view, out, |stats| stats.connections)),
];

fn of_routers_and_states(view: &View<'_>, out: &mut Samples, value: fn(&Counters) -> u64) {
    for router in &view.instances {
        let [name, interface, vrid] = mehdy_labels(router);
        out.count(&[name, interface, vrid, router.row.state.name()], value(&router.counters));
    }
}

/// Address and port with a colon in between, for IPv6 too; marks and groups, which have no address there, by their names.
fn gen2brain_address(service: &Service<'_>) -> String {
    match &service.row.config.key.kind {
        ServiceKind::Address { address, port } => format!("{address}:{port}"),
        other => other.to_string(),
    }
}

/// The number of the protocol (IANA); 0 for marks.
fn protocol_number(service: &Service<'_>) -> &'static str {
    match service.row.config.key.protocol {
        Some(Protocol::Tcp) => "6",
        Some(Protocol::Udp) => "17",
        Some(Protocol::Sctp) => "132",
        None => "0",
    }
}

fn of_services(view: &View<'_>, out: &mut Samples, value: fn(&Stats) -> u64) {
    for service in &view.services {
        out.count(&[&gen2brain_address(service), protocol_number(service)], value(&service.stats));
    }
}

fn of_servers(view: &View<'_>, out: &mut Samples, value: fn(&Stats) -> u64) {
    for (service, server) in view.servers() {
        let address = format!("{}:{}", server.config.address, server.config.port);
        let values = [&*gen2brain_address(service), &address, protocol_number(service)];
        out.count(&values, value(&server.totals.stats));
    }
}

const BACKEND: &[&str] = &["local_address", "local_port", "remote_address", "remote_port", "proto", "local_mark"];

static NODE_IPVS: &[Family] = &[
    counter("node_ipvs_connections_total", "Connections, all services together.")
        .from(|view, out| of_kernel(view, out, |stats| stats.connections)),
    counter("node_ipvs_incoming_packets_total", "Packets from clients.")
        .from(|view, out| of_kernel(view, out, |stats| stats.packets_in)),
    counter("node_ipvs_outgoing_packets_total", "Packets to clients.")
        .from(|view, out| of_kernel(view, out, |stats| stats.packets_out)),
    counter("node_ipvs_incoming_bytes_total", "Bytes from clients.")
        .from(|view, out| of_kernel(view, out, |stats| stats.bytes_in)),
    counter("node_ipvs_outgoing_bytes_total", "Bytes to clients.")
        .from(|view, out| of_kernel(view, out, |stats| stats.bytes_out)),
    gauge("node_ipvs_backend_connections_active", "Active connections by service and server.")
        .labels(BACKEND)
        .from(|view, out| of_backends(view, out, |row| row.load.active)),
    gauge("node_ipvs_backend_connections_inactive", "Inactive connections by service and server.")
        .labels(BACKEND)
        .from(|view, out| of_backends(view, out, |row| row.load.inactive)),
    gauge("node_ipvs_backend_weight", "Weight by service and server.").labels(BACKEND).from(|view, out| {
        of_backends(view, out, |row| if row.alive { row.weight } else { 0 });
    }),
];

fn of_kernel(view: &View<'_>, out: &mut Samples, value: fn(&Stats) -> u64) {
    if let Some(totals) = &view.look.snapshot.checks.ipvs.totals {
        out.count(&[], value(totals));
    }
}

/// What the kernel has: real servers and sorry servers alike.
fn of_backends(view: &View<'_>, out: &mut Samples, value: fn(&ServerRow) -> u32) {
    let groups: BTreeMap<&str, &[GroupMember]> = (view.look.snapshot.checks.groups.iter())
        .map(|(_, group)| (group.config.name.as_str(), group.config.members.as_slice()))
        .collect();
    for service in &view.services {
        let (address, port, mark) = local(&service.row.config.key.kind, &groups);
        let protocol = match service.row.config.key.protocol {
            _ if !mark.is_empty() => "FWM",
            Some(Protocol::Tcp) => "TCP",
            Some(Protocol::Udp) => "UDP",
            Some(Protocol::Sctp) => "SCTP",
            None => "FWM",
        };
        let index = service.row.index;
        let rows = view.look.snapshot.checks.servers.from(&[index], false).map(|(_, row)| row);
        for row in rows.take_while(|row| row.service_index == index).filter(|row| row.installed) {
            let (remote, remote_port) = match &row.config {
                ServerConfig::Real(server) => (server.address, server.port),
                ServerConfig::Sorry(server) => (server.address, server.port),
            };
            let values = [&*address, &port, &remote.to_string(), &remote_port.to_string(), protocol, &mark];
            out.put_first(&values, value(row).into());
        }
    }
}

/// Address, port and mark of a service. A group of several is one virtual server here and many in the kernel: its counters are
/// added up, so it stands under its own name.
fn local(kind: &ServiceKind, groups: &BTreeMap<&str, &[GroupMember]>) -> (String, String, String) {
    let marked = |mark: u32| (String::new(), "0".to_owned(), format!("{mark:08X}"));
    match kind {
        ServiceKind::Address { address, port } => (address.to_string(), port.to_string(), String::new()),
        ServiceKind::Mark { mark, .. } => marked(*mark),
        ServiceKind::Group(name) => match groups.get(name.as_str()) {
            Some([GroupMember::Addresses { first, last, port }]) if first == last => {
                (first.to_string(), port.to_string(), String::new())
            }
            Some([GroupMember::Mark { mark, .. }]) => marked(*mark),
            _ => (kind.to_string(), "0".to_owned(), String::new()),
        },
    }
}
