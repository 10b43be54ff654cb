//! PDUs to bytes.

use super::{Body, ByteOrder, Oid, Pdu, SearchRange, Subtree, Value, VarBind, flag};

impl Pdu {
    pub fn encode(&self) -> Vec<u8> {
        let (kind, mut flags) = self.body.kind();
        if self.context.is_some() {
            flags |= flag::NON_DEFAULT_CONTEXT;
        }
        if self.order == ByteOrder::Network {
            flags |= flag::NETWORK_BYTE_ORDER;
        }
        let mut writer = Writer { bytes: vec![1, kind, flags, 0], order: self.order };
        writer.u32(self.session);
        writer.u32(self.transaction);
        writer.u32(self.packet);
        writer.u32(0);
        if let Some(context) = &self.context {
            writer.octets(context);
        }
        writer.body(&self.body);
        let payload = u32::try_from(writer.bytes.len() - super::HEADER_LEN).unwrap_or(u32::MAX);
        let length = match self.order {
            ByteOrder::Network => payload.to_be_bytes(),
            ByteOrder::Little => payload.to_le_bytes(),
        };
        writer.bytes.splice(16..20, length);
        writer.bytes
    }
}

impl VarBind {
    /// How many bytes this takes in a PDU.
    pub fn encoded_len(&self) -> usize {
        let octets = |octets: &[u8]| 4 + octets.len().next_multiple_of(4);
        let value = match &self.value {
            Value::Integer(_) | Value::Counter32(_) | Value::Gauge32(_) | Value::TimeTicks(_) => 4,
            Value::Counter64(_) => 8,
            Value::OctetString(value) | Value::IpAddress(value) | Value::Opaque(value) => octets(value),
            Value::ObjectIdentifier(oid) => oid_len(oid),
            Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => 0,
        };
        4 + oid_len(&self.name) + value
    }
}

impl Body {
    /// The type number and the flags that belong to it.
    fn kind(&self) -> (u8, u8) {
        let index_flags = |new_index: bool, any_index: bool| {
            (u8::from(new_index) * flag::NEW_INDEX) | (u8::from(any_index) * flag::ANY_INDEX)
        };
        match self {
            Body::Open { .. } => (1, 0),
            Body::Close(_) => (2, 0),
            Body::Register { instance, .. } => (3, u8::from(*instance) * flag::INSTANCE_REGISTRATION),
            Body::Unregister { .. } => (4, 0),
            Body::Get(_) => (5, 0),
            Body::GetNext(_) => (6, 0),
            Body::GetBulk { .. } => (7, 0),
            Body::TestSet(_) => (8, 0),
            Body::CommitSet => (9, 0),
            Body::UndoSet => (10, 0),
            Body::CleanupSet => (11, 0),
            Body::Notify(_) => (12, 0),
            Body::Ping => (13, 0),
            Body::IndexAllocate { new_index, any_index, .. } => (14, index_flags(*new_index, *any_index)),
            Body::IndexDeallocate { new_index, any_index, .. } => (15, index_flags(*new_index, *any_index)),
            Body::AddAgentCaps { .. } => (16, 0),
            Body::RemoveAgentCaps { .. } => (17, 0),
            Body::Response { .. } => (18, 0),
        }
    }
}

struct Writer {
    bytes: Vec<u8>,
    order: ByteOrder,
}

