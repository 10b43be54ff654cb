//! Generic netlink: families by name, and the frame around a family's own attributes. Start at [`resolve`].
//!
//! Knows nothing about any family. Requests are built in [`Attributes`]; answers are read with
//! [`socket::attributes`], which is total over bytes.

use std::io;

use netlink_packet_core::{Emitable, NLM_F_ACK, NLM_F_REQUEST};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlMessage};

use super::socket::{self, Arrival, Socket};

pub use netlink_sys::protocols::NETLINK_GENERIC;

/// The number that this kernel gave to a family, `None` if it has no such family.
///
/// The kernel loads the module of a family that somebody asks for, so this may take as long as loading one does.
pub fn resolve(socket: &mut Socket, family: &str) -> io::Result<Option<u16>> {
    let sequence = socket.next_sequence();
    let question = GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![GenlCtrlAttrs::FamilyName(family.to_owned())] };
    let mut batch = Vec::new();
    socket::append(&mut batch, GenlMessage::from_payload(question), NLM_F_REQUEST | NLM_F_ACK, sequence);
    socket.send(&batch)?;
    let mut number = None;
    loop {
        let messages = match socket.receive()? {
            Arrival::Nothing => return Err(io::ErrorKind::TimedOut.into()),
            Arrival::Overrun => continue,
            Arrival::Messages(messages) => messages,
        };
        for message in messages.filter(|message| message.sequence == sequence) {
            match message.answer().map(|answer| answer.errno) {
                Some(None) => return Ok(number),
                Some(Some(libc::ENOENT)) => return Ok(None),
                Some(Some(errno)) => return Err(io::Error::from_raw_os_error(errno)),
                None => number = number.or(family_id(message.payload)),
            }
        }
    }
}

fn family_id(payload: &[u8]) -> Option<u16> {
    let (_, attributes) = split(payload)?;
    let (_, value) = socket::attributes(attributes).find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)?;
    Some(u16::from_ne_bytes(*value.first_chunk()?))
}

const CTRL_ATTR_FAMILY_ID: u16 = 1;

/// Command and attributes of a message; `None` if it is shorter than its header.
pub fn split(payload: &[u8]) -> Option<(u8, &[u8])> {
    let ([command, _version, _, _], attributes) = payload.split_first_chunk()?;
    Some((*command, attributes))
}

/// A family's request: its command and its attributes, already in the kernel's form.
pub trait Request: GenlFamily + Emitable + std::fmt::Debug {}

impl<T: GenlFamily + Emitable + std::fmt::Debug> Request for T {}

/// Appends `request` to a batch, for the family with this number.
pub fn append(batch: &mut Vec<u8>, family: u16, request: impl Request, flags: u16, sequence: u32) {
    let mut message = GenlMessage::from_payload(request);
    message.set_resolved_family_id(family);
    socket::append(batch, message, NLM_F_REQUEST | flags, sequence);
}

/// Attributes under construction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds one attribute. A value longer than an attribute can be is cut; the kernel's policy refuses it before that.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let value = value.get(..VALUE_MAX).unwrap_or(value);
        let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
        self
    }

    pub fn put_u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.put(kind, &[value])
    }

    pub fn put_u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    pub fn put_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// With the NUL at its end.
    pub fn put_text(&mut self, kind: u16, text: &str) -> &mut Self {
        self.put(kind, &[text.as_bytes(), &[0]].concat())
    }

    pub fn put_nest(&mut self, kind: u16, inner: &Attributes) -> &mut Self {
        self.put(kind | NLA_F_NESTED, inner.bytes())
    }
}

const HEADER: usize = 4;
const ALIGNMENT: usize = 4;
const NLA_F_NESTED: u16 = 1 << 15;
/// The longest value whose attribute, padding included, is less than 64 KiB.
const VALUE_MAX: usize = 65_528;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn attributes_come_out_as_they_went_in(
            all in prop::collection::vec((0..0x3fff_u16, prop::collection::vec(any::<u8>(), 0..40)), 0..10),
        ) {
            let mut built = Attributes::default();
            for (kind, value) in &all {
                built.put(*kind, value);
            }
            let read: Vec<_> =
                socket::attributes(built.bytes()).map(|(kind, value)| (kind, value.to_vec())).collect();
            prop_assert_eq!(read, all);
        }

        #[test]
        fn no_answer_of_the_controller_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            family_id(&bytes);
        }
    }

    #[test]
    fn a_value_longer_than_an_attribute_is_cut_and_what_follows_is_still_found() {
        let mut built = Attributes::default();
        built.put(1, &[7; 100_000]).put_u16(2, 9);
        let read: Vec<_> = socket::attributes(built.bytes()).map(|(kind, value)| (kind, value.len())).collect();
        assert_eq!(read, [(1, VALUE_MAX), (2, 2)]);
    }
}
