//! The seed's configuration as the vrrp process would report it, for tests; and lines as `snmpwalk -One` prints them.

pub(crate) mod check;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::bus::msg::{Feed, Generation, Source};
use crate::bus::rows::{
    AddressRow, Counters, InstanceRow, MasterReason, ProtocolError, Reason, RouterCounters, Row, RowKey, State,
    TrackedInterfaceRow,
};
use crate::clock::WallTime;
use crate::conf::model::{
    Address, AddressFlags, Auth, Family, Garp, Global, InitialState, Instance, Location, Mail, Notify,
    OldUnicastChecksum, Preempt, Priority, Snmp, Transport, Version, Vrid,
};
use crate::mib::table::{Look, Moment};
use crate::store::{Applied, Snapshot, Store};
use crate::wire::value::{Value, VarBind};

/// The snapshot, seen at a moment that does not matter.
pub(crate) fn look(snapshot: &Snapshot) -> Look<'_> {
    Look { snapshot, moment: Moment::default() }
}

pub(crate) fn global() -> Global {
    Global {
        router_id: "L1".to_owned(),
        mail: Mail { faults: true, connect_timeout_s: 30, ..Mail::default() },
        snmp: snmp(),
        ..Global::default()
    }
}

/// KEEPALIVED-MIB and its traps.
pub(crate) fn snmp() -> Snmp {
    Snmp { vrrp: true, checker: true, traps: true, ..Snmp::default() }
}

/// Everything there is: `-x` and `enable_traps`.
pub(crate) fn snmp_all() -> Snmp {
    Snmp { rfcv2: true, rfcv3: true, ..snmp() }
}

pub(crate) fn instance(name: &str) -> Instance {
    Instance {
        name: name.into(),
        location: Location::default(),
        family: Family::V4,
        version: Version::V2,
        vrid: Vrid::new(1).unwrap(),
        interface: Some("eth2".to_owned()),
        vmacs: Default::default(),
        vrf: None,
        initial_state: InitialState::Master,
        priority: Priority::new(150).unwrap(),
        advert_interval: Duration::from_secs(2),
        down_timer_adverts: 3,
        addresses: vec![],
        excluded: vec![],
        preempt: Preempt::After(Duration::ZERO),
        accept: true,
        strict: false,
        auth: Some(Auth::Pass(*b"blibli\0\0")),
        hmac: false,
        source: None,
        transport: Transport::Multicast { group: Ipv4Addr::new(224, 0, 0, 18).into() },
        track_primary: false,
        track_source: false,
        tracked_interfaces: vec![],
        tracks: vec![],
        routes: vec![],
        rules: vec![],
        garp: Garp {
            delay: Duration::from_secs(5),
            repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_delay: Duration::from_secs(5),
            lower_prio_repeat: 5,
            interval: Duration::ZERO,
            gna_interval: Duration::ZERO,
            extra_interval: Duration::ZERO,
            extra_all: false,
        },
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        owner_ignore_adverts: false,
        skip_check_adv_addr: false,
        v3_checksum_as_v2: false,
        old_unicast_checksum: OldUnicastChecksum::Never,
        timer_expired_backup: None,
        promote_secondaries: false,
        use_linkbeat: false,
        receive_buffer: None,
        notify: Notify::default(),
        sync_group: None,
        lvs_sync_interface: None,
        smtp_alert: false,
    }
}

pub(crate) fn instance_row(index: u32, config: Instance) -> InstanceRow {
    InstanceRow {
        index,
        state: State::Master,
        wanted: State::Master,
        base_priority: config.priority,
        effective_priority: config.priority,
        preempt: config.preempt != Preempt::Never,
        addresses_set: true,
        primary: Some(Ipv4Addr::new(10, 99, 0, 1).into()),
        master: None,
        master_interval_ns: 2_000_000_000,
        master_down_ns: 6_000_000_000,
        last_advert: None,
        other_master: None,
        stood_down: None,
        priority_overridden: false,
        interface_index: Some(12),
        interface_mac: Some([2, 0, 0, 0, 1, 0x12]),
        advertised: vec![],
        started: None,
        master_reason: MasterReason::MasterNoResponse,
        protocol_error: ProtocolError::None,
        since: WallTime(0),
        reason: Reason::MasterNoResponse,
        faults: vec![],
        carried: vec![],
        counters: Counters::default(),
        config,
    }
}

