//! Whole configurations: the octet 0xFF divides the input into a main file and two that it may include as `a` and `b`. What is read
//! twice is the same twice.
#![no_main]

mod common;

use keepwatch::conf::Options;
use libfuzzer_sys::fuzz_target;

fn files(data: &[u8]) -> common::Memory {
    let mut files = common::Memory::default();
    let mut parts = data.splitn(3, |octet| *octet == 0xFF).map(<[u8]>::to_vec);
    for name in [common::MAIN, "/a", "/b"] {
        files.0.insert(name, parts.next().unwrap_or_default());
    }
    files.0.insert("/bin/true", Vec::new());
    files
}

fuzz_target!(|data: &[u8]| {
    let options = Options { config_id: Some("node1".to_owned()), ..Options::default() };
    let first = common::read(files(data), &options);
    let second = common::read(files(data), &options);
    assert_eq!(first.diagnostics, second.diagnostics);
    assert_eq!(first.config, second.config);
});
