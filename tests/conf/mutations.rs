//! Whatever the bytes are, reading them ends and never panics.

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

static CORPUS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(corpus);

fn corpus() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf");
    ["seeds", "diagnostics"]
        .iter()
        .flat_map(|directory| std::fs::read_dir(root.join(directory)).unwrap())
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

fn survives(bytes: Vec<u8>) {
    let memory = Memory::default().with("k.conf", bytes).with("a.conf", "include k.conf\n$X=${X}\n");
    let loaded = conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces);
    let _ = loaded.render();
    assert!(matches!(loaded.status, 0 | 2 | 4 | 5 | 6));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(bytes);
    }

    #[test]
    fn random_words_of_the_language_never_panic(words in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "\n", " ", "\"", "'", "#", "!", "\\", "\\\n", "$A=", "${A}", "$A", "@x ", "@^x ", "~SEQ(A,3) ",
        "~LST({A,B},{1,2}) ", "include a.conf", "vrrp_instance V", "virtual_ipaddress", "192.0.2.1/24", "dev", "eth0",
        "virtual_server 192.0.2.1 80", "real_server 192.0.2.2 80", "HTTP_GET", "url", "priority", "300", "-1",
        "interface", "virtual_router_id", "5", "global_defs", "track_interface", "weight", "${_RANDOM 1 2}",
        "${_ENV}", "static_routes", "via", "from", "\0", "\u{feff}", "\u{1F600}", "notify", "auth_pass", "authentication",
    ]), 0..60)) {
        survives(words.concat().into_bytes());
    }

    #[test]
    fn mutated_files_never_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..8),
    ) {
        let mut bytes = which.get(&CORPUS).clone();
        for (at, byte, kind) in edits {
            if bytes.is_empty() { break; }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, b"{}\n\"#$@~ \\"[usize::from(byte) % 10]),
                2 => { bytes.remove(at); }
                _ => bytes.truncate(at),
            }
        }
        survives(bytes);
    }
}
