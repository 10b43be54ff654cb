//! The codec's properties, and bytes written down by hand.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn oid() -> impl Strategy<Value = Oid> {
    prop_oneof![
        vec(any::<u32>(), 0..20).prop_map(Oid::from_iter),
        (0_u32..300, vec(any::<u32>(), 0..20)).prop_map(|(x, rest)| Oid::new(&[1, 3, 6, 1, x]).with(&rest)),
        vec(any::<u32>(), 128).prop_map(Oid::from_iter),
    ]
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i32>().prop_map(Value::Integer),
        octets().prop_map(Value::OctetString),
        Just(Value::Null),
        oid().prop_map(Value::ObjectIdentifier),
        octets().prop_map(Value::IpAddress),
        any::<u32>().prop_map(Value::Counter32),
        any::<u32>().prop_map(Value::Gauge32),
        any::<u32>().prop_map(Value::TimeTicks),
        octets().prop_map(Value::Opaque),
        any::<u64>().prop_map(Value::Counter64),
        Just(Value::NoSuchObject),
        Just(Value::NoSuchInstance),
        Just(Value::EndOfMibView),
    ]
}

fn varbinds() -> impl Strategy<Value = Vec<VarBind>> {
    vec((oid(), value()).prop_map(|(name, value)| VarBind { name, value }), 0..5)
}

fn ranges() -> impl Strategy<Value = Vec<SearchRange>> {
    vec((oid(), any::<bool>(), oid()).prop_map(|(start, include, end)| SearchRange { start, include, end }), 0..5)
}

fn subtree() -> impl Strategy<Value = Subtree> {
    (oid(), any::<Option<(u8, u32)>>()).prop_map(|(root, range)| {
        let range = range.filter(|(at, _)| (1..=root.len()).contains(&usize::from(*at)));
        Subtree { root, range }
    })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (any::<u8>(), oid(), octets()).prop_map(|(timeout, id, description)| Body::Open { timeout, id, description }),
        any::<u8>().prop_map(|reason| Body::Close(CloseReason(reason))),
        (any::<u8>(), any::<u8>(), any::<bool>(), subtree()).prop_map(|(timeout, priority, instance, subtree)| {
            Body::Register { timeout, priority, instance, subtree }
        }),
        (any::<u8>(), subtree()).prop_map(|(priority, subtree)| Body::Unregister { priority, subtree }),
        ranges().prop_map(Body::Get),
        ranges().prop_map(Body::GetNext),
        (any::<u16>(), any::<u16>(), ranges()).prop_map(|(non_repeaters, max_repetitions, ranges)| Body::GetBulk {
            non_repeaters,
            max_repetitions,
            ranges
        }),
        varbinds().prop_map(Body::TestSet),
        Just(Body::CommitSet),
        Just(Body::UndoSet),
        Just(Body::CleanupSet),
        varbinds().prop_map(Body::Notify),
        Just(Body::Ping),
        (any::<bool>(), any::<bool>(), varbinds()).prop_map(|(new_index, any_index, varbinds)| Body::IndexAllocate {
            new_index,
            any_index,
            varbinds
        }),
        (any::<bool>(), any::<bool>(), varbinds()).prop_map(|(new_index, any_index, varbinds)| Body::IndexDeallocate {
            new_index,
            any_index,
            varbinds
        }),
        (oid(), octets()).prop_map(|(id, description)| Body::AddAgentCaps { id, description }),
        oid().prop_map(|id| Body::RemoveAgentCaps { id }),
        (any::<u32>(), any::<u16>(), any::<u16>(), varbinds()).prop_map(|(uptime, error, index, varbinds)| {
            Body::Response { uptime, error: ErrorStatus(error), index, varbinds }
        }),
    ]
}

fn pdu() -> impl Strategy<Value = Pdu> {
    (any::<bool>(), any::<[u32; 3]>(), proptest::option::of(octets()), body()).prop_map(
        |(network, [session, transaction, packet], context, body)| {
            let order = if network { ByteOrder::Network } else { ByteOrder::Little };
            Pdu { order, session, transaction, packet, context, body }
        },
    )
}

