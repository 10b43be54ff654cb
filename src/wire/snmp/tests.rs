//! The codec's properties, and messages as net-snmp writes them.

use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Every OID that BER can say.
pub(crate) fn oid() -> impl Strategy<Value = Oid> {
    let root = prop_oneof![
        (0_u32..2, 0_u32..40).prop_map(|(first, second)| vec![first, second]),
        any::<u32>().prop_map(|second| vec![2, second]),
        Just(vec![1, 3, 6, 1, 4, 1, 9586]),
    ];
    let rest = prop_oneof![vec(any::<u32>(), 0..20), vec(0_u32..300, 0..20), vec(any::<u32>(), 110..121)];
    (root, rest).prop_map(|(root, rest)| Oid::new(&root).with(&rest))
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 120..300)]
}

/// Numbers whose encodings differ in length.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0_u32..64).prop_map(|(number, shift)| number >> shift)
}

fn integer() -> impl Strategy<Value = i32> {
    (any::<i32>(), 0_u32..32).prop_map(|(number, shift)| number >> shift)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        integer().prop_map(Value::Integer),
        octets().prop_map(Value::OctetString),
        Just(Value::Null),
        oid().prop_map(Value::ObjectIdentifier),
        any::<[u8; 4]>().prop_map(|address| Value::IpAddress(address.to_vec())),
        number().prop_map(|number| Value::Counter32(number as u32)),
        number().prop_map(|number| Value::Gauge32(number as u32)),
        number().prop_map(|number| Value::TimeTicks(number as u32)),
        octets().prop_map(Value::Opaque),
        number().prop_map(Value::Counter64),
        Just(Value::NoSuchObject),
        Just(Value::NoSuchInstance),
        Just(Value::EndOfMibView),
    ]
}

fn varbinds() -> impl Strategy<Value = Vec<VarBind>> {
    vec((oid(), value()).prop_map(|(name, value)| VarBind { name, value }), 0..6)
}

fn kind() -> impl Strategy<Value = PduKind> {
    use PduKind::*;
    prop::sample::select(vec![Get, GetNext, Response, Set, GetBulk, Inform, TrapV2, Report])
}

fn pdu() -> impl Strategy<Value = Pdu> {
    (kind(), integer(), integer(), integer(), varbinds()).prop_map(
        |(kind, request_id, error_status, error_index, varbinds)| Pdu {
            kind,
            request_id,
            error_status,
            error_index,
            varbinds,
        },
    )
}

fn trap_v1() -> impl Strategy<Value = TrapV1> {
    (oid(), any::<[u8; 4]>(), integer(), integer(), any::<u32>(), varbinds()).prop_map(
        |(enterprise, agent, generic, specific, uptime, varbinds)| TrapV1 {
            enterprise,
            agent: agent.into(),
            generic,
            specific,
            uptime,
            varbinds,
        },
    )
}

fn scoped() -> impl Strategy<Value = ScopedPdu> {
    (octets(), octets(), pdu()).prop_map(|(context_engine_id, context_name, pdu)| ScopedPdu {
        context_engine_id,
        context_name,
        pdu,
    })
}

fn natural() -> impl Strategy<Value = u32> {
    number().prop_map(|number| number as u32 >> 1)
}

