//! What the kernel's IPVS family says; the first octet chooses the address family that was asked for.
#![no_main]

use keepwatch::conf::model::Family;
use keepwatch::netlink::ipvs::codec::Reply;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((family, payload)) = data.split_first() else { return };
    let family = if family & 1 == 0 { Family::V4 } else { Family::V6 };
    let _ = Reply::decode(payload, family);
});