proptest! {
    #[test]
    fn decoding_inverts_encoding_and_leaves_what_follows(pdu in pdu(), tail in octets()) {
        let mut bytes = pdu.encode();
        let length = bytes.len();
        bytes.extend(tail);
        prop_assert_eq!(decode(&bytes), Ok((pdu, length)));
    }

    #[test]
    fn every_proper_prefix_asks_for_more_and_never_for_more_than_there_is(pdu in pdu()) {
        let bytes = pdu.encode();
        for end in 0..bytes.len() {
            match decode(&bytes[..end]) {
                Err(DecodeError::Incomplete { needed }) => prop_assert!(end < needed && needed <= bytes.len()),
                other => prop_assert!(false, "{:?} at {}", other, end),
            }
        }
    }

    #[test]
    fn no_bytes_panic_and_what_decodes_encodes_to_the_same_value(mut bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        if bytes.len() >= 20 {
            // A header that lets the payload be looked at.
            bytes.truncate(bytes.len() / 4 * 4);
            let length = u32::try_from(bytes.len() - 20).unwrap();
            bytes[0] = 1;
            bytes[1] %= 19;
            bytes[2] &= 0x1f;
            let little = bytes[2] & flag::NETWORK_BYTE_ORDER == 0;
            bytes[16..20].copy_from_slice(&if little { length.to_le_bytes() } else { length.to_be_bytes() });
            if let Ok((pdu, _)) = decode(&bytes) {
                prop_assert_eq!(decode(&pdu.encode()).unwrap().0, pdu);
            }
        }
    }

    #[test]
    fn one_changed_byte_never_panics(pdu in pdu(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = pdu.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
    }

    #[test]
    fn a_varbind_knows_its_length_on_the_wire(name in oid(), value in value()) {
        let varbind = VarBind { name, value };
        let length = varbind.encoded_len();
        let with = |varbinds| {
            let body = Body::Notify(varbinds);
            Pdu { order: ByteOrder::Little, session: 0, transaction: 0, packet: 0, context: None, body }.encode().len()
        };
        prop_assert_eq!(with(vec![varbind]) - with(vec![]), length);
    }
}

#[test]
fn a_ping_with_the_empty_context_reads_in_either_byte_order() {
    let little = [1, 13, 0x08, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    let network = [1, 13, 0x18, 0, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 4, 0, 0, 0, 0];
    for (bytes, order) in [(little, ByteOrder::Little), (network, ByteOrder::Network)] {
        let pdu = Pdu { order, session: 6, transaction: 7, packet: 8, context: Some(vec![]), body: Body::Ping };
        assert_eq!(decode(&bytes), Ok((pdu.clone(), 24)));
        assert_eq!(pdu.encode(), bytes);
    }
}

#[test]
fn names_below_internet_are_written_with_their_prefix() {
    let body = Body::RemoveAgentCaps { id: Oid::new(&[1, 3, 6, 1, 4, 1, 9586]) };
    let pdu = Pdu { order: ByteOrder::Network, session: 0, transaction: 0, packet: 0, context: None, body };
    assert_eq!(pdu.encode()[20..], [2, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0x25, 0x72]);
    // Written out in full, it is the same name.
    let mut long = pdu.encode()[..20].to_vec();
    long[19] = 32;
    long.extend([7, 0, 0, 0]);
    for id in [1_u32, 3, 6, 1, 4, 1, 9586] {
        long.extend(id.to_be_bytes());
    }
    assert_eq!(decode(&long), Ok((pdu, 52)));
}

#[test]
fn lengths_that_lie_are_malformed_and_cost_nothing() {
    let header = |kind: u8, payload: u32| {
        let mut bytes = vec![1, kind, 0, 0];
        bytes.resize(16, 0);
        bytes.extend(payload.to_le_bytes());
        bytes
    };
    // A payload of 4 GiB, and one that is no multiple of four.
    for payload in [u32::MAX, 0x0100_0000, 5] {
        let malformed = DecodeError::Malformed { at: 16, what: "the payload length" };
        assert_eq!(decode(&header(13, payload)), Err(malformed));
    }
    // A description of 4 GiB in a PDU of twelve bytes.
    let mut bytes = header(16, 8);
    bytes.extend([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(decode(&bytes), Err(DecodeError::Malformed { at: 28, what: "the description" }));
    // 255 sub-identifiers are more than SNMP has.
    let mut bytes = header(17, 4);
    bytes.extend([255, 0, 0, 0]);
    assert_eq!(decode(&bytes), Err(DecodeError::Malformed { at: 24, what: "the id" }));
    // Bytes behind the end.
    let mut bytes = header(9, 4);
    bytes.extend([0; 4]);
    assert_eq!(decode(&bytes), Err(DecodeError::Malformed { at: 20, what: "the end of the PDU" }));
}

#[test]
fn another_protocol_is_told_by_its_first_byte() {
    assert_eq!(decode(b"GET"), Err(DecodeError::Malformed { at: 0, what: "the version" }));
}
