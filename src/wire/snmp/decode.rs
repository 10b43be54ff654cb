//! Bytes to messages.

use std::net::Ipv4Addr;
use std::ops::Range;

use super::ber::{Element, Reader, id};
use super::{
    DecodeError, MAX_SIZE_LEAST, Message, Pdu, PduKind, ScopedData, ScopedPdu, TrapV1, UsmParameters, V1Body,
    V3Message, Value, VarBind, flag,
};

type Result<T> = std::result::Result<T, DecodeError>;

/// A whole datagram. Nothing may follow the message; nothing is allocated by a length that it claims.
pub fn decode(datagram: &[u8]) -> Result<Message> {
    decode_located(datagram).map(|(message, _)| message)
}

/// With where msgAuthenticationParameters stand, for who checks them; empty in versions without.
pub fn decode_located(datagram: &[u8]) -> Result<(Message, Range<usize>)> {
    let mut datagram = Reader::new(datagram);
    let mut message = datagram.sequence("a message")?;
    datagram.end("the end of the message")?;
    let version = message.integer("a version")?;
    let mut auth_at = 0..0;
    let decoded = match version {
        0 => Message::V1 { community: message.octets("a community")?.to_vec(), body: v1_body(&mut message)? },
        1 => Message::V2c { community: message.octets("a community")?.to_vec(), pdu: pdu(&mut message)? },
        3 => {
            let (v3, at) = v3(&mut message)?;
            auth_at = at;
            Message::V3(v3)
        }
        other => return Err(DecodeError::Version(other)),
    };
    message.end("the end of the message")?;
    Ok((decoded, auth_at))
}

/// What was encrypted.
pub fn decode_scoped(bytes: &[u8]) -> Result<ScopedPdu> {
    let mut reader = Reader::new(bytes);
    let decoded = scoped(&mut reader)?;
    reader.end("the end of the scoped PDU")?;
    Ok(decoded)
}

fn v1_body(message: &mut Reader<'_>) -> Result<V1Body> {
    let error = message.error("a PDU of SNMPv1");
    let element = message.element("a PDU")?;
    if element.id == id::TRAP_V1 {
        return trap_v1(element.content).map(V1Body::Trap);
    }
    let kind = kind(element.id).filter(|kind| (*kind as u8) < 4).ok_or(error)?;
    Ok(V1Body::Pdu(pdu_content(kind, element.content)?))
}

fn pdu(message: &mut Reader<'_>) -> Result<Pdu> {
    let error = message.error("a PDU");
    let element = message.element("a PDU")?;
    pdu_content(kind(element.id).ok_or(error)?, element.content)
}

fn kind(identifier: u8) -> Option<PduKind> {
    Some(match identifier.checked_sub(id::PDU)? {
        0 => PduKind::Get,
        1 => PduKind::GetNext,
        2 => PduKind::Response,
        3 => PduKind::Set,
        5 => PduKind::GetBulk,
        6 => PduKind::Inform,
        7 => PduKind::TrapV2,
        8 => PduKind::Report,
        _ => return None,
    })
}

fn pdu_content(kind: PduKind, mut content: Reader<'_>) -> Result<Pdu> {
    let pdu = Pdu {
        kind,
        request_id: content.integer("a request-id")?,
        error_status: content.integer("an error-status")?,
        error_index: content.integer("an error-index")?,
        varbinds: varbinds(&mut content)?,
    };
    content.end("the end of the PDU")?;
    Ok(pdu)
}

fn trap_v1(mut content: Reader<'_>) -> Result<TrapV1> {
    let enterprise = content.oid("an enterprise")?;
    let error = content.error("an agent address");
    let agent = content.expect(id::IP_ADDRESS, "an agent address")?;
    let agent = <[u8; 4]>::try_from(agent.bytes()).map_err(|_| error)?;
    let trap = TrapV1 {
        enterprise,
        agent: Ipv4Addr::from(agent),
        generic: content.integer("a generic trap")?,
        specific: content.integer("a specific trap")?,
        uptime: content.expect(id::TIME_TICKS, "a time stamp")?.as_u32("a time stamp")?,
        varbinds: varbinds(&mut content)?,
    };
    content.end("the end of the trap")?;
    Ok(trap)
}