fn v3() -> impl Strategy<Value = V3Message> {
    let security = (octets(), natural(), natural(), octets(), octets(), octets()).prop_map(
        |(engine_id, boots, time, user, auth, privacy)| UsmParameters { engine_id, boots, time, user, auth, privacy },
    );
    let data = prop_oneof![
        scoped().prop_map(|scoped| (0, ScopedData::Plain(scoped))),
        scoped().prop_map(|scoped| (flag::AUTH, ScopedData::Plain(scoped))),
        octets().prop_map(|octets| (flag::AUTH | flag::PRIVACY, ScopedData::Encrypted(octets))),
    ];
    (natural(), 484..=2_147_483_647_u32, any::<bool>(), security, data).prop_map(
        |(message_id, max_size, reportable, security, (flags, data))| V3Message {
            message_id: message_id as i32,
            max_size,
            flags: flags | (u8::from(reportable) * flag::REPORTABLE),
            security,
            data,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let v1_pdu = pdu().prop_map(|mut pdu| {
        if pdu.kind as u8 > 3 {
            pdu.kind = PduKind::Get;
        }
        V1Body::Pdu(pdu)
    });
    let v1 = prop_oneof![v1_pdu, trap_v1().prop_map(V1Body::Trap)];
    prop_oneof![
        (octets(), v1).prop_map(|(community, body)| Message::V1 { community, body }),
        (octets(), pdu()).prop_map(|(community, pdu)| Message::V2c { community, pdu }),
        v3().prop_map(Message::V3),
    ]
}

proptest! {
    #[test]
    fn decoding_inverts_encoding(message in message()) {
        let (bytes, auth_at) = message.encode_located();
        prop_assert_eq!(bytes.capacity(), bytes.len());
        if let Message::V3(v3) = &message {
            prop_assert_eq!(&bytes[auth_at.clone()], &v3.security.auth[..]);
        }
        prop_assert_eq!(decode_located(&bytes), Ok((message, auth_at)));
    }

    #[test]
    fn a_scoped_pdu_alone_comes_back_too(scoped in scoped()) {
        prop_assert_eq!(decode_scoped(&scoped.encode()), Ok(scoped));
    }

    #[test]
    fn no_proper_prefix_is_a_message(message in message()) {
        let bytes = message.encode();
        for length in 0..bytes.len() {
            prop_assert!(decode(&bytes[..length]).is_err(), "{} of {}", length, bytes.len());
        }
    }

    #[test]
    fn nothing_may_follow_a_message(message in message(), more in vec(any::<u8>(), 1..9)) {
        let mut bytes = message.encode();
        bytes.extend(more);
        let refused = matches!(decode(&bytes), Err(DecodeError::Malformed { .. }));
        prop_assert!(refused);
    }

    /// What decodes is the same after another round; lengths of lengths and of numbers may differ.
    #[test]
    fn no_bytes_panic(message in message(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = message.encode();
        for (at, octet) in changes {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn a_varbind_takes_as_many_octets_as_it_says(list in varbinds()) {
        let sum: usize = list.iter().map(VarBind::ber_len).sum();
        let encode = |varbinds| Message::V2c { community: vec![], pdu: Pdu::new(PduKind::Get, 0, varbinds) }.encode();
        // Three lengths grow with what they enclose.
        let grown = encode(list).len() - encode(vec![]).len() - sum;
        prop_assert!(grown <= 9, "{}", grown);
    }
}

/// `snmpget -v2c -c public localhost sysUpTime.0`. `tests/snmp.rs` compares whatever the tools send.
const GET: &str = "30 29 02 01 01 04 06 70 75 62 6c 69 63 a0 1c 02 04 41 7d 36 e6 02 01 00 02 01 00 30 0e \
    30 0c 06 08 2b 06 01 02 01 01 03 00 05 00";

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect()
}

#[test]
fn a_get_of_net_snmp_is_read_and_written_as_it_was() {
    let expected = Message::V2c {
        community: b"public".to_vec(),
        pdu: Pdu::new(PduKind::Get, 0x417d_36e6, vec![VarBind::new("1.3.6.1.2.1.1.3.0".parse().unwrap(), Value::Null)]),
    };
    assert_eq!(decode(&hex(GET)), Ok(expected.clone()));
    assert_eq!(expected.encode(), hex(GET));
}

/// A response whose only variable has this value, as bytes.
fn with_value(element: &[u8]) -> Result<Value, DecodeError> {
    let name = [6, 2, 0x2b, 6];
    let wrap = |id: u8, content: Vec<u8>| [&[id, content.len() as u8][..], &content].concat();
    let list = wrap(0x30, wrap(0x30, [&name[..], element].concat()));
    let pdu = wrap(0xa2, [&[2, 1, 1, 2, 1, 0, 2, 1, 0][..], &list].concat());
    let message = wrap(0x30, [&[2, 1, 1, 4, 0][..], &pdu].concat());
    match decode(&message)? {
        Message::V2c { mut pdu, .. } => Ok(pdu.varbinds.remove(0).value),
        other => panic!("{other:?}"),
    }
}

fn is_malformed(element: &[u8]) -> bool {
    matches!(with_value(element), Err(DecodeError::Malformed { .. }))
}

#[test]
fn numbers_are_taken_with_leading_zeros_and_refused_when_empty_or_too_large() {
    assert_eq!(with_value(&[2, 1, 0xff]), Ok(Value::Integer(-1)));
    assert_eq!(with_value(&[2, 4, 0x80, 0, 0, 0]), Ok(Value::Integer(i32::MIN)));
    assert_eq!(with_value(&[2, 5, 0, 0, 0, 0, 7]), Ok(Value::Integer(7)));
    assert_eq!(with_value(&[0x41, 5, 0, 0xff, 0xff, 0xff, 0xff]), Ok(Value::Counter32(u32::MAX)));
    for wrong in [
        &[2, 0][..],
        &[2, 5, 1, 0, 0, 0, 0],
        &[2, 5, 0, 0x80, 0, 0, 0],
        &[0x41, 0],
        &[0x41, 1, 0xff],
        &[0x41, 5, 1, 0, 0, 0, 0],
        &[0x42, 5, 1, 0, 0, 0, 0],
        &[0x43, 4, 0x80, 0, 0, 0],
        &[0x46, 0],
        &[0x46, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert!(is_malformed(wrong), "{wrong:02x?}");
    }
}

#[test]
fn first_arcs_are_split_as_the_standard_says() {
    let oid = |content: &[u8]| with_value(&[&[6, content.len() as u8][..], content].concat());
    let expected = |ids: &[u32]| Ok(Value::ObjectIdentifier(Oid::new(ids)));
    assert_eq!(oid(&[0]), expected(&[0, 0]));
    assert_eq!(oid(&[39]), expected(&[0, 39]));
    assert_eq!(oid(&[40]), expected(&[1, 0]));
    assert_eq!(oid(&[79]), expected(&[1, 39]));
    assert_eq!(oid(&[80]), expected(&[2, 0]));
    assert_eq!(oid(&[0x88, 0x37, 3]), expected(&[2, 999, 3]));
    assert_eq!(oid(&[0x90, 0x80, 0x80, 0x80, 0x4f]), expected(&[2, u32::MAX]));
    assert_eq!(oid(&[0x2b, 0x8f, 0xff, 0xff, 0xff, 0x7f]), expected(&[1, 3, u32::MAX]));
}

#[test]
fn oids_that_do_not_end_or_are_too_long_or_too_large_are_refused() {
    for content in [
        &[][..],
        &[0x80],
        &[0x2b, 0x80, 1],
        &[0x2b, 0x81],
        &[0x90, 0x80, 0x80, 0x80, 0x50],
        &[0x2b, 0x90, 0x80, 0x80, 0x80, 0],
        &[0x2b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    ] {
        assert!(is_malformed(&[&[6, content.len() as u8][..], content].concat()), "{content:02x?}");
    }
    let long = |count: usize| {
        let content = [&[0x2b][..], &vec![1; count]].concat();
        let name = [&[6, 0x81, content.len() as u8][..], &content].concat();
        ber::Reader::new(&name).oid("an OID")
    };
    assert_eq!(long(126).map(|oid| oid.len()), Ok(128));
    assert!(long(127).is_err());
}

#[test]
fn values_of_no_known_type_form_or_size_are_refused() {
    for wrong in [
        // Lengths that lie or have no end.
        &[4, 1][..],
        &[4, 0x80, 0, 0],
        &[0x24, 0x80, 0, 0],
        &[4, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[4, 0xff],
        // A constructed string, a boolean, an NsapAddress, a tag above 30.
        &[0x24, 2, 4, 0],
        &[1, 1, 1],
        &[0x45, 1, 0],
        &[0x5f, 1, 0],
        // An address of three octets; a null that is something.
        &[0x40, 3, 1, 2, 3],
        &[5, 1, 0],
        &[0x80, 1, 0],
    ] {
        assert!(is_malformed(wrong), "{wrong:02x?}");
    }
}

#[test]
fn versions_models_and_flags_that_do_not_exist_are_told_apart() {
    let mut v2 = hex(GET);
    v2[4] = 2;
    assert_eq!(decode(&v2), Err(DecodeError::Version(2)));

    let message = V3Message {
        message_id: 1,
        max_size: 484,
        flags: 0,
        security: UsmParameters::default(),
        data: ScopedData::Encrypted(vec![]),
    };
    let encode = |message: V3Message| Message::V3(message).encode();
    let mut model = encode(message.clone());
    let at = model.windows(3).position(|octets| octets == [2, 1, 3] && octets.as_ptr() != model[2..].as_ptr()).unwrap();
    model[at + 2] = 2;
    assert_eq!(decode(&model), Err(DecodeError::SecurityModel(2)));
    let flags = flag::PRIVACY | flag::REPORTABLE;
    assert_eq!(decode(&encode(V3Message { flags, ..message.clone() })), Err(DecodeError::Flags(flags)));
    let short = encode(V3Message { max_size: 483, ..message });
    assert!(matches!(decode(&short), Err(DecodeError::Malformed { what: "the longest message", .. })));
}

#[test]
fn version_1_has_no_getbulk() {
    let mut bytes = hex(GET);
    bytes[4] = 0;
    assert!(decode(&bytes).is_ok());
    bytes[13] = 0xa5;
    assert!(matches!(decode(&bytes), Err(DecodeError::Malformed { what: "a PDU of SNMPv1", .. })));
}

fn trap(oid: &str, varbinds: &[VarBind]) -> Option<(String, i32, i32)> {
    let trap = TrapV1::from_v2(&oid.parse().unwrap(), varbinds, 77, Ipv4Addr::new(192, 0, 2, 1))?;
    assert_eq!((trap.uptime, trap.agent, &trap.varbinds[..]), (77, Ipv4Addr::new(192, 0, 2, 1), varbinds));
    Some((trap.enterprise.to_string(), trap.generic, trap.specific))
}

#[test]
fn a_notification_of_a_module_is_enterprise_specific_in_version_1() {
    let expected = Some((".1.3.6.1.4.1.9586.100.5.2.10".to_owned(), 6, 2));
    assert_eq!(trap("1.3.6.1.4.1.9586.100.5.2.10.0.2", &[]), expected);
    assert_eq!(trap("1.3.6.1.4.1.9586.100.5.2.10.2", &[]), expected);
}

#[test]
fn the_standard_traps_keep_their_numbers_and_their_enterprise() {
    assert_eq!(trap("1.3.6.1.6.3.1.1.5.1", &[]), Some((".1.3.6.1.6.3.1.1.5".to_owned(), 0, 0)));
    let enterprise = VarBind::new(
        Oid::new(trap::SNMP_TRAP_ENTERPRISE),
        Value::ObjectIdentifier("1.3.6.1.4.1.9586".parse().unwrap()),
    );
    assert_eq!(trap("1.3.6.1.6.3.1.1.5.4", &[enterprise]), Some((".1.3.6.1.4.1.9586".to_owned(), 3, 0)));
    assert_eq!(trap("1.3.6.1.6.3.1.1.5.7", &[]), Some((".1.3.6.1.6.3.1.1.5".to_owned(), 6, 7)));
}

#[test]
fn a_notification_with_a_counter64_does_not_exist_in_version_1() {
    let counter = VarBind::new("1.3.6.1.2.1.31.1.1.1.6.1".parse().unwrap(), Value::Counter64(1));
    assert_eq!(trap("1.3.6.1.4.1.9586.100.5.2.10.0.2", &[counter]), None);
}
