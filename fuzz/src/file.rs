//! Contents of a track_file.
#![no_main]

use keepwatch::check::probe::file::value;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    if let Some(number) = value(content) {
        assert_eq!(value(number.to_string().as_bytes()), Some(number));
    }
});
