//! Messages to bytes: sizes first, from the inside out, then one pass.

use std::ops::Range;

use super::ber::{Writer, element_len, id, integer_len, oid_len, unsigned_len};
use super::{Message, Pdu, ScopedData, ScopedPdu, TrapV1, UsmParameters, V1Body, V3Message, Value, VarBind};

/// The bytes, and where in them msgAuthenticationParameters stand.
pub fn message(message: &Message) -> (Vec<u8>, Range<usize>) {
    let (content, version) = match message {
        Message::V1 { community, body } => (element_len(community.len()) + v1_body_len(body), 0),
        Message::V2c { community, pdu } => (element_len(community.len()) + element_len(pdu_len(pdu)), 1),
        Message::V3(message) => (v3_len(message), 3),
    };
    let content = integer(version) + content;
    let mut writer = Writer::with_capacity(element_len(content));
    writer.header(id::SEQUENCE, content);
    writer.integer(version);
    let mut auth_at = 0..0;
    match message {
        Message::V1 { community, body } => {
            writer.octets(id::OCTET_STRING, community);
            match body {
                V1Body::Pdu(pdu) => write_pdu(&mut writer, pdu),
                V1Body::Trap(trap) => write_trap_v1(&mut writer, trap),
            }
        }
        Message::V2c { community, pdu } => {
            writer.octets(id::OCTET_STRING, community);
            write_pdu(&mut writer, pdu);
        }
        Message::V3(message) => auth_at = write_v3(&mut writer, message),
    }
    (writer.bytes, auth_at)
}

pub fn scoped(scoped: &ScopedPdu) -> Vec<u8> {
    let mut writer = Writer::with_capacity(element_len(scoped_len(scoped)));
    write_scoped(&mut writer, scoped);
    writer.bytes
}

/// The whole element.
pub fn varbind_len(varbind: &VarBind) -> usize {
    element_len(binding_len(varbind))
}

fn integer(number: i32) -> usize {
    element_len(integer_len(number.into()))
}

fn v1_body_len(body: &V1Body) -> usize {
    element_len(match body {
        V1Body::Pdu(pdu) => pdu_len(pdu),
        V1Body::Trap(trap) => trap_v1_len(trap),
    })
}

// What follows counts and writes contents, each pair in the same order.

fn pdu_len(pdu: &Pdu) -> usize {
    let numbers = integer(pdu.request_id) + integer(pdu.error_status) + integer(pdu.error_index);
    numbers + element_len(varbinds_len(&pdu.varbinds))
}

fn write_pdu(writer: &mut Writer, pdu: &Pdu) {
    writer.header(id::PDU + pdu.kind as u8, pdu_len(pdu));
    writer.integer(pdu.request_id);
    writer.integer(pdu.error_status);
    writer.integer(pdu.error_index);
    write_varbinds(writer, &pdu.varbinds);
}

fn trap_v1_len(trap: &TrapV1) -> usize {
    let numbers = integer(trap.generic) + integer(trap.specific) + element_len(unsigned_len(trap.uptime.into()));
    element_len(oid_len(&trap.enterprise)) + element_len(4) + numbers + element_len(varbinds_len(&trap.varbinds))
}

fn write_trap_v1(writer: &mut Writer, trap: &TrapV1) {
    writer.header(id::TRAP_V1, trap_v1_len(trap));
    writer.oid(&trap.enterprise);
    writer.octets(id::IP_ADDRESS, &trap.agent.octets());
    writer.integer(trap.generic);
    writer.integer(trap.specific);
    writer.unsigned(id::TIME_TICKS, trap.uptime.into());
    write_varbinds(writer, &trap.varbinds);
}

fn varbinds_len(varbinds: &[VarBind]) -> usize {
    varbinds.iter().map(varbind_len).sum()
}

fn write_varbinds(writer: &mut Writer, varbinds: &[VarBind]) {
    writer.header(id::SEQUENCE, varbinds_len(varbinds));
    for varbind in varbinds {
        writer.header(id::SEQUENCE, binding_len(varbind));
        writer.oid(&varbind.name);
        write_value(writer, &varbind.value);
    }
}

