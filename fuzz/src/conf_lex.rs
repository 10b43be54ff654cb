//! A line of `keepalived.conf` as words, in each of the places that split it in a way of their own: the octets are the rest of a
//! plain directive, of a script, of a definition that is used, of an entry of an address block, and lines by themselves.
#![no_main]

mod common;

use keepwatch::conf::Options;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut text = Vec::new();
    let line: Vec<u8> = data.iter().copied().filter(|octet| *octet != b'\n').collect();
    for (before, after) in [
        (&b"global_defs {\n router_id "[..], &b"\n}\n"[..]),
        (b"vrrp_script s {\n script ", b"\n interval 2\n}\n"),
        (b"$V=", b"\nglobal_defs {\n smtp_helo_name ${V}\n notification_email_from $V\n}\n"),
        (b"vrrp_instance v {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n ", b"\n }\n}\n"),
        (b"~LST(X, a, b) ", b"\n"),
    ] {
        text.extend_from_slice(before);
        text.extend_from_slice(&line);
        text.extend_from_slice(after);
    }
    text.extend_from_slice(data);
    let mut files = common::Memory::default();
    files.0.insert(common::MAIN, text);
    common::read(files, &Options::default());
});
