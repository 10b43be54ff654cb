//! What the recordings do not show: routers that have heard nothing, fault, refusals.

use std::net::Ipv6Addr;

use super::*;
use crate::bus::msg::Source;
use crate::bus::rows::{Counters, MasterReason, ProtocolError, RouterCounters, Row, RowKey};
use crate::clock::Instant;
use crate::conf::model::{Family, Preempt, Snmp, Version, Vrid};
use crate::mib::fixture;
use crate::mib::table::{Look, Moment, SetError};
use crate::mib::tree::Tree;
use crate::store::Store;
use crate::wire::oid::Oid;
use crate::wire::value::VarBind;

const V2: &str = "1.3.6.1.2.1.68.";
const V3: &str = "1.3.6.1.2.1.207.";

fn tree() -> Tree {
    Tree::new(&Snmp { rfcv2: true, rfcv3: true, ..Snmp::default() }, &[Source::Vrrp])
}

fn seconds(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

/// One router of version 2 on interface 12 with VRID 61, as `change` leaves it.
fn one(change: impl FnOnce(&mut InstanceRow)) -> Store {
    let mut config = fixture::instance("VI_1");
    config.vrid = Vrid::new(61).unwrap();
    let mut row = fixture::instance_row(1, config);
    row.advertised = vec!["10.0.0.100".parse().unwrap()];
    row.started = Some(seconds(100));
    change(&mut row);
    fixture::committed([
        (RowKey::Global, Row::Global(Box::new(fixture::global()))),
        (RowKey::Instance("VI_1".into()), Row::Instance(Box::new(row))),
    ])
}

/// Asked at 130 s, by an agent that began at 20 s.
fn get(store: &Store, name: String) -> Value {
    let snapshot = store.snapshot();
    let look = Look { snapshot: &snapshot, moment: Moment { now: seconds(130), epoch: seconds(20) } };
    tree().get(look, &name.parse().unwrap())
}

/// Columns of vrrpOperTable and vrrpv3OperationsTable for an IPv4 router.
fn oper(store: &Store, column: u32) -> Value {
    get(store, format!("{V2}1.3.1.{column}.12.61"))
}

fn operations(store: &Store, column: u32) -> Value {
    get(store, format!("{V3}1.1.1.1.{column}.12.61.1"))
}

fn ip(octets: [u8; 4]) -> Value {
    Value::IpAddress(octets.to_vec())
}

fn octets(octets: &[u8]) -> Value {
    Value::OctetString(octets.to_vec())
}

/// B26: Keepalived shows how long it took to leave init.
#[test]
fn one_module_tells_when_a_router_left_init_and_the_other_how_long_ago() {
    let up = one(|_| {});
    assert_eq!(oper(&up, 13), Value::TimeTicks(8000));
    assert_eq!(operations(&up, 12), Value::TimeTicks(3000));
    let before_the_agent = one(|row| row.started = Some(seconds(5)));
    assert_eq!(oper(&before_the_agent, 13), Value::TimeTicks(0));
    assert_eq!(operations(&before_the_agent, 12), Value::TimeTicks(12_500));
    let fault = one(|row| (row.state, row.started) = (State::Fault, None));
    assert_eq!(oper(&fault, 13), Value::TimeTicks(0));
    assert_eq!(operations(&fault, 12), Value::TimeTicks(0));
}

#[test]
fn fault_is_shown_as_initialize_for_the_rfcs_know_no_other_word() {
    for (state, shown) in [(State::Init, 1), (State::Backup, 2), (State::Master, 3), (State::Fault, 1)] {
        let store = one(|row| row.state = state);
        assert_eq!(oper(&store, 3), Value::Integer(shown), "{state:?}");
        assert_eq!(operations(&store, 6), Value::Integer(shown), "{state:?}");
    }
}

/// B27: Keepalived shows 0.0.0.0 while it is master itself.
#[test]
fn the_masters_address_is_our_own_or_of_whom_we_heard_or_zeros() {
    let peer = "10.0.0.9".parse().unwrap();
    let master = one(|_| {});
    assert_eq!(oper(&master, 7), ip([10, 99, 0, 1]));
    assert_eq!(operations(&master, 3), octets(&[10, 99, 0, 1]));
    let backup = one(|row| (row.state, row.master) = (State::Backup, Some((peer, 200))));
    assert_eq!(oper(&backup, 7), ip([10, 0, 0, 9]));
    assert_eq!(operations(&backup, 3), octets(&[10, 0, 0, 9]));
    let deaf = one(|row| (row.state, row.primary) = (State::Backup, None));
    assert_eq!((oper(&deaf, 7), oper(&deaf, 8)), (ip([0; 4]), ip([0; 4])));
    assert_eq!(operations(&deaf, 3), octets(&[0; 4]));
    let deaf = one(|row| {
        (row.state, row.primary, row.config.family) = (State::Backup, None, Family::V6);
        row.advertised = vec![Ipv6Addr::LOCALHOST.into()];
    });
    assert_eq!(get(&deaf, format!("{V3}1.1.1.1.3.12.61.2")), octets(&[0; 16]));
    assert_eq!(get(&deaf, format!("{V3}1.1.1.1.4.12.61.2")), octets(&[0; 16]));
}

/// B28: Keepalived shows the card's own address without `use_vmac`.
#[test]
fn the_virtual_mac_address_is_the_standards() {
    let four = one(|_| {});
    assert_eq!(oper(&four, 2), octets(&[0, 0, 0x5e, 0, 1, 61]));
    assert_eq!(operations(&four, 5), octets(&[0, 0, 0x5e, 0, 1, 61]));
    let six = one(|row| row.config.family = Family::V6);
    assert_eq!(get(&six, format!("{V3}1.1.1.1.5.12.61.2")), octets(&[0, 0, 0x5e, 0, 2, 61]));
}

#[test]
fn settings_are_shown_in_the_units_of_each_module() {
    let store = one(|row| {
        row.config.advert_interval = std::time::Duration::from_secs(3);
        row.preempt = false;
        row.config.preempt = Preempt::Never;
        row.config.accept = false;
        row.config.auth = None;
        row.advertised.push("10.0.0.101".parse().unwrap());
    });
    assert_eq!(oper(&store, 11), Value::Integer(3));
    assert_eq!(operations(&store, 9), Value::Integer(300));
    assert_eq!(get(&store, format!("{V3}1.2.5.1.13.12.61.1")), Value::Gauge32(3000));
    assert_eq!((oper(&store, 12), operations(&store, 10)), (Value::Integer(2), Value::Integer(2)));
    assert_eq!(operations(&store, 11), Value::Integer(2));
    assert_eq!((oper(&store, 6), operations(&store, 8)), (Value::Integer(2), Value::Integer(2)));
    assert_eq!((oper(&store, 5), operations(&store, 7)), (Value::Integer(150), Value::Gauge32(150)));
    assert_eq!(oper(&store, 9), Value::Integer(1));
    assert_eq!(oper(&one(|_| {}), 9), Value::Integer(2));
    assert_eq!(oper(&store, 10), Value::NoSuchInstance, "nobody reads a key");
}

#[test]
fn every_counter_is_in_its_column_and_those_of_version_2_wrap_around() {
    let counters = Counters {
        became_master: 1,
        adverts_received: (1 << 32) + 2,
        advert_interval_errors: 3,
        auth_failures: 4,
        ttl_errors: 5,
        priority_zero_received: 6,
        priority_zero_sent: 7,
        invalid_type: 8,
        address_list_errors: 9,
        invalid_auth_type: 10,
        auth_type_mismatch: 11,
        packet_length_errors: 12,
        ..Counters::default()
    };
    let store = one(|row| {
        row.counters = counters;
        (row.master_reason, row.protocol_error) = (MasterReason::Preempted, ProtocolError::Version);
    });
    for column in 1..=12 {
        assert_eq!(get(&store, format!("{V2}2.4.1.{column}.12.61")), Value::Counter32(column), "{column}");
    }
    let statistics = |column: u32| get(&store, format!("{V3}1.2.5.1.{column}.12.61.1"));
    assert_eq!(statistics(1), Value::Counter32(1));
    assert_eq!(statistics(2), Value::Integer(2));
    assert_eq!(statistics(6), Value::Integer(2));
    for (column, count) in [(3, (1 << 32) + 2), (4, 3), (5, 5), (7, 6), (8, 7), (9, 8), (10, 9), (11, 12)] {
        assert_eq!(statistics(column), Value::Counter64(count), "{column}");
    }
}

/// B25: the third of each is always 0 in Keepalived.
#[test]
fn errors_of_the_router_are_its_own_and_not_a_sum_over_rows() {
    let mut store = one(|row| row.counters.checksum_errors = 100);
    let router = RouterCounters { checksum_errors: 1, version_errors: 2, vrid_errors: 3, truncated: 4 };
    fixture::commit(&mut store, 2, false, [(RowKey::Router, Row::Router(router))]);
    for count in 1..=3 {
        assert_eq!(get(&store, format!("{V2}2.{count}.0")), Value::Counter32(count));
        assert_eq!(get(&store, format!("{V3}1.2.{count}.0")), Value::Counter64(count.into()));
    }
}

/// B29: a GET of any row fails in Keepalived 2.2.7.
#[test]
fn a_get_finds_each_row_and_what_is_not_there_gets_its_exception() {
    let store = one(|_| {});
    assert_eq!(oper(&store, 15), Value::Integer(1));
    for name in ["1.3.1.15.12.62", "1.3.1.15.12", "1.3.1.15.12.61.1", "1.1", "2.1.1"] {
        assert_eq!(get(&store, format!("{V2}{name}")), Value::NoSuchInstance, "{name}");
    }
    // Index columns and objects of notifications are not accessible.
    for name in ["1.3.1.1.12.61", "1.5.0", "1.6.0", "1.5.12.61", "0.1"] {
        assert_eq!(get(&store, format!("{V2}{name}")), Value::NoSuchObject, "{name}");
    }
    assert_eq!(get(&store, format!("{V3}1.1.2.1.2.12.61.1.4.10.0.0.100")), Value::Integer(1));
    assert_eq!(get(&store, format!("{V3}1.1.2.1.2.12.61.1.10.0.0.100")), Value::NoSuchInstance);
}

#[test]
fn a_router_of_version_3_is_unknown_to_the_module_of_version_2() {
    let store = one(|row| row.config.version = Version::V3);
    assert_eq!(oper(&store, 3), Value::NoSuchInstance);
    assert_eq!(operations(&store, 6), Value::Integer(3));
}

#[test]
fn nothing_can_be_set_whatever_the_modules_say() {
    let store = one(|_| {});
    let (tree, snapshot) = (tree(), store.snapshot());
    let mut at = Oid::default();
    let mut tried = 0;
    while let Some(next) = tree.next(fixture::look(&snapshot), &at, false, &Oid::default()) {
        for value in [next.value.clone(), Value::Integer(1), Value::Null] {
            let asked = VarBind::new(next.name.clone(), value);
            assert_eq!(tree.test_set(&snapshot, &asked), Err(SetError::NotWritable), "{}", next.name);
        }
        tried += 1;
        at = next.name;
    }
    assert_eq!(tried, 5 + 13 + 1 + 12 + 4 + 11 + 1 + 13);
    // createAndGo.
    let new = VarBind::new(format!("{V2}1.3.1.15.12.99").parse().unwrap(), Value::Integer(4));
    assert_eq!(tree.test_set(&snapshot, &new), Err(SetError::NotWritable));
}