fn binding_len(varbind: &VarBind) -> usize {
    let value = match &varbind.value {
        Value::Integer(number) => integer_len((*number).into()),
        Value::OctetString(octets) | Value::IpAddress(octets) | Value::Opaque(octets) => octets.len(),
        Value::ObjectIdentifier(oid) => oid_len(oid),
        Value::Counter32(number) | Value::Gauge32(number) | Value::TimeTicks(number) => unsigned_len((*number).into()),
        Value::Counter64(number) => unsigned_len(*number),
        Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => 0,
    };
    element_len(oid_len(&varbind.name)) + element_len(value)
}

fn write_value(writer: &mut Writer, value: &Value) {
    match value {
        Value::Integer(number) => writer.integer(*number),
        Value::OctetString(octets) => writer.octets(id::OCTET_STRING, octets),
        Value::Null => writer.header(id::NULL, 0),
        Value::ObjectIdentifier(oid) => writer.oid(oid),
        Value::IpAddress(octets) => writer.octets(id::IP_ADDRESS, octets),
        Value::Counter32(number) => writer.unsigned(id::COUNTER32, (*number).into()),
        Value::Gauge32(number) => writer.unsigned(id::GAUGE32, (*number).into()),
        Value::TimeTicks(number) => writer.unsigned(id::TIME_TICKS, (*number).into()),
        Value::Opaque(octets) => writer.octets(id::OPAQUE, octets),
        Value::Counter64(number) => writer.unsigned(id::COUNTER64, *number),
        Value::NoSuchObject => writer.header(id::NO_SUCH_OBJECT, 0),
        Value::NoSuchInstance => writer.header(id::NO_SUCH_INSTANCE, 0),
        Value::EndOfMibView => writer.header(id::END_OF_MIB_VIEW, 0),
    }
}

fn v3_len(message: &V3Message) -> usize {
    let data = match &message.data {
        ScopedData::Plain(scoped) => scoped_len(scoped),
        ScopedData::Encrypted(octets) => octets.len(),
    };
    element_len(global_data_len(message)) + element_len(element_len(usm_len(&message.security))) + element_len(data)
}

/// msgVersion is written already.
fn write_v3(writer: &mut Writer, message: &V3Message) -> Range<usize> {
    writer.header(id::SEQUENCE, global_data_len(message));
    writer.integer(message.message_id);
    writer.unsigned(id::INTEGER, message.max_size.into());
    writer.octets(id::OCTET_STRING, &[message.flags]);
    writer.integer(3);
    writer.header(id::OCTET_STRING, element_len(usm_len(&message.security)));
    let auth_at = write_usm(writer, &message.security);
    match &message.data {
        ScopedData::Plain(scoped) => write_scoped(writer, scoped),
        ScopedData::Encrypted(octets) => writer.octets(id::OCTET_STRING, octets),
    }
    auth_at
}

fn global_data_len(message: &V3Message) -> usize {
    integer(message.message_id) + element_len(unsigned_len(message.max_size.into())) + element_len(1) + integer(3)
}

fn usm_len(usm: &UsmParameters) -> usize {
    let numbers = element_len(unsigned_len(usm.boots.into())) + element_len(unsigned_len(usm.time.into()));
    let octets = [&usm.engine_id, &usm.user, &usm.auth, &usm.privacy].map(|octets| element_len(octets.len()));
    numbers + octets.iter().sum::<usize>()
}

fn write_usm(writer: &mut Writer, usm: &UsmParameters) -> Range<usize> {
    writer.header(id::SEQUENCE, usm_len(usm));
    writer.octets(id::OCTET_STRING, &usm.engine_id);
    writer.unsigned(id::INTEGER, usm.boots.into());
    writer.unsigned(id::INTEGER, usm.time.into());
    writer.octets(id::OCTET_STRING, &usm.user);
    writer.octets(id::OCTET_STRING, &usm.auth);
    let end = writer.bytes.len();
    writer.octets(id::OCTET_STRING, &usm.privacy);
    end - usm.auth.len()..end
}

fn scoped_len(scoped: &ScopedPdu) -> usize {
    let context = element_len(scoped.context_engine_id.len()) + element_len(scoped.context_name.len());
    context + element_len(pdu_len(&scoped.pdu))
}

fn write_scoped(writer: &mut Writer, scoped: &ScopedPdu) {
    writer.header(id::SEQUENCE, scoped_len(scoped));
    writer.octets(id::OCTET_STRING, &scoped.context_engine_id);
    writer.octets(id::OCTET_STRING, &scoped.context_name);
    write_pdu(writer, &scoped.pdu);
}
