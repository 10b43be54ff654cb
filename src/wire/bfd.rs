//! BFD control packets (RFC 5880 section 4.1).
//!
//! [`Packet::decode`] makes the checks of section 6.8.6 that need no session. Sections for authentication are not
//! understood: a packet with one is refused, as the RFC wants it of a session without authentication.

use std::fmt;

/// Octets of a packet without authentication.
pub const LENGTH: usize = 24;

/// UDP port of single-hop sessions (RFC 5881 section 4).
pub const PORT: u16 = 3784;

/// UDP port of multihop sessions (RFC 5883 section 5).
pub const PORT_MULTIHOP: u16 = 4784;

const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// Of a session (section 6.2), with its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    AdminDown = 0,
    Down = 1,
    Init = 2,
    Up = 3,
}

impl State {
    fn of(bits: u8) -> State {
        match bits & 3 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::AdminDown => "AdminDown",
            State::Down => "Down",
            State::Init => "Init",
            State::Up => "Up",
        })
    }
}

/// Why a session left Up last: a code of five bits, of which the RFC names nine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Diagnostic(u8);

impl Diagnostic {
    pub const NONE: Diagnostic = Diagnostic(0);
    pub const DETECTION_TIME_EXPIRED: Diagnostic = Diagnostic(1);
    pub const NEIGHBOUR_SIGNALED_DOWN: Diagnostic = Diagnostic(3);
    pub const ADMINISTRATIVELY_DOWN: Diagnostic = Diagnostic(7);

    pub fn code(self) -> u8 {
        self.0
    }
}

impl From<u8> for Diagnostic {
    /// The lower five bits.
    fn from(bits: u8) -> Diagnostic {
        Diagnostic(bits & 0x1f)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbor signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            other => return write!(f, "diagnostic {other}"),
        })
    }
}

/// A control packet without authentication. Intervals are microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    pub diagnostic: Diagnostic,
    pub state: State,
    /// The sender wants an answer with `finish`.
    pub poll: bool,
    /// The answer to a poll (F).
    pub finish: bool,
    pub demand: bool,
    /// Packets that may be lost in a row; never 0 when decoded.
    pub multiplier: u8,
    /// The sender's; never 0 when decoded.
    pub mine: u32,
    /// The receiver's, as the sender has learned it; 0 if it has not.
    pub yours: u32,
    pub desired_min_tx_us: u32,
    /// 0: the sender wants no periodic packets.
    pub required_min_rx_us: u32,
    /// 0: the sender answers no echoes.
    pub required_min_echo_rx_us: u32,
}

/// Why a packet is thrown away whatever its session (section 6.8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecodeError {
    /// Fewer than 24 octets.
    Truncated,
    Version(u8),
    /// The length field is less than 24, or more than there is.
    Length(u8),
    /// With a section for authentication, which no session of ours has.
    Authenticated,
    /// 0 packets may be lost.
    Multiplier,
    /// The multipoint bit, which is reserved.
    Multipoint,
    /// The sender's discriminator is 0.
    Discriminator,
    /// A poll that is an answer to a poll.
    PollAndFinal,
    /// It names no session of ours, and its state says that it has heard of one.
    NoSession,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecodeError::Truncated => "too short",
            DecodeError::Version(version) => return write!(f, "version {version}"),
            DecodeError::Length(length) => return write!(f, "length field {length}"),
            DecodeError::Authenticated => "authenticated, and no authentication is in use",
            DecodeError::Multiplier => "detection multiplier 0",
            DecodeError::Multipoint => "multipoint bit",
            DecodeError::Discriminator => "my discriminator 0",
            DecodeError::PollAndFinal => "poll and final bit",
            DecodeError::NoSession => "your discriminator 0 in state Init or Up",
        })
    }
}

impl Packet {
    /// Reads a packet. What stands behind the octets that the length field counts is ignored.
    pub fn decode(bytes: &[u8]) -> Result<Packet, DecodeError> {
        let header: &[u8; LENGTH] = bytes.first_chunk().ok_or(DecodeError::Truncated)?;
        let [first, second, multiplier, length, fields @ ..] = header;
        if first >> 5 != VERSION {
            return Err(DecodeError::Version(first >> 5));
        }
        if usize::from(*length) < LENGTH || usize::from(*length) > bytes.len() {
            return Err(DecodeError::Length(*length));
        }
        if *multiplier == 0 {
            return Err(DecodeError::Multiplier);
        }
        let set = |bit: u8| second & bit != 0;
        if set(MULTIPOINT) {
            return Err(DecodeError::Multipoint);
        }
        let word = |at: usize| {
            let octets = fields.get(at * 4..).and_then(|rest| rest.first_chunk());
            octets.map_or(0, |octets| u32::from_be_bytes(*octets))
        };
        let packet = Packet {
            diagnostic: Diagnostic::from(*first),
            state: State::of(second >> 6),
            poll: set(POLL),
            finish: set(FINAL),
            demand: set(DEMAND),
            multiplier: *multiplier,
            mine: word(0),
            yours: word(1),
            desired_min_tx_us: word(2),
            required_min_rx_us: word(3),
            required_min_echo_rx_us: word(4),
        };
        if packet.mine == 0 {
            Err(DecodeError::Discriminator)
        } else if packet.yours == 0 && matches!(packet.state, State::Init | State::Up) {
            Err(DecodeError::NoSession)
        } else if set(AUTHENTICATED) {
            Err(DecodeError::Authenticated)
        } else if packet.poll && packet.finish {
            Err(DecodeError::PollAndFinal)
        } else {
            Ok(packet)
        }
    }

