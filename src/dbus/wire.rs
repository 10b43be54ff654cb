//! Messages of D-Bus, as far as a service of few types needs them. Total functions over bytes.

/// The longest message that is looked at; what a caller of ours says fits into far less.
pub const MESSAGE_MAX: usize = 64 * 1024;

/// The longest that the specification allows; beyond it nothing that follows can be understood.
const SPECIFICATION_MAX: usize = 128 * 1024 * 1024;

const HEADER: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Call = 1,
    Return = 2,
    Error = 3,
    Signal = 4,
}

/// A message with the header fields that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub kind: Kind,
    /// The sender of a call wants no answer.
    pub no_reply: bool,
    pub serial: u32,
    pub path: Option<String>,
    pub interface: Option<String>,
    pub member: Option<String>,
    pub error: Option<String>,
    pub reply_to: Option<u32>,
    pub destination: Option<String>,
    pub sender: Option<String>,
    /// Of the body.
    pub signature: String,
    pub body: Vec<u8>,
    /// Byte order of the body.
    pub big_endian: bool,
}

/// Why bytes are not (yet) a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// More must be read.
    More,
    /// One that is too long to be looked at: so many bytes are to be passed over.
    Skip(usize),
    /// What follows cannot be understood either.
    Malformed,
}

impl Message {
    pub fn new(kind: Kind) -> Message {
        Message {
            kind,
            no_reply: kind != Kind::Call,
            serial: 0,
            path: None,
            interface: None,
            member: None,
            error: None,
            reply_to: None,
            destination: None,
            sender: None,
            signature: String::new(),
            body: Vec::new(),
            big_endian: false,
        }
    }

    pub fn call(destination: &str, path: &str, interface: &str, member: &str) -> Message {
        Message {
            path: Some(path.to_owned()),
            interface: Some(interface.to_owned()),
            member: Some(member.to_owned()),
            destination: Some(destination.to_owned()),
            ..Message::new(Kind::Call)
        }
    }

    pub fn signal(path: &str, interface: &str, member: &str) -> Message {
        Message {
            path: Some(path.to_owned()),
            interface: Some(interface.to_owned()),
            member: Some(member.to_owned()),
            ..Message::new(Kind::Signal)
        }
    }

    /// The answer to a call.
    pub fn reply(call: &Message) -> Message {
        Message { reply_to: Some(call.serial), destination: call.sender.clone(), ..Message::new(Kind::Return) }
    }

    pub fn refusal(call: &Message, error: &str, text: &str) -> Message {
        let refusal = Message { kind: Kind::Error, error: Some(error.to_owned()), ..Message::reply(call) };
        refusal.with("s", Body::default().string(text))
    }

    pub fn with(self, signature: &str, body: Body) -> Message {
        Message { signature: signature.to_owned(), body: body.0, ..self }
    }

