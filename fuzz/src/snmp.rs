//! Datagrams to an SNMP agent or to a sender of informs: what decodes comes back from its own encoding, which is not longer.
#![no_main]

use keepwatch::wire::oid::Oid;
use keepwatch::wire::snmp::{Message, TrapV1, decode, decode_located, decode_scoped};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((message, auth_at)) = decode_located(data) {
        assert!(auth_at.end <= data.len());
        let again = message.encode();
        assert!(again.len() <= data.len());
        assert_eq!(decode(&again).as_ref(), Ok(&message));
        if let Message::V2c { pdu, .. } = &message {
            let oid = pdu.varbinds.first().map_or(Oid::default(), |varbind| varbind.name.clone());
            let _ = TrapV1::from_v2(&oid, &pdu.varbinds, 1, [192, 0, 2, 1].into());
        }
    }
    if let Ok(scoped) = decode_scoped(data) {
        assert_eq!(decode_scoped(&scoped.encode()), Ok(scoped));
    }
});