    pub fn encode(&self) -> [u8; LENGTH] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.poll, POLL) | flag(self.finish, FINAL) | flag(self.demand, DEMAND);
        let mut bytes = [0; LENGTH];
        let (head, fields) = bytes.split_at_mut(4);
        head.copy_from_slice(&[
            VERSION << 5 | self.diagnostic.code(),
            (self.state as u8) << 6 | flags,
            self.multiplier,
            LENGTH as u8,
        ]);
        let words =
            [self.mine, self.yours, self.desired_min_tx_us, self.required_min_rx_us, self.required_min_echo_rx_us];
        for (place, word) in fields.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As keepalived 2.2.7 sent it: Up, poll, 150 and 100 ms, times 3.
    const RECORDED: [u8; LENGTH] = [
        0x20, 0xe0, 3, 24, 0x5d, 0x15, 0x62, 0x8f, 0x6d, 0x2e, 0xc4, 0x82, 0, 2, 0x49, 0xf0, 0, 1, 0x86, 0xa0, 0, 0, 0,
        0,
    ];

    #[test]
    fn a_packet_of_keepalived_reads_as_it_was_meant_and_is_written_the_same() {
        let packet = Packet::decode(&RECORDED).expect("a good packet");
        let meant = Packet {
            diagnostic: Diagnostic::NONE,
            state: State::Up,
            poll: true,
            finish: false,
            demand: false,
            multiplier: 3,
            mine: 0x5d15_628f,
            yours: 0x6d2e_c482,
            desired_min_tx_us: 150_000,
            required_min_rx_us: 100_000,
            required_min_echo_rx_us: 0,
        };
        assert_eq!(packet, meant);
        assert_eq!(packet.encode(), RECORDED);
    }

    #[test]
    fn each_check_of_section_6_8_6_has_its_own_error() {
        let with = |at: usize, octet: u8| {
            let mut bytes = RECORDED;
            bytes[at] = octet;
            Packet::decode(&bytes).map(|_| ())
        };
        assert_eq!(with(0, 0x00), Err(DecodeError::Version(0)));
        assert_eq!(with(0, 0x40), Err(DecodeError::Version(2)));
        assert_eq!(with(1, 0xc1), Err(DecodeError::Multipoint));
        assert_eq!(with(1, 0xc4), Err(DecodeError::Authenticated));
        assert_eq!(with(1, 0xf0), Err(DecodeError::PollAndFinal));
        assert_eq!(with(2, 0), Err(DecodeError::Multiplier));
        assert_eq!(with(3, 23), Err(DecodeError::Length(23)));
        assert_eq!(with(3, 25), Err(DecodeError::Length(25)));
        let without = |from: usize, state: u8| {
            let mut bytes = RECORDED;
            bytes[from..from + 4].fill(0);
            bytes[1] = state << 6;
            Packet::decode(&bytes).map(|_| ())
        };
        assert_eq!(without(4, 3), Err(DecodeError::Discriminator));
        assert_eq!(without(8, 3), Err(DecodeError::NoSession));
        assert_eq!(without(8, 2), Err(DecodeError::NoSession));
        assert_eq!(without(8, 1), Ok(()));
        assert_eq!(without(8, 0), Ok(()));
        assert_eq!(Packet::decode(&RECORDED[..23]), Err(DecodeError::Truncated));
        let longer = [&RECORDED[..], b"and more"].concat();
        assert!(Packet::decode(&longer).is_ok(), "what stands behind is nobody's");
    }

    fn packets() -> impl Strategy<Value = Packet> {
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        let numbers = (1..=u8::MAX, 1..=u32::MAX, 1..=u32::MAX, any::<u32>(), any::<u32>(), any::<u32>());
        (0u8..32, 0u8..4, flags, numbers).prop_map(|(diagnostic, state, (poll, finish, demand), numbers)| {
            let (multiplier, mine, yours, desired_min_tx_us, required_min_rx_us, required_min_echo_rx_us) = numbers;
            Packet {
                diagnostic: diagnostic.into(),
                state: State::of(state),
                poll,
                finish: finish && !poll,
                demand,
                multiplier,
                mine,
                yours,
                desired_min_tx_us,
                required_min_rx_us,
                required_min_echo_rx_us,
            }
        })
    }

    proptest! {
        #[test]
        fn decoding_inverts_encoding(packet in packets()) {
            prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
        }

        #[test]
        fn any_bytes_are_a_packet_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(packet) = Packet::decode(&bytes) {
                prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
            }
        }

        #[test]
        fn every_proper_prefix_is_too_short(packet in packets(), cut in 0..LENGTH) {
            prop_assert_eq!(Packet::decode(&packet.encode()[..cut]), Err(DecodeError::Truncated));
        }
    }
}
