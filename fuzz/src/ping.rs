//! ICMP messages to PING_CHECK.
#![no_main]

use keepwatch::check::probe::ping::{Kind, Wanted, data};
use keepwatch::conf::model::Family;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    for (family, kind) in [(Family::V4, Kind::Raw), (Family::V4, Kind::Ping), (Family::V6, Kind::Raw)] {
        let wanted = Wanted { family, kind, sequence: 0, data: data([0; 16]) };
        if wanted.is(message) {
            assert!(message.ends_with(&wanted.data));
        }
    }
});