pub(crate) fn address_row(
    owner: u32,
    position: u32,
    address: IpAddr,
    prefix: u8,
    interface: (&str, u32),
) -> AddressRow {
    AddressRow {
        owner_index: owner,
        position,
        config: Address {
            location: Location::default(),
            address,
            prefix,
            interface: interface.0.to_owned(),
            scope: 0,
            broadcast: None,
            label: None,
            peer: None,
            flags: AddressFlags::default(),
            preferred_lifetime: None,
            no_track: false,
        },
        interface_index: Some(interface.1),
        installed: true,
        advertised: true,
    }
}

/// The rows of the seed's first node while it is master.
pub(crate) fn rows(global: Global) -> Vec<(RowKey, Row)> {
    let name = || Some("VI_1".into());
    let address = |position, address: [u8; 4], interface| {
        let row = address_row(1, position, Ipv4Addr::from(address).into(), 24, interface);
        (RowKey::Address { owner: name(), position }, Row::Address(Box::new(row)))
    };
    let tracked = |interface: &str, index| {
        let row = TrackedInterfaceRow {
            owner_index: 1,
            interface: interface.to_owned(),
            interface_index: Some(index),
            weight: 0,
            reverse: false,
            up: true,
        };
        let key = RowKey::TrackedInterface { instance: "VI_1".into(), interface: interface.to_owned() };
        (key, Row::TrackedInterface(row))
    };
    let advertised = [[1, 1, 1, 15], [192, 168, 1, 1]].map(|octets| Ipv4Addr::from(octets).into()).to_vec();
    let instance = InstanceRow { advertised, ..instance_row(1, instance("VI_1")) };
    vec![
        (RowKey::Global, Row::Global(Box::new(global))),
        (RowKey::Router, Row::Router(RouterCounters::default())),
        (RowKey::Instance("VI_1".into()), Row::Instance(Box::new(instance))),
        address(1, [1, 1, 1, 15], ("eth0", 10)),
        address(2, [192, 168, 1, 1], ("eth1", 11)),
        tracked("eth0", 10),
        tracked("eth1", 11),
    ]
}

/// One full batch into a new store.
pub(crate) fn committed(rows: impl IntoIterator<Item = (RowKey, Row)>) -> Store {
    let mut store = Store::new();
    commit(&mut store, 1, true, rows);
    store
}

pub(crate) fn commit(
    store: &mut Store,
    generation: Generation,
    full: bool,
    rows: impl IntoIterator<Item = (RowKey, Row)>,
) {
    commit_from(store, Source::Vrrp, generation, full, rows);
}

pub(crate) fn commit_from(
    store: &mut Store,
    source: Source,
    generation: Generation,
    full: bool,
    rows: impl IntoIterator<Item = (RowKey, Row)>,
) {
    store.apply(source, Feed::Begin { generation, config: 1, full }).unwrap();
    for (key, row) in rows {
        store.apply(source, Feed::Row(key, row)).unwrap();
    }
    let commit = store.apply(source, Feed::Commit { edges_dropped: 0 }).unwrap();
    assert!(matches!(commit, Applied::Committed { .. }));
}

pub(crate) fn seed() -> Arc<Snapshot> {
    committed(rows(global())).snapshot()
}

pub(crate) fn seed_with(change: impl FnOnce(&mut Global)) -> Arc<Snapshot> {
    let mut global = global();
    change(&mut global);
    committed(rows(global)).snapshot()
}

