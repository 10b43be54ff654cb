//! Datagrams to DNS_CHECK; the first two octets are the query's id.
#![no_main]

use keepwatch::check::probe::dns::judge;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((id, datagram)) = data.split_first_chunk::<2>() else { return };
    if let Some(Ok(())) = judge(datagram, u16::from_be_bytes(*id)) {
        assert!(datagram.starts_with(id) && datagram[2] >= 0x80 && datagram[3] & 15 == 0);
    }
});
