use proptest::prelude::*;

use super::*;

/// Requests and replies have the same attributes: what we write is read back as the kernel's reply of that number.
fn as_reply(request: &Request, command: u8, family: Family) -> Option<Reply> {
    Reply::decode(&[&[command, VERSION, 0, 0], request.attributes.bytes()].concat(), family)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<Ipv4Addr>().prop_map(IpAddr::V4), any::<Ipv6Addr>().prop_map(IpAddr::V6)]
}

fn service_id() -> impl Strategy<Value = ServiceId> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp)];
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    prop_oneof![
        (protocol, address(), any::<u16>()).prop_map(|(protocol, address, port)| ServiceId::Address {
            protocol,
            address,
            port
        }),
        (family, any::<u32>()).prop_map(|(family, mark)| ServiceId::Mark { family, mark }),
    ]
}

fn service() -> impl Strategy<Value = Service> {
    let name = || "[a-z]{1,15}";
    (service_id(), name(), any::<u32>(), any::<u32>(), any::<u32>(), prop::option::of(name())).prop_map(
        |(id, scheduler, flags, timeout_s, netmask, engine)| Service {
            id,
            scheduler,
            flags: flags & !flags::HASHED,
            timeout_s,
            netmask,
            engine,
        },
    )
}

fn forwarding() -> impl Strategy<Value = Forwarding> {
    let checksum =
        || prop_oneof![Just(TunnelChecksum::None), Just(TunnelChecksum::Checksum), Just(TunnelChecksum::Remote)];
    prop_oneof![
        Just(Forwarding::Nat),
        Just(Forwarding::Direct),
        Just(Forwarding::Tunnel(Tunnel::Ipip)),
        (any::<u16>(), checksum()).prop_map(|(port, checksum)| Forwarding::Tunnel(Tunnel::Gue { port, checksum })),
        checksum().prop_map(|checksum| Forwarding::Tunnel(Tunnel::Gre { checksum })),
    ]
}

fn destination() -> impl Strategy<Value = Destination> {
    (address(), any::<u16>(), forwarding(), any::<[u32; 3]>()).prop_map(
        |(address, port, forwarding, [weight, upper_threshold, lower_threshold])| Destination {
            id: DestinationId { address, port },
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
            local: false,
        },
    )
}

fn daemon_values() -> impl Strategy<Value = Daemon> {
    let role = prop_oneof![Just(SyncRole::Master), Just(SyncRole::Backup)];
    let group = prop::option::of(address());
    (role, "[a-z]{1,8}[0-9]{0,3}", any::<u8>(), any::<Option<u16>>(), any::<Option<u16>>(), any::<Option<u8>>(), group)
        .prop_map(|(role, interface, id, max_length, port, ttl, group)| Daemon {
            role,
            interface,
            id,
            max_length,
            port,
            ttl,
            group,
        })
}

fn statistics() -> impl Strategy<Value = Stats> {
    any::<[u64; 10]>().prop_map(
        |[connections, packets_in, packets_out, bytes_in, bytes_out, connection_rate, rest @ ..]| {
            let [packet_rate_in, packet_rate_out, byte_rate_in, byte_rate_out] = rest;
            Stats {
                connections,
                packets_in,
                packets_out,
                bytes_in,
                bytes_out,
                connection_rate,
                packet_rate_in,
                packet_rate_out,
                byte_rate_in,
                byte_rate_out,
            }
        },
    )
}

/// The nests that the kernel sends: wide, and narrow with only the bytes in 64 bits.
fn stats_nests(of: &Stats) -> (Attributes, Attributes) {
    let (mut wide, mut narrow) = (Attributes::default(), Attributes::default());
    for (kind, value, short) in [
        (stats::CONNECTIONS, of.connections, true),
        (stats::PACKETS_IN, of.packets_in, true),
        (stats::PACKETS_OUT, of.packets_out, true),
        (stats::BYTES_IN, of.bytes_in, false),
        (stats::BYTES_OUT, of.bytes_out, false),
        (stats::CONNECTION_RATE, of.connection_rate, true),
        (stats::PACKET_RATE_IN, of.packet_rate_in, true),
        (stats::PACKET_RATE_OUT, of.packet_rate_out, true),
        (stats::BYTE_RATE_IN, of.byte_rate_in, true),
        (stats::BYTE_RATE_OUT, of.byte_rate_out, true),
    ] {
        wide.put(kind, &value.to_ne_bytes());
        if short {
            narrow.put_u32(kind, value as u32);
        } else {
            narrow.put(kind, &value.to_ne_bytes());
        }
    }
    (wide, narrow)
}

fn narrowed(stats: &Stats) -> Stats {
    let low = |value: u64| value & u64::from(u32::MAX);
    Stats {
        connections: low(stats.connections),
        packets_in: low(stats.packets_in),
        packets_out: low(stats.packets_out),
        bytes_in: stats.bytes_in,
        bytes_out: stats.bytes_out,
        connection_rate: low(stats.connection_rate),
        packet_rate_in: low(stats.packet_rate_in),
        packet_rate_out: low(stats.packet_rate_out),
        byte_rate_in: low(stats.byte_rate_in),
        byte_rate_out: low(stats.byte_rate_out),
    }
}

