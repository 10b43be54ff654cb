//! Basic encoding rules as SNMP uses them (RFC 3417 section 8): the one place where bytes become numbers and back.
//!
//! Reading stands on der-parser and asn1-rs, and refuses what they accept and SNMP does not: indefinite lengths, empty
//! integers, numbers that do not fit. Writing is our own: sizes are known beforehand, so that a message takes one pass
//! and one allocation, where a tree of ASN.1 objects would take one for each. OIDs are our own both ways, as those of
//! asn1-rs lose an arc of 0.0 and split first arcs of 2 wrongly.

use asn1_rs::{Any, Class, Header, Length, Tag};
use der_parser::ber::ber_read_element_header;

use super::{DecodeError, Oid};

/// Identifier octets. SNMP has no tag above 30, so that one octet says all.
pub mod id {
    pub const INTEGER: u8 = 0x02;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OBJECT_IDENTIFIER: u8 = 0x06;
    pub const SEQUENCE: u8 = 0x30;
    pub const IP_ADDRESS: u8 = 0x40;
    pub const COUNTER32: u8 = 0x41;
    pub const GAUGE32: u8 = 0x42;
    pub const TIME_TICKS: u8 = 0x43;
    pub const OPAQUE: u8 = 0x44;
    pub const COUNTER64: u8 = 0x46;
    pub const NO_SUCH_OBJECT: u8 = 0x80;
    pub const NO_SUCH_INSTANCE: u8 = 0x81;
    pub const END_OF_MIB_VIEW: u8 = 0x82;
    /// Of PDU 0; the others follow.
    pub const PDU: u8 = 0xa0;
    pub const TRAP_V1: u8 = 0xa4;
}

/// Bytes not yet read, and where in the datagram they stand.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