    /// In little-endian order, whatever the message came in.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Body::default();
        let text = [
            (1, "o", &self.path),
            (2, "s", &self.interface),
            (3, "s", &self.member),
            (4, "s", &self.error),
            (6, "s", &self.destination),
            (7, "s", &self.sender),
        ];
        for (code, signature, value) in text {
            if let Some(value) = value {
                fields = fields.field(code, signature).string(value);
            }
        }
        if let Some(serial) = self.reply_to {
            fields = fields.field(5, "u").u32(serial);
        }
        if !self.signature.is_empty() {
            fields = fields.field(8, "g").signature(&self.signature);
        }
        let mut bytes = vec![b'l', self.kind as u8, u8::from(self.no_reply), 1];
        bytes.extend(length(self.body.len()).to_le_bytes());
        bytes.extend(self.serial.to_le_bytes());
        bytes.extend(length(fields.0.len()).to_le_bytes());
        bytes.extend(&fields.0);
        pad(&mut bytes, 8);
        bytes.extend(&self.body);
        bytes
    }

    /// The message at the front, and how long it is.
    pub fn decode(bytes: &[u8]) -> Result<(Message, usize), Incomplete> {
        let Some(header) = bytes.get(..HEADER) else { return Err(Incomplete::More) };
        let big_endian = match header.first() {
            Some(b'l') => false,
            Some(b'B') => true,
            _ => return Err(Incomplete::Malformed),
        };
        let mut reader = Reader { bytes: header, at: 4, big_endian };
        let (Some(body), Some(serial), Some(fields)) = (reader.u32(), reader.u32(), reader.u32()) else {
            return Err(Incomplete::Malformed);
        };
        let size = |of: u32| usize::try_from(of).unwrap_or(usize::MAX);
        let start = size(fields).saturating_add(HEADER).checked_next_multiple_of(8).ok_or(Incomplete::Malformed)?;
        let whole = start.saturating_add(size(body));
        if whole > SPECIFICATION_MAX || header.get(3) != Some(&1) {
            return Err(Incomplete::Malformed);
        }
        if whole > MESSAGE_MAX {
            return Err(Incomplete::Skip(whole));
        }
        let (Some(fields), Some(body)) = (bytes.get(..HEADER + size(fields)), bytes.get(start..whole)) else {
            return Err(Incomplete::More);
        };
        let kind = match header.get(1) {
            Some(1) => Kind::Call,
            Some(2) => Kind::Return,
            Some(3) => Kind::Error,
            Some(4) => Kind::Signal,
            // Others are to be ignored, as is what cannot be read within its bounds.
            _ => return Err(Incomplete::Skip(whole)),
        };
        let mut message = Message {
            no_reply: header.get(2).is_some_and(|flags| flags & 1 != 0),
            serial,
            body: body.to_vec(),
            big_endian,
            ..Message::new(kind)
        };
        let mut reader = Reader { bytes: fields, at: HEADER, big_endian };
        while reader.align(8).is_some() && reader.at < fields.len() {
            message.take(&mut reader).ok_or(Incomplete::Skip(whole))?;
        }
        Ok((message, whole))
    }

    fn take(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let code = reader.u8()?;
        match (code, reader.signature()?) {
            (1, "o") => self.path = Some(reader.string()?.to_owned()),
            (2, "s") => self.interface = Some(reader.string()?.to_owned()),
            (3, "s") => self.member = Some(reader.string()?.to_owned()),
            (4, "s") => self.error = Some(reader.string()?.to_owned()),
            (5, "u") => self.reply_to = Some(reader.u32()?),
            (6, "s") => self.destination = Some(reader.string()?.to_owned()),
            (7, "s") => self.sender = Some(reader.string()?.to_owned()),
            (8, "g") => self.signature = reader.signature()?.to_owned(),
            (_, "s" | "o") => drop(reader.string()?),
            (_, "u") => drop(reader.u32()?),
            (_, "g") => drop(reader.signature()?),
            _ => return None,
        }
        Some(())
    }

    /// The first strings of the body, if that is what it begins with.
    pub fn strings<const N: usize>(&self) -> Option<[String; N]> {
        if self.signature.len() < N || !self.signature.starts_with(&"s".repeat(N)) {
            return None;
        }
        let mut reader = Reader { bytes: &self.body, at: 0, big_endian: self.big_endian };
        let mut strings = [const { String::new() }; N];
        for place in &mut strings {
            *place = reader.string()?.to_owned();
        }
        Some(strings)
    }

    /// The number that is the whole body.
    pub fn number(&self) -> Option<u32> {
        let mut reader = Reader { bytes: &self.body, at: 0, big_endian: self.big_endian };
        if self.signature == "u" { reader.u32() } else { None }
    }
}

/// Values one behind the other, each at its boundary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