proptest! {
    #[test]
    fn a_service_comes_back_as_it_was_sent(service in service()) {
        for op in [Op::AddService(service.clone()), Op::EditService(service.clone())] {
            let reply = as_reply(&Request::change(&op), command::NEW_SERVICE, Family::V4);
            prop_assert_eq!(reply, Some(Reply::Service(service.clone(), Stats::default())));
        }
    }

    #[test]
    fn the_kernel_s_own_flag_is_neither_sent_nor_read(service in service()) {
        let hashed = Service { flags: service.flags | flags::HASHED, ..service.clone() };
        prop_assert_eq!(
            Request::change(&Op::AddService(hashed)),
            Request::change(&Op::AddService(service.clone()))
        );
        // As the kernel answers.
        let mut nest = whole_service(&service);
        nest.put(service::FLAGS, &[(service.flags | flags::HASHED).to_ne_bytes(), [0xff; 4]].concat());
        prop_assert_eq!(decode_service(nest.bytes()), Some(Reply::Service(service, Stats::default())));
    }

    #[test]
    fn a_destination_comes_back_as_it_was_sent_whatever_the_service_s_family(
        id in service_id(),
        destination in destination(),
    ) {
        for op in [Op::AddDestination(id, destination), Op::EditDestination(id, destination)] {
            let reply = as_reply(&Request::change(&op), command::NEW_DEST, id.family());
            prop_assert_eq!(reply, Some(Reply::Destination(destination, Load::default())));
        }
    }

    #[test]
    fn a_destination_without_a_family_has_its_service_s(destination in destination(), loads in any::<[u32; 3]>()) {
        let family = Family::of(destination.id.address);
        let mut nest = Attributes::default();
        for (kind, value) in attributes(whole_destination(&destination).bytes()) {
            if kind != dest::FAMILY {
                nest.put(kind, value);
            }
        }
        let [active, inactive, persistent] = loads;
        nest.put_u32(dest::ACTIVE, active).put_u32(dest::INACTIVE, inactive).put_u32(dest::PERSISTENT, persistent);
        let load = Load { active, inactive, persistent, ..Load::default() };
        prop_assert_eq!(decode_destination(nest.bytes(), family), Some(Reply::Destination(destination, load)));
    }

    #[test]
    fn a_daemon_comes_back_as_it_was_sent(daemon in daemon_values()) {
        let reply = as_reply(&Request::change(&Op::StartDaemon(daemon.clone())), command::NEW_DAEMON, Family::V4);
        prop_assert_eq!(reply, Some(Reply::Daemon(daemon)));
    }

    #[test]
    fn time_outs_come_back_as_they_were_sent(tcp: u32, tcp_fin: u32, udp: u32) {
        let op = Op::Timeouts { tcp: Some(tcp), tcp_fin: Some(tcp_fin), udp: Some(udp) };
        let reply = as_reply(&Request::change(&op), command::SET_CONFIG, Family::V4);
        prop_assert_eq!(reply, Some(Reply::Timeouts(Timeouts { tcp, tcp_fin, udp })));
    }

    #[test]
    fn statistics_are_read_in_64_bits_and_where_there_are_none_in_32(
        service in service(),
        destination in destination(),
        stats in statistics(),
        wide_first: bool,
    ) {
        let (wide, narrow) = stats_nests(&stats);
        let mut nest = whole_service(&service);
        // The kernel does not flag these as nests.
        if wide_first {
            nest.put(service::STATS64, wide.bytes()).put(service::STATS, narrow.bytes());
        } else {
            nest.put(service::STATS, narrow.bytes()).put(service::STATS64, wide.bytes());
        }
        prop_assert_eq!(decode_service(nest.bytes()), Some(Reply::Service(service.clone(), stats)));
        let mut nest = whole_service(&service);
        nest.put(service::STATS, narrow.bytes());
        prop_assert_eq!(decode_service(nest.bytes()), Some(Reply::Service(service, narrowed(&stats))));

        let mut nest = whole_destination(&destination);
        nest.put(dest::STATS, narrow.bytes()).put(dest::STATS64, wide.bytes());
        let load = Load { stats, ..Load::default() };
        prop_assert_eq!(
            decode_destination(nest.bytes(), Family::V4),
            Some(Reply::Destination(destination, load))
        );
    }

    #[test]
    fn attributes_of_newer_kernels_are_skipped(
        service in service(),
        extra in (100..0x3fff_u16, prop::collection::vec(any::<u8>(), 0..20)),
    ) {
        let mut nest = Attributes::default();
        nest.put(extra.0, &extra.1);
        for (kind, value) in attributes(whole_service(&service).bytes()) {
            nest.put(kind, value).put(extra.0, &extra.1);
        }
        prop_assert_eq!(decode_service(nest.bytes()), Some(Reply::Service(service, Stats::default())));
    }

    #[test]
    fn no_bytes_panic(
        command in 0..20_u8,
        top in 0..8_u16,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        inner in prop::collection::vec((0..20_u16, prop::collection::vec(any::<u8>(), 0..24)), 0..20),
    ) {
        Reply::decode(&bytes, Family::V4);
        let mut nest = Attributes::default();
        for (kind, value) in &inner {
            nest.put(*kind, value);
        }
        let mut all = Attributes::default();
        all.put_nest(top, &nest);
        for message in [[&[command, 1, 0, 0], &bytes[..]].concat(), [&[command, 1, 0, 0], all.bytes()].concat()] {
            for end in 0..=message.len() {
                Reply::decode(&message[..end], Family::V6);
            }
        }
    }

    #[test]
    fn a_damaged_reply_is_read_as_something_or_not_at_all(
        destination in destination(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut bytes = whole_destination(&destination).bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        decode_destination(&bytes, Family::V4);
    }
}

#[test]
fn only_what_is_not_an_address_is_in_the_host_s_order() {
    let id =
        ServiceId::Address { protocol: Protocol::Tcp, address: IpAddr::V4(Ipv4Addr::new(1, 2, 3, 4)), port: 0x0102 };
    let service = Service { id, scheduler: "rr".into(), flags: 1, timeout_s: 300, netmask: 0xffff_ff00, engine: None };
    let bytes = whole_service(&service);
    let value = |wanted| attributes(bytes.bytes()).find(|(kind, _)| *kind == wanted).map(|(_, value)| value.to_vec());
    assert_eq!(value(service::PORT), Some(vec![1, 2]));
    assert_eq!(value(service::ADDRESS), Some([&[1, 2, 3, 4][..], &[0; 12]].concat()));
    assert_eq!(value(service::NETMASK), Some(vec![255, 255, 255, 0]));
    assert_eq!(value(service::TIMEOUT), Some(300_u32.to_ne_bytes().to_vec()));
    assert_eq!(value(service::PROTOCOL), Some(6_u16.to_ne_bytes().to_vec()));

    let v6 = Service { id: ServiceId::Mark { family: Family::V6, mark: 0x0102_0304 }, netmask: 64, ..service };
    let bytes = whole_service(&v6);
    let value = |wanted| attributes(bytes.bytes()).find(|(kind, _)| *kind == wanted).map(|(_, value)| value.to_vec());
    assert_eq!(value(service::NETMASK), Some(64_u32.to_ne_bytes().to_vec()));
    assert_eq!(value(service::MARK), Some(0x0102_0304_u32.to_ne_bytes().to_vec()));
    assert_eq!(value(service::PORT), None);

    let daemon = Daemon {
        role: SyncRole::Master,
        interface: "eth0".into(),
        id: 1,
        max_length: None,
        port: Some(8848),
        ttl: None,
        group: Some(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81))),
    };
    let bytes = whole_daemon(&daemon);
    let value = |wanted| attributes(bytes.bytes()).find(|(kind, _)| *kind == wanted).map(|(_, value)| value.to_vec());
    assert_eq!(value(daemon::PORT), Some(8848_u16.to_ne_bytes().to_vec()));
    assert_eq!(value(daemon::GROUP_V4), Some(vec![224, 0, 0, 81]));
}

