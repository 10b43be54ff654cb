//! UDP_CHECK: a datagram that no ICMP error answers, and with `require_reply` one that a good reply answers.
//!
//! Without `require_reply` silence is good, and that it was silence is known only when `connect_timeout` is over: see
//! [`silence_passes`].

use super::{Stage, connect};
use crate::check::io::{Cause, Failure};
use crate::conf::model::{UdpCheck, UdpReply};

/// Sent when the configuration gives no payload: 32 octets, as in Keepalived.
const PAYLOAD: &[u8; 32] = b"keepwatch check - keepwatch chec";

const WAITING: &str = "waiting for a reply";

pub async fn run(check: &UdpCheck, stage: &Stage) -> Result<(), Failure> {
    let socket = connect::udp(&check.target)?;
    let payload = check.payload.as_deref().unwrap_or(PAYLOAD);
    socket.send(payload).await.map_err(|error| connect::icmp(&error))?;
    stage.set(WAITING);
    // One more than fits, to see that it does not.
    let space = check.reply.as_ref().map_or(0, |reply| usize::from(reply.max_length)) + 1;
    let mut datagram = vec![0; space];
    let length = socket.recv(&mut datagram).await.map_err(|error| connect::icmp(&error))?;
    match &check.reply {
        Some(reply) => judge(reply, datagram.get(..length).unwrap_or_default()),
        None => Ok(()),
    }
}

/// Whether a probe that ran into its time-out at this stage passed.
pub fn silence_passes(check: &UdpCheck, stage: &Stage) -> bool {
    check.reply.is_none() && stage.get() == WAITING
}

/// Compares a reply. One that is shorter than what it is compared with is compared as far as it goes.
pub fn judge(wanted: &UdpReply, datagram: &[u8]) -> Result<(), Failure> {
    let differs = wanted.prefix.iter().zip(datagram).position(|((value, mask), octet)| (value ^ octet) & mask != 0);
    let text = if datagram.len() < usize::from(wanted.min_length) {
        format!("reply of {} octets is too short", datagram.len())
    } else if datagram.len() > usize::from(wanted.max_length) {
        format!("reply of more than {} octets is too long", wanted.max_length)
    } else if let Some(place) = differs {
        format!("reply differs at octet {place}")
    } else {
        return Ok(());
    };
    Err(Failure::new(Cause::Protocol, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_compared_under_its_mask_as_far_as_it_goes() {
        let wanted = UdpReply { prefix: vec![(1, 0xff), (0x20, 0xf0), (3, 0xff)], min_length: 0, max_length: 255 };
        for good in [&b"\x01\x2f\x03"[..], b"\x01\x20\x03more", b"\x01\x22", b""] {
            assert_eq!(judge(&wanted, good), Ok(()), "{good:?}");
        }
        assert_eq!(judge(&wanted, b"\x01\x30\x03").unwrap_err().text, "reply differs at octet 1");
    }

    #[test]
    fn its_length_has_both_bounds() {
        let wanted = UdpReply { prefix: vec![], min_length: 2, max_length: 4 };
        assert_eq!(judge(&wanted, b"a").unwrap_err().text, "reply of 1 octets is too short");
        assert_eq!(judge(&wanted, b"abcde").unwrap_err().text, "reply of more than 4 octets is too long");
        assert_eq!(judge(&wanted, b"abcd"), Ok(()));
    }
}