/// Identifier and content of one element.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    pub id: u8,
    pub content: Reader<'a>,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes, at: 0 }
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// Where in the datagram the next byte stands.
    pub fn at(&self) -> usize {
        self.at
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn error(&self, what: &'static str) -> DecodeError {
        DecodeError::Malformed { at: self.at, what }
    }

    /// Nothing may follow.
    pub fn end(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error(what)) }
    }

    /// The next element, whatever it is.
    pub fn element(&mut self, what: &'static str) -> Result<Element<'a>, DecodeError> {
        let error = self.error(what);
        let (behind, header) = ber_read_element_header(self.rest).map_err(|_| error)?;
        let Length::Definite(length) = header.length() else { return Err(error) };
        let (content, rest) = behind.split_at_checked(length).ok_or(error)?;
        let id = identifier(&header).ok_or(error)?;
        let content_at = self.at + (self.rest.len() - behind.len());
        *self = Reader { rest, at: content_at + length };
        Ok(Element { id, content: Reader { rest: content, at: content_at } })
    }

    /// The content of the next element, which has this identifier.
    pub fn expect(&mut self, id: u8, what: &'static str) -> Result<Reader<'a>, DecodeError> {
        let error = self.error(what);
        let element = self.element(what)?;
        if element.id == id { Ok(element.content) } else { Err(error) }
    }

    pub fn sequence(&mut self, what: &'static str) -> Result<Reader<'a>, DecodeError> {
        self.expect(id::SEQUENCE, what)
    }

    pub fn octets(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        Ok(self.expect(id::OCTET_STRING, what)?.rest)
    }

    pub fn integer(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        self.expect(id::INTEGER, what)?.as_i32(what)
    }

    /// INTEGER (least..2147483647).
    pub fn natural(&mut self, least: u32, what: &'static str) -> Result<u32, DecodeError> {
        let error = self.error(what);
        u32::try_from(self.integer(what)?).ok().filter(|number| *number >= least).ok_or(error)
    }

    pub fn oid(&mut self, what: &'static str) -> Result<Oid, DecodeError> {
        self.expect(id::OBJECT_IDENTIFIER, what)?.as_oid(what)
    }

    /// All of it as the content of an INTEGER.
    pub fn as_i32(&self, what: &'static str) -> Result<i32, DecodeError> {
        self.number(what, |any| i32::try_from(any).ok())
    }

    /// All of it as the content of a type that is an INTEGER (0..4294967295) under another name.
    pub fn as_u32(&self, what: &'static str) -> Result<u32, DecodeError> {
        self.number(what, |any| u32::try_from(any).ok())
    }

    pub fn as_u64(&self, what: &'static str) -> Result<u64, DecodeError> {
        self.number(what, |any| u64::try_from(any).ok())
    }

    fn number<T>(&self, what: &'static str, convert: impl Fn(Any<'a>) -> Option<T>) -> Result<T, DecodeError> {
        if self.rest.is_empty() {
            return Err(self.error(what));
        }
        let header = Header::new(Class::Universal, false, Tag::Integer, Length::Definite(self.rest.len()));
        convert(Any::new(header, self.rest)).ok_or(self.error(what))
    }

    /// All of it as the content of an OBJECT IDENTIFIER (X.690 section 8.19).
    pub fn as_oid(&self, what: &'static str) -> Result<Oid, DecodeError> {
        /// The largest first sub-identifier: it carries two arcs, and the second of 2 has no bound.
        const FIRST_MAX: u64 = u32::MAX as u64 + 80;
        let error = self.error(what);
        let mut oid = Oid::default();
        let (mut id, mut begun) = (0_u64, false);
        for octet in self.rest {
            if !begun && *octet == 0x80 {
                return Err(error);
            }
            id = id << 7 | u64::from(octet & 0x7f);
            if id > FIRST_MAX {
                return Err(error);
            }
            begun = octet & 0x80 != 0;
            if begun {
                continue;
            }
            if oid.is_empty() {
                let first = (id / 40).min(2);
                oid.push(first as u32);
                id -= 40 * first;
            }
            oid.push(u32::try_from(id).map_err(|_| error)?);
            if oid.len() > Oid::MAX_LEN {
                return Err(error);
            }
            id = 0;
        }
        if begun || oid.is_empty() { Err(error) } else { Ok(oid) }
    }
}

/// Class, form and number in one octet; none for numbers above 30.
fn identifier(header: &Header<'_>) -> Option<u8> {
    let class = match header.class() {
        Class::Universal => 0x00,
        Class::Application => 0x40,
        Class::ContextSpecific => 0x80,
        Class::Private => 0xc0,
    };
    let number = u8::try_from(header.tag().0).ok().filter(|number| *number < 31)?;
    Some(class | u8::from(header.constructed()) << 5 | number)
}

/// Octets of an element with this much content.
pub fn element_len(content: usize) -> usize {
    1 + length_len(content) + content
}

fn length_len(length: usize) -> usize {
    if length < 0x80 { 1 } else { 1 + size_of::<usize>() - length.leading_zeros() as usize / 8 }
}

/// Octets of the content of an INTEGER.
pub fn integer_len(number: i64) -> usize {
    // One bit for the sign.
    let bits = 65 - if number < 0 { (!number).leading_zeros() } else { number.leading_zeros() };
    bits.div_ceil(8) as usize
}

/// The same without a sign.
pub fn unsigned_len(number: u64) -> usize {
    (65 - number.leading_zeros()).div_ceil(8) as usize
}

/// The first two arcs as one (X.690 section 8.19.4), and the others. What has fewer than two is filled up with zeros, as
/// net-snmp does.
fn arcs(oid: &Oid) -> (u64, &[u32]) {
    match oid[..] {
        [] => (0, &[]),
        [first] => (40 * u64::from(first), &[]),
        [first, second, ref rest @ ..] => (40 * u64::from(first) + u64::from(second), rest),
    }
}

fn arc_len(id: u64) -> usize {
    (64 - (id | 1).leading_zeros()).div_ceil(7) as usize
}

pub fn oid_len(oid: &Oid) -> usize {
    let (first, rest) = arcs(oid);
    // Nearly all arcs are small; a loop over them without branches is a few cycles.
    arc_len(first) + rest.iter().map(|id| arc_len((*id).into())).sum::<usize>()
}

/// A message being written. Who writes an element knows how long its content will be.
#[derive(Debug)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn with_capacity(length: usize) -> Self {
        Writer { bytes: Vec::with_capacity(length) }
    }

    pub fn header(&mut self, id: u8, length: usize) {
        self.bytes.push(id);
        if length < 0x80 {
            self.bytes.push(length as u8);
        } else {
            let octets = length_len(length) - 1;
            self.bytes.push(0x80 | octets as u8);
            let all = length.to_be_bytes();
            self.bytes.extend_from_slice(all.get(all.len() - octets..).unwrap_or(&all));
        }
    }

    pub fn integer(&mut self, number: i32) {
        let number = i64::from(number);
        self.number(id::INTEGER, integer_len(number), number as u64, if number < 0 { 0xff } else { 0 });
    }

    pub fn unsigned(&mut self, id: u8, number: u64) {
        self.number(id, unsigned_len(number), number, 0);
    }

    /// The lowest octets of a number; a ninth is the sign's.
    fn number(&mut self, id: u8, octets: usize, number: u64, sign: u8) {
        self.header(id, octets);
        let all = number.to_be_bytes();
        match all.len().checked_sub(octets) {
            Some(from) => self.bytes.extend_from_slice(all.get(from..).unwrap_or(&all)),
            None => {
                self.bytes.push(sign);
                self.bytes.extend_from_slice(&all);
            }
        }
    }

    pub fn octets(&mut self, id: u8, octets: &[u8]) {
        self.header(id, octets.len());
        self.bytes.extend_from_slice(octets);
    }

    pub fn oid(&mut self, oid: &Oid) {
        self.header(id::OBJECT_IDENTIFIER, oid_len(oid));
        let (first, rest) = arcs(oid);
        self.arc(first);
        rest.iter().for_each(|id| self.arc((*id).into()));
    }

    fn arc(&mut self, id: u64) {
        if id < 0x80 {
            self.bytes.push(id as u8);
            return;
        }
        for place in (1..arc_len(id)).rev() {
            self.bytes.push((id >> (7 * place)) as u8 | 0x80);
        }
        self.bytes.push(id as u8 & 0x7f);
    }
}