#[test]
fn the_reply_to_info_reuses_the_numbers_of_services_and_destinations() {
    let mut all = Attributes::default();
    all.put_u32(info::VERSION, 0x01_02_01).put_u32(info::CONNECTION_TABLE, 4096);
    let reply = Reply::decode(&[&[command::SET_INFO, 1, 0, 0], all.bytes()].concat(), Family::V4);
    assert_eq!(reply, Some(Reply::Info(Info { version: (1, 2, 1), connection_table: 4096 })));
}

#[test]
fn a_time_out_that_nobody_wants_to_change_is_zero() {
    let request = Request::change(&Op::Timeouts { tcp: Some(900), tcp_fin: None, udp: Some(0) });
    let reply = as_reply(&request, command::SET_CONFIG, Family::V4);
    assert_eq!(reply, Some(Reply::Timeouts(Timeouts { tcp: 900, tcp_fin: 0, udp: 0 })));
}

#[test]
fn forwarding_that_no_configuration_asks_for_is_read_as_the_nearest() {
    let destination = Destination {
        id: DestinationId { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 80 },
        forwarding: Forwarding::Direct,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
        local: false,
    };
    let mut nest = whole_destination(&destination);
    // Local; the kernel's other flags stand above the method.
    nest.put_u32(dest::FORWARDING, 0x101);
    let local = Destination { local: true, ..destination };
    assert_eq!(decode_destination(nest.bytes(), Family::V4), Some(Reply::Destination(local, Load::default())));
    nest.put_u32(dest::FORWARDING, forwarding::TUNNEL).put_u8(dest::TUNNEL_TYPE, 200);
    let tunnel = Destination { forwarding: Forwarding::Tunnel(Tunnel::Ipip), ..destination };
    assert_eq!(decode_destination(nest.bytes(), Family::V4), Some(Reply::Destination(tunnel, Load::default())));
}
