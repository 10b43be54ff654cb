//! What the targets of the configuration share: files in memory, a host that never changes, and what holds for whatever is read.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use keepwatch::conf::files::{FileKind, Files, Stat};
use keepwatch::conf::host::{Host, Identity, Interface};
use keepwatch::conf::{self, Loaded, Options};

/// The name of the first file.
pub const MAIN: &str = "/k.conf";

/// Files by name; what a pattern names is all of them but the first.
#[derive(Default)]
pub struct Memory(pub BTreeMap<&'static str, Vec<u8>>);

impl Files for Memory {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn glob(&self, _: &str) -> Vec<String> {
        self.0.keys().filter(|name| **name != MAIN).map(|name| (*name).to_owned()).collect()
    }

    fn canonicalize(&self, path: &str) -> io::Result<String> {
        Ok(path.to_owned())
    }

    fn stat(&self, path: &str) -> Option<Stat> {
        self.0.get(path).map(|_| Stat { kind: FileKind::Regular, mode: 0o644, owner: 0, group: 0 })
    }
}

/// Two interfaces, root, and no names.
pub struct Fixed;

impl Host for Fixed {
    fn interfaces(&self) -> Vec<Interface> {
        let interface = |name: &str, address: [u8; 4]| Interface {
            name: name.to_owned(),
            up: true,
            loopback: name == "lo",
            multicast: name != "lo",
            addresses: vec![(IpAddr::from(address), 24)],
        };
        vec![interface("lo", [127, 0, 0, 1]), interface("eth0", [192, 0, 2, 11])]
    }

    fn user(&self, name: &str) -> Option<Identity> {
        (name == "root").then(Identity::default)
    }

    fn group(&self, name: &str) -> Option<u32> {
        (name == "root").then_some(0)
    }

    fn own_identity(&self) -> Identity {
        Identity::default()
    }

    fn pattern_error(&self, pattern: &str, _: &[String]) -> Option<String> {
        pattern.contains('(').then(|| "missing closing parenthesis".to_owned())
    }

    fn host_name(&self) -> String {
        "node1".to_owned()
    }

    fn environment(&self, name: &str) -> Option<String> {
        (name == "SITE").then(|| "west\n}".to_owned())
    }

    fn resolve(&self, _: &str) -> Option<IpAddr> {
        None
    }

    /// What is on the link of `eth0`.
    fn reaches(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(v4) if v4.octets().starts_with(&[192, 0, 2]))
    }
}

/// Reads these files and holds the result to what is true of any: a known status, and places that exist.
pub fn read(files: Memory, options: &Options) -> Loaded {
    let loaded = conf::load(MAIN, options, &files, &Fixed);
    assert!(matches!(loaded.status, 0 | 2 | 4 | 5 | 6), "status {}", loaded.status);
    for diagnostic in &loaded.diagnostics {
        let spans = std::iter::once(&diagnostic.span).chain(diagnostic.related.iter().map(|(span, _)| span));
        for span in spans.filter(|span| span.line > 0) {
            let line = loaded.sources.line(*span).unwrap_or_else(|| panic!("no such line: {diagnostic:?}"));
            let end = line.chars().count() as u64 + 2;
            assert!(span.column > 0 && u64::from(span.column) <= end, "no such column: {diagnostic:?}");
        }
        assert!(!diagnostic.message.is_empty() && diagnostic.in_a_line(&loaded.sources).lines().count() >= 1);
    }
    assert_eq!(loaded.status == 0, conf::diag::status(&loaded.diagnostics) == 0);
    let _ = loaded.render();
    loaded
}