/// The line of `snmpwalk -One` without MIBs.
pub(crate) fn line(varbind: &VarBind) -> String {
    let value = match &varbind.value {
        Value::Integer(value) => format!("INTEGER: {value}"),
        Value::Gauge32(value) => format!("Gauge32: {value}"),
        Value::Counter32(value) => format!("Counter32: {value}"),
        Value::Counter64(value) => format!("Counter64: {value}"),
        Value::OctetString(octets) if octets.is_empty() => "\"\"".to_owned(),
        Value::OctetString(octets) if octets.iter().all(|octet| (b' '..=b'~').contains(octet)) => {
            format!("STRING: \"{}\"", String::from_utf8_lossy(octets))
        }
        Value::OctetString(octets) => {
            format!("Hex-STRING: {}", octets.iter().map(|octet| format!("{octet:02X} ")).collect::<String>())
        }
        Value::IpAddress(octets) => {
            format!("IpAddress: {}", octets.iter().map(u8::to_string).collect::<Vec<_>>().join("."))
        }
        Value::TimeTicks(ticks) => {
            let (seconds, rest) = (ticks / 100, ticks % 100);
            let (minutes, hours) = (seconds / 60, seconds / 3600);
            format!("Timeticks: ({ticks}) {hours}:{:02}:{:02}.{rest:02}", minutes % 60, seconds % 60)
        }
        other => format!("{other:?}"),
    };
    format!("{} = {value}", varbind.name)
}

/// What a walk of the seed must show: Keepalived's recording, and the lines where it is known to be wrong put right
/// (the numbers are those of the list of its bugs).
pub(crate) fn expected_walk() -> Vec<String> {
    let mut lines: Vec<String> = include_str!("../../tests/mib/seed-walk.txt").lines().map(str::to_owned).collect();
    let root = ".1.3.6.1.4.1.9586.100.5";
    let mut correct = |from: &str, to: &str| {
        let from = format!("{root}{from}");
        let line = lines.iter_mut().find(|line| **line == from).unwrap_or_else(|| panic!("{from} is not recorded"));
        *line = format!("{root}{to}");
    };
    correct(
        ".1.1.0 = STRING: \"Keepalived v2.4.3 (08/13,2026)\"",
        &format!(".1.1.0 = STRING: \"{}\"", super::global::VERSION),
    );
    // B1: no mail server has no address family.
    correct(".1.3.1.0 = INTEGER: 2", ".1.3.1.0 = INTEGER: 0");
    correct(".1.3.2.0 = Hex-STRING: 00 00 00 00 ", ".1.3.2.0 = \"\"");
    // B4: the second index of vrrpTrackedInterfaceTable is ifIndex.
    for (column, value) in [(1, "STRING: \"eth0\""), (2, "INTEGER: 0"), (3, "INTEGER: 2")] {
        correct(&format!(".2.4.1.{column}.1.1 = {value}"), &format!(".2.4.1.{column}.1.10 = {value}"));
    }
    for (column, value) in [(1, "STRING: \"eth1\""), (2, "INTEGER: 0"), (3, "INTEGER: 2")] {
        correct(&format!(".2.4.1.{column}.1.2 = {value}"), &format!(".2.4.1.{column}.1.11 = {value}"));
    }
    // B17: the seed says dont_track_primary.
    correct(".2.3.1.11.1 = INTEGER: 1", ".2.3.1.11.1 = INTEGER: 2");
    // B18: VRRPv2 accepts.
    correct(".2.3.1.27.1 = INTEGER: 0", ".2.3.1.27.1 = INTEGER: 1");
    // The recorded daemon was built without D-Bus; Debian's shows this line.
    let behind = lines.iter().position(|line| line.starts_with(&format!("{root}.1.10.0"))).unwrap();
    lines.insert(behind, format!("{root}.1.9.0 = INTEGER: 2"));
    lines
}
