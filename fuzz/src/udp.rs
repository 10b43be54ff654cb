//! Replies to UDP_CHECK.
#![no_main]

use keepwatch::check::probe::udp::judge;
use keepwatch::conf::model::UdpReply;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(([count, min, max, rest @ ..], reply)) = data.split_first_chunk::<19>() else { return };
    let prefix = rest.chunks(2).take(usize::from(*count)).map(|pair| (pair[0], pair[1])).collect();
    let wanted = UdpReply { prefix, min_length: u16::from(*min), max_length: u16::from(*max) };
    if judge(&wanted, reply).is_ok() {
        assert!((usize::from(*min)..=usize::from(*max)).contains(&reply.len()));
    }
});