impl Writer {
    fn body(&mut self, body: &Body) {
        match body {
            Body::Open { timeout, id, description } => {
                self.bytes.extend([*timeout, 0, 0, 0]);
                self.oid(id, false);
                self.octets(description);
            }
            Body::Close(reason) => self.bytes.extend([reason.0, 0, 0, 0]),
            Body::Register { timeout, priority, subtree, .. } => self.subtree(*timeout, *priority, subtree),
            Body::Unregister { priority, subtree } => self.subtree(0, *priority, subtree),
            Body::Get(ranges) | Body::GetNext(ranges) => self.ranges(ranges),
            Body::GetBulk { non_repeaters, max_repetitions, ranges } => {
                self.u16(*non_repeaters);
                self.u16(*max_repetitions);
                self.ranges(ranges);
            }
            Body::TestSet(varbinds)
            | Body::Notify(varbinds)
            | Body::IndexAllocate { varbinds, .. }
            | Body::IndexDeallocate { varbinds, .. } => self.varbinds(varbinds),
            Body::CommitSet | Body::UndoSet | Body::CleanupSet | Body::Ping => {}
            Body::AddAgentCaps { id, description } => {
                self.oid(id, false);
                self.octets(description);
            }
            Body::RemoveAgentCaps { id } => self.oid(id, false),
            Body::Response { uptime, error, index, varbinds } => {
                self.u32(*uptime);
                self.u16(error.0);
                self.u16(*index);
                self.varbinds(varbinds);
            }
        }
    }

    fn subtree(&mut self, timeout: u8, priority: u8, subtree: &Subtree) {
        let range = subtree.range.map_or(0, |(at, _)| at);
        self.bytes.extend([timeout, priority, range, 0]);
        self.oid(&subtree.root, false);
        if let Some((_, upper)) = subtree.range {
            self.u32(upper);
        }
    }

    fn ranges(&mut self, ranges: &[SearchRange]) {
        for range in ranges {
            self.oid(&range.start, range.include);
            self.oid(&range.end, false);
        }
    }

    fn varbinds(&mut self, varbinds: &[VarBind]) {
        for varbind in varbinds {
            self.varbind(varbind);
        }
    }

    fn varbind(&mut self, varbind: &VarBind) {
        let kind = match &varbind.value {
            Value::Integer(_) => 2,
            Value::OctetString(_) => 4,
            Value::Null => 5,
            Value::ObjectIdentifier(_) => 6,
            Value::IpAddress(_) => 64,
            Value::Counter32(_) => 65,
            Value::Gauge32(_) => 66,
            Value::TimeTicks(_) => 67,
            Value::Opaque(_) => 68,
            Value::Counter64(_) => 70,
            Value::NoSuchObject => 128,
            Value::NoSuchInstance => 129,
            Value::EndOfMibView => 130,
        };
        self.u16(kind);
        self.u16(0);
        self.oid(&varbind.name, false);
        match &varbind.value {
            Value::Integer(value) => self.u32(value.cast_unsigned()),
            Value::OctetString(value) | Value::IpAddress(value) | Value::Opaque(value) => self.octets(value),
            Value::ObjectIdentifier(oid) => self.oid(oid, false),
            Value::Counter32(value) | Value::Gauge32(value) | Value::TimeTicks(value) => self.u32(*value),
            Value::Counter64(value) => match self.order {
                ByteOrder::Network => self.bytes.extend(value.to_be_bytes()),
                ByteOrder::Little => self.bytes.extend(value.to_le_bytes()),
            },
            Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {}
        }
    }

    fn oid(&mut self, oid: &Oid, include: bool) {
        let (prefix, rest) = compress(oid);
        let count = u8::try_from(rest.len()).expect("an OID has at most 128 sub-identifiers");
        self.bytes.extend([count, prefix, u8::from(include), 0]);
        for id in rest {
            self.u32(*id);
        }
    }

    fn octets(&mut self, octets: &[u8]) {
        self.u32(u32::try_from(octets.len()).unwrap_or(u32::MAX));
        self.bytes.extend(octets);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend(match self.order {
            ByteOrder::Network => value.to_be_bytes(),
            ByteOrder::Little => value.to_le_bytes(),
        });
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend(match self.order {
            ByteOrder::Network => value.to_be_bytes(),
            ByteOrder::Little => value.to_le_bytes(),
        });
    }
}

/// The prefix field, and the sub-identifiers that remain: 1.3.6.1.x is written as x (RFC 2741 section 5.1).
fn compress(oid: &Oid) -> (u8, &[u32]) {
    match **oid {
        [1, 3, 6, 1, x @ 1..=255, ref rest @ ..] => (x as u8, rest),
        ref whole => (0, whole),
    }
}

fn oid_len(oid: &Oid) -> usize {
    4 + 4 * compress(oid).1.len()
}