/// As many as there are: each takes some octets, so that the datagram's length bounds them.
fn varbinds(content: &mut Reader<'_>) -> Result<Vec<VarBind>> {
    let mut list = content.sequence("variable bindings")?;
    let mut varbinds = Vec::new();
    while !list.is_empty() {
        let mut varbind = list.sequence("a variable binding")?;
        let name = varbind.oid("a name")?;
        let value = value(varbind.element("a value")?)?;
        varbind.end("the end of the variable binding")?;
        varbinds.push(VarBind { name, value });
    }
    Ok(varbinds)
}

fn value(element: Element<'_>) -> Result<Value> {
    let content = element.content;
    let empty = |value: Value| content.end("nothing").map(|()| value);
    match element.id {
        id::INTEGER => content.as_i32("an Integer32").map(Value::Integer),
        id::OCTET_STRING => Ok(Value::OctetString(content.bytes().to_vec())),
        id::NULL => empty(Value::Null),
        id::OBJECT_IDENTIFIER => content.as_oid("an OID").map(Value::ObjectIdentifier),
        id::IP_ADDRESS if content.bytes().len() == 4 => Ok(Value::IpAddress(content.bytes().to_vec())),
        id::COUNTER32 => content.as_u32("a Counter32").map(Value::Counter32),
        id::GAUGE32 => content.as_u32("a Gauge32").map(Value::Gauge32),
        id::TIME_TICKS => content.as_u32("TimeTicks").map(Value::TimeTicks),
        id::OPAQUE => Ok(Value::Opaque(content.bytes().to_vec())),
        id::COUNTER64 => content.as_u64("a Counter64").map(Value::Counter64),
        id::NO_SUCH_OBJECT => empty(Value::NoSuchObject),
        id::NO_SUCH_INSTANCE => empty(Value::NoSuchInstance),
        id::END_OF_MIB_VIEW => empty(Value::EndOfMibView),
        _ => Err(content.error("a value of a type that SNMP has")),
    }
}

fn v3(message: &mut Reader<'_>) -> Result<(V3Message, Range<usize>)> {
    let mut header = message.sequence("global data")?;
    let message_id = header.natural(0, "a message id")?;
    let max_size = header.natural(MAX_SIZE_LEAST, "the longest message")?;
    let error = header.error("flags");
    let flags = header.octets("flags")?;
    let [flags] = *flags else { return Err(error) };
    let model = header.integer("a security model")?;
    header.end("the end of the global data")?;
    if model != 3 {
        return Err(DecodeError::SecurityModel(model));
    }
    if flags & (flag::AUTH | flag::PRIVACY) == flag::PRIVACY {
        return Err(DecodeError::Flags(flags));
    }
    let mut outer = message.expect(id::OCTET_STRING, "security parameters")?;
    let (security, auth_at) = usm_parameters(&mut outer)?;
    outer.end("the end of the security parameters")?;
    let data = if flags & flag::PRIVACY == 0 {
        ScopedData::Plain(scoped(message)?)
    } else {
        ScopedData::Encrypted(message.octets("an encrypted PDU")?.to_vec())
    };
    Ok((V3Message { message_id: message_id as i32, max_size, flags, security, data }, auth_at))
}

fn usm_parameters(outer: &mut Reader<'_>) -> Result<(UsmParameters, Range<usize>)> {
    let mut content = outer.sequence("security parameters")?;
    let engine_id = content.octets("an engine id")?.to_vec();
    let boots = content.natural(0, "an engine's boots")?;
    let time = content.natural(0, "an engine's time")?;
    let user = content.octets("a user")?.to_vec();
    let auth = content.expect(id::OCTET_STRING, "authentication parameters")?;
    let auth_at = auth.at()..auth.at() + auth.bytes().len();
    let privacy = content.octets("privacy parameters")?.to_vec();
    content.end("the end of the security parameters")?;
    let auth = auth.bytes().to_vec();
    Ok((UsmParameters { engine_id, boots, time, user, auth, privacy }, auth_at))
}

fn scoped(message: &mut Reader<'_>) -> Result<ScopedPdu> {
    let mut content = message.sequence("a scoped PDU")?;
    let scoped = ScopedPdu {
        context_engine_id: content.octets("a context's engine id")?.to_vec(),
        context_name: content.octets("a context's name")?.to_vec(),
        pdu: pdu(&mut content)?,
    };
    content.end("the end of the scoped PDU")?;
    Ok(scoped)
}