impl Body {
    pub fn u32(mut self, value: u32) -> Body {
        pad(&mut self.0, 4);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Also an object path. What cannot stand in a string ends it.
    pub fn string(mut self, text: &str) -> Body {
        let text = text.split('\0').next().unwrap_or_default();
        self = self.u32(length(text.len()));
        self.0.extend(text.as_bytes());
        self.0.push(0);
        self
    }

    pub fn signature(mut self, signature: &str) -> Body {
        self.0.push(u8::try_from(signature.len()).unwrap_or(0));
        self.0.extend(signature.as_bytes());
        self.0.push(0);
        self
    }

    /// What a variant begins with; the value follows.
    pub fn variant(self, signature: &str) -> Body {
        self.signature(signature)
    }

    /// What a structure or an entry of a dictionary begins with.
    pub fn structure(mut self) -> Body {
        pad(&mut self.0, 8);
        self
    }

    /// An array of structures or of entries of a dictionary.
    pub fn array(mut self, items: impl FnOnce(Body) -> Body) -> Body {
        self = self.u32(0);
        let at = self.0.len() - 4;
        self = self.structure();
        let start = self.0.len();
        self = items(self);
        let size = length(self.0.len() - start).to_le_bytes();
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&size);
        }
        self
    }

    /// A field of the header, which begins at a multiple of 8.
    fn field(mut self, code: u8, signature: &str) -> Body {
        self = self.structure();
        self.0.push(code);
        self.variant(signature)
    }
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn length(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl<'a> Reader<'a> {
    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        let bytes = *self.take(4)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn string(&mut self) -> Option<&'a str> {
        let count = usize::try_from(self.u32()?).ok()?;
        self.text(count)
    }

    fn signature(&mut self) -> Option<&'a str> {
        let count = self.u8()?.into();
        self.text(count)
    }

    fn text(&mut self, count: usize) -> Option<&'a str> {
        let text = std::str::from_utf8(self.take(count)?).ok()?;
        (self.u8()? == 0).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_call_is_the_bytes_that_libdbus_sends_for_it() {
        // Hello to the bus, without flags; taken from strace of dbus-send.
        let hello = Message {
            serial: 1,
            ..Message::call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
        };
        let bytes = hello.encode();
        assert_eq!(&bytes[..16], b"l\x01\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x6d\x00\x00\x00");
        assert_eq!(&bytes[16..20], b"\x01\x01o\x00");
        assert_eq!(bytes.len(), 128);
        assert_eq!(Message::decode(&bytes), Ok((hello, 128)));
    }

    #[test]
    fn big_endian_messages_are_read_as_well() {
        let mut bytes = vec![b'B', 2, 1, 1];
        for number in [4_u32, 7, 8] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend([5, 1, b'u', 0]);
        bytes.extend(9_u32.to_be_bytes());
        bytes.extend(1_u32.to_be_bytes());
        let (message, size) = Message::decode(&bytes).unwrap();
        assert_eq!((message.kind, message.serial, message.reply_to, size), (Kind::Return, 7, Some(9), bytes.len()));
    }

    #[test]
    fn what_is_too_long_is_passed_over_and_what_makes_no_sense_ends_the_connection() {
        let mut bytes = Message::new(Kind::Return).encode();
        bytes[4..8].copy_from_slice(&100_000_u32.to_le_bytes());
        assert_eq!(Message::decode(&bytes), Err(Incomplete::Skip(100_016)));
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Message::decode(&bytes), Err(Incomplete::Malformed));
        assert_eq!(Message::decode(&[0; 16]), Err(Incomplete::Malformed));
    }

    fn text() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[a-zA-Z/._0-9]{0,20}")
    }

    fn message() -> impl Strategy<Value = Message> {
        let texts = (text(), text(), text(), text(), text(), text());
        let numbers = (any::<u32>(), proptest::option::of(any::<u32>()), any::<bool>(), 0..4_usize);
        (texts, numbers, proptest::collection::vec("[^\0]{0,9}", 0..4)).prop_map(
            |((path, interface, member, error, destination, sender), (serial, reply_to, no_reply, kind), strings)| {
                let kind = [Kind::Call, Kind::Return, Kind::Error, Kind::Signal][kind];
                let body = strings.iter().fold(Body::default(), |body, text| body.string(text));
                let plain = Message {
                    no_reply,
                    serial,
                    path,
                    interface,
                    member,
                    error,
                    reply_to,
                    destination,
                    sender,
                    ..Message::new(kind)
                };
                plain.with(&"s".repeat(strings.len()), body)
            },
        )
    }

    proptest! {
        #[test]
        fn decoding_inverts_encoding_and_every_proper_prefix_wants_more(message in message(), cut in 0.0..1.0_f64) {
            let bytes = message.encode();
            prop_assert_eq!(Message::decode(&bytes), Ok((message, bytes.len())));
            let cut = (bytes.len() as f64 * cut) as usize;
            prop_assert_eq!(Message::decode(&bytes[..cut]), Err(Incomplete::More));
        }

        #[test]
        fn no_bytes_are_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200), good in any::<bool>()) {
            let mut bytes = bytes;
            if good && bytes.len() > 4 {
                bytes[0] = b'l';
                bytes[3] = 1;
            }
            if let Ok((message, size)) = Message::decode(&bytes) {
                prop_assert!(size <= bytes.len());
                message.strings::<2>();
                message.number();
            }
        }
    }
}
