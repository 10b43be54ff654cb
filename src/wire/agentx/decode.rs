//! Bytes to PDUs.

use super::{Body, ByteOrder, CloseReason, ErrorStatus, HEADER_LEN, PAYLOAD_MAX, Pdu, SearchRange, Subtree, flag};
use super::{Oid, Value, VarBind};

/// Why a byte string is not (yet) a PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Read on: the PDU at the front is at least `needed` bytes long, exactly so once its header is there.
    #[error("incomplete: {needed} bytes are needed")]
    Incomplete { needed: usize },
    /// Close the session (RFC 2741 section 6.2.2, reasonParseError): byte `at` cannot be `what`.
    #[error("byte {at} cannot be {what}")]
    Malformed { at: usize, what: &'static str },
}

/// Takes one PDU off the front of `bytes` and says how long it was.
///
/// Nothing is allocated that the bytes at hand do not pay for: lists grow as their items are read.
pub fn decode(bytes: &[u8]) -> Result<(Pdu, usize), DecodeError> {
    // Said at once, not after twenty bytes: who speaks another protocol may never send that many.
    if bytes.first().is_some_and(|version| *version != 1) {
        return Err(DecodeError::Malformed { at: 0, what: "the version" });
    }
    let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
        return Err(DecodeError::Incomplete { needed: HEADER_LEN });
    };
    let [_, kind, flags, ..] = *header;
    let order = if flags & flag::NETWORK_BYTE_ORDER != 0 { ByteOrder::Network } else { ByteOrder::Little };
    let mut reader = Reader { whole: bytes.len(), rest: bytes.get(4..).unwrap_or_default(), order };
    let session = reader.u32("the session")?;
    let transaction = reader.u32("the transaction")?;
    let packet = reader.u32("the packet")?;
    let payload = reader.u32("the payload length")? as usize;
    if payload > PAYLOAD_MAX || !payload.is_multiple_of(4) {
        return Err(DecodeError::Malformed { at: 16, what: "the payload length" });
    }
    let needed = HEADER_LEN + payload;
    let Some(whole) = bytes.get(..needed) else {
        return Err(DecodeError::Incomplete { needed });
    };

    let mut reader = Reader { whole: needed, rest: whole.get(HEADER_LEN..).unwrap_or_default(), order };
    let context = match flags & flag::NON_DEFAULT_CONTEXT {
        0 => None,
        _ => Some(reader.octets("the context")?),
    };
    let body = reader.body(kind, flags)?;
    if !reader.rest.is_empty() {
        return Err(reader.malformed("the end of the PDU"));
    }
    Ok((Pdu { order, session, transaction, packet, context, body }, needed))
}

/// The one place where bytes become numbers: every read is checked, none can panic.
struct Reader<'a> {
    whole: usize,
    rest: &'a [u8],
    order: ByteOrder,
}

