//! PING_CHECK: one ICMP echo. A reply is ours when it brings back sequence number and data, which are random.
//!
//! A ping socket does where the group is in `net.ipv4.ping_group_range`, else a raw one (CAP_NET_RAW). Both are connected,
//! so that they hear of the target only, ICMP errors included.

use super::{Stage, connect, random};
use crate::check::io::Failure;
use crate::conf::model::{Family, Target};
use crate::wire::icmp::{self, Echo};

/// Octets of data, as in Keepalived.
const DATA: usize = 128;

/// Longest reply that is read: header of IPv4 with options, header of ICMP, data.
const REPLY: usize = 60 + 8 + DATA;

pub async fn run(target: &Target, stage: &Stage) -> Result<(), Failure> {
    let (socket, kind) = connect::icmp_echo(target)?;
    let family = Family::of(target.address);
    let wanted = Wanted { family, kind, sequence: u16::from_be_bytes(random()), data: data(random()) };
    let echo = Echo { id: u16::from_be_bytes(random()), sequence: wanted.sequence, data: &wanted.data };
    socket.send(&echo.request(family)).await.map_err(|error| connect::icmp(&error))?;
    stage.set("waiting for the echo");
    let mut message = [0; REPLY];
    loop {
        let length = socket.recv(&mut message).await.map_err(|error| connect::icmp(&error))?;
        if wanted.is(message.get(..length).unwrap_or_default()) {
            return Ok(());
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The kernel knows which reply is whose by an identifier of its own.
    Ping,
    /// Every ICMP message of the target comes, those of IPv4 with their header.
    Raw,
}

/// The reply that is waited for.
#[derive(Debug)]
pub struct Wanted {
    pub family: Family,
    pub kind: Kind,
    pub sequence: u16,
    pub data: [u8; DATA],
}

impl Wanted {
    pub fn is(&self, message: &[u8]) -> bool {
        let message = match (self.kind, self.family) {
            (Kind::Raw, Family::V4) => icmp::behind_ipv4(message),
            _ => Some(message),
        };
        message
            .and_then(|message| Echo::reply(self.family, message))
            .is_some_and(|echo| echo.sequence == self.sequence && echo.data == self.data)
    }
}

/// Words for whoever looks at the wire, behind what makes this echo different from all others.
pub fn data(nonce: [u8; 16]) -> [u8; DATA] {
    let words = b"keepwatch check - ".iter().copied().cycle();
    let mut data = [0; DATA];
    data.iter_mut().zip(nonce.into_iter().chain(words)).for_each(|(place, octet)| *place = octet);
    data
}
