//! `keepwatch.yaml` beside a small configuration, and the file that its `http.web_config` may name: the octet 0xFF divides them.
#![no_main]

mod common;

use keepwatch::conf::Options;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |octet| *octet == 0xFF).map(<[u8]>::to_vec);
    let mut files = common::Memory::default();
    files.0.insert(common::MAIN, b"global_defs {\n router_id r\n}\n".to_vec());
    files.0.insert("/keepwatch.yaml", parts.next().unwrap_or_default());
    files.0.insert("/web.yml", parts.next().unwrap_or_default());
    common::read(files, &Options::default());
});