impl Reader<'_> {
    fn body(&mut self, kind: u8, flags: u8) -> Result<Body, DecodeError> {
        let new_index = flags & flag::NEW_INDEX != 0;
        let any_index = flags & flag::ANY_INDEX != 0;
        Ok(match kind {
            1 => {
                let [timeout, ..] = self.bytes::<4>("the timeout")?;
                Body::Open { timeout, id: self.oid("the id")?.0, description: self.octets("the description")? }
            }
            2 => Body::Close(CloseReason(self.bytes::<4>("the reason")?[0])),
            3 => {
                let [timeout, priority, range, _] = self.bytes::<4>("the registration")?;
                let instance = flags & flag::INSTANCE_REGISTRATION != 0;
                Body::Register { timeout, priority, instance, subtree: self.subtree(range)? }
            }
            4 => {
                let [_, priority, range, _] = self.bytes::<4>("the registration")?;
                Body::Unregister { priority, subtree: self.subtree(range)? }
            }
            5 => Body::Get(self.ranges()?),
            6 => Body::GetNext(self.ranges()?),
            7 => Body::GetBulk {
                non_repeaters: self.u16("the non-repeaters")?,
                max_repetitions: self.u16("the max-repetitions")?,
                ranges: self.ranges()?,
            },
            8 => Body::TestSet(self.varbinds()?),
            9 => Body::CommitSet,
            10 => Body::UndoSet,
            11 => Body::CleanupSet,
            12 => Body::Notify(self.varbinds()?),
            13 => Body::Ping,
            14 => Body::IndexAllocate { new_index, any_index, varbinds: self.varbinds()? },
            15 => Body::IndexDeallocate { new_index, any_index, varbinds: self.varbinds()? },
            16 => Body::AddAgentCaps { id: self.oid("the id")?.0, description: self.octets("the description")? },
            17 => Body::RemoveAgentCaps { id: self.oid("the id")?.0 },
            18 => Body::Response {
                uptime: self.u32("sysUpTime")?,
                error: ErrorStatus(self.u16("the error")?),
                index: self.u16("the error index")?,
                varbinds: self.varbinds()?,
            },
            _ => return Err(DecodeError::Malformed { at: 1, what: "the type" }),
        })
    }

    fn subtree(&mut self, range: u8) -> Result<Subtree, DecodeError> {
        let root = self.oid("the subtree")?.0;
        let range = match range {
            0 => None,
            at if usize::from(at) > root.len() => return Err(self.malformed("the range sub-identifier")),
            at => Some((at, self.u32("the upper bound")?)),
        };
        Ok(Subtree { root, range })
    }

    fn ranges(&mut self) -> Result<Vec<SearchRange>, DecodeError> {
        let mut ranges = Vec::new();
        while !self.rest.is_empty() {
            let (start, include) = self.oid("the start of a range")?;
            let (end, _) = self.oid("the end of a range")?;
            ranges.push(SearchRange { start, include, end });
        }
        Ok(ranges)
    }

    fn varbinds(&mut self) -> Result<Vec<VarBind>, DecodeError> {
        let mut varbinds = Vec::new();
        while !self.rest.is_empty() {
            varbinds.push(self.varbind()?);
        }
        Ok(varbinds)
    }

    fn varbind(&mut self) -> Result<VarBind, DecodeError> {
        let kind = self.u16("the type of a value")?;
        let _reserved = self.u16("a reserved field")?;
        let name = self.oid("the name of a variable")?.0;
        let value = match kind {
            2 => Value::Integer(self.u32("an integer")?.cast_signed()),
            4 => Value::OctetString(self.octets("an octet string")?),
            5 => Value::Null,
            6 => Value::ObjectIdentifier(self.oid("an object identifier")?.0),
            64 => Value::IpAddress(self.octets("an address")?),
            65 => Value::Counter32(self.u32("a counter")?),
            66 => Value::Gauge32(self.u32("a gauge")?),
            67 => Value::TimeTicks(self.u32("time ticks")?),
            68 => Value::Opaque(self.octets("an opaque value")?),
            70 => Value::Counter64(self.u64("a counter")?),
            128 => Value::NoSuchObject,
            129 => Value::NoSuchInstance,
            130 => Value::EndOfMibView,
            _ => return Err(self.malformed("the value of such a type")),
        };
        Ok(VarBind { name, value })
    }

    /// An object identifier and its include field (RFC 2741 section 5.1).
    fn oid(&mut self, what: &'static str) -> Result<(Oid, bool), DecodeError> {
        let [count, prefix, include, _] = self.bytes::<4>(what)?;
        let mut oid = match prefix {
            0 => Oid::default(),
            prefix => Oid::new(&[1, 3, 6, 1, prefix.into()]),
        };
        if oid.len() + usize::from(count) > Oid::MAX_LEN {
            return Err(self.malformed(what));
        }
        for _ in 0..count {
            oid.push(self.u32(what)?);
        }
        Ok((oid, include != 0))
    }

    /// An octet string: its length, its octets, and padding to four (RFC 2741 section 5.3).
    fn octets(&mut self, what: &'static str) -> Result<Vec<u8>, DecodeError> {
        let length = self.u32(what)? as usize;
        let octets = self.rest.get(..length).ok_or_else(|| self.malformed(what))?.to_vec();
        self.rest = self.rest.get(length.next_multiple_of(4)..).ok_or_else(|| self.malformed(what))?;
        Ok(octets)
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        let bytes = self.bytes(what)?;
        Ok(match self.order {
            ByteOrder::Network => u16::from_be_bytes(bytes),
            ByteOrder::Little => u16::from_le_bytes(bytes),
        })
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        let bytes = self.bytes(what)?;
        Ok(match self.order {
            ByteOrder::Network => u32::from_be_bytes(bytes),
            ByteOrder::Little => u32::from_le_bytes(bytes),
        })
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let bytes = self.bytes(what)?;
        Ok(match self.order {
            ByteOrder::Network => u64::from_be_bytes(bytes),
            ByteOrder::Little => u64::from_le_bytes(bytes),
        })
    }

    fn bytes<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.malformed(what))?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn malformed(&self, what: &'static str) -> DecodeError {
        DecodeError::Malformed { at: self.whole - self.rest.len(), what }
    }
}
