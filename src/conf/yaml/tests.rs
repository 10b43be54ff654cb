use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn good(text: &str) -> SnmpSettings {
    let (settings, diagnostics) = read(text, 0);
    assert_eq!(diagnostics, [], "{text}");
    settings.snmp
}

/// What is printed of a text with mistakes.
fn bad(text: &str) -> String {
    let mut sources = Sources::default();
    let file = sources.add(Source { name: "k.yaml".to_owned(), lines: text.lines().map(str::to_owned).collect() });
    let (settings, diagnostics) = read(text, file);
    assert_eq!(settings, Settings::default(), "a mistake leaves nothing in force");
    diagnostics.iter().map(|diagnostic| diagnostic.render(&sources)).collect()
}

const SAMPLE: &str = include_str!("../../../conf/keepwatch.yaml");

/// The sample with its examples switched on.
fn whole_sample() -> String {
    SAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| rest.starts_with("  ")).unwrap_or(line).to_owned() + "\n")
        .collect()
}

#[test]
fn the_sample_as_it_is_changes_nothing() {
    assert_eq!(good(SAMPLE), SnmpSettings::default());
}

#[test]
fn the_sample_is_good_and_sets_every_field_of_the_model() {
    let SnmpSettings { queue, users, receivers, responder, engine_id } = good(&whole_sample());
    assert_eq!(queue, QueueSettings::default(), "it documents the defaults");
    let [UsmUser { name, auth, privacy }] = &users[..] else { panic!("one user") };
    assert_eq!(name, "keepwatch");
    assert!(matches!(auth, Some((AuthProtocol::Sha256, _))) && matches!(privacy, Some((PrivacyProtocol::Aes128, _))));
    let [trap, inform] = &receivers[..] else { panic!("two receivers") };
    assert_eq!(trap.address, "192.0.2.10:162".parse().unwrap());
    assert_eq!(trap.security, Security::V2c { community: Secret("public".to_owned()) });
    assert_eq!((trap.inform, &inform.security), (None, &Security::V3 { user: "keepwatch".to_owned() }));
    assert_eq!(inform.inform, Some(Retries { timeout: Duration::from_secs(1), retries: 5 }));
    let Some(Responder { listen, communities, users }) = responder else { panic!("a responder") };
    assert_eq!(listen, ["127.0.0.1:161".parse().unwrap(), "[::1]:161".parse().unwrap()]);
    let [Community { name, write: false, networks }] = &communities[..] else { panic!("one community") };
    assert_eq!((name.0.as_str(), networks.len()), ("public", 2));
    assert_eq!(users, [Access { user: "keepwatch".to_owned(), write: true }]);
    assert_eq!(engine_id.map(|id| id.len()), Some(14));
}

#[test]
fn the_sample_documents_every_key_that_is_known() {
    fn collect(node: &Node, place: &str, found: &mut BTreeSet<String>) {
        match &node.kind {
            Kind::Nothing | Kind::Word(_) => {}
            Kind::List(items) => items.iter().for_each(|item| collect(item, place, found)),
            Kind::Map(entries) => entries.iter().for_each(|(key, value)| {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                found.insert(place.clone());
                collect(value, &place, found);
            }),
        }
    }
    let mut found = BTreeSet::new();
    collect(&tree::read(&whole_sample()).unwrap(), "", &mut found);
    let known: BTreeSet<String> = KEYS
        .iter()
        .flat_map(|(place, keys)| {
            keys.iter().map(move |key| if place.is_empty() { (*key).to_owned() } else { format!("{place}.{key}") })
        })
        .collect();
    assert_eq!(found, known);
}

#[test]
fn nothing_and_comments_alone_are_the_defaults() {
    for text in ["", "\n\n", "# snmp:\n", "---\n", "snmp:\n", "snmp: {}\n", "snmp:\n  queue:\n  users: []\n"] {
        assert_eq!(good(text), SnmpSettings::default(), "{text:?}");
    }
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_what_was_probably_meant() {
    assert_eq!(
        bad("snmp:\n  recievers:\n    - address: 192.0.2.1\n"),
        "error: there is no setting `recievers` in snmp\n  --> k.yaml:2:3\n2 |   recievers:\n  |   ^^^^^^^^^\n\
         hint: did you mean `receivers`?\n"
    );
    assert!(bad("receivers: []\n").contains("k.yaml:1:1\n"));
    assert!(bad("receivers: []\n").contains("hint: `receivers` belongs into snmp\n"));
    assert!(bad("snmp: {queue: {size: 3}}\n").contains("--> k.yaml:1:16\n"));
    assert!(bad("snmp: {queue: {size: 3}}\n").contains("hint: known here: length, expires\n"));
}

#[test]
fn every_mistake_of_a_file_is_told_in_one_run() {
    let text = "\
snmp:
  queue: {length: 0, expires: 1}
  users:
    - name: ops
      auth: {protocol: md5, passphrase: \"long enough\"}
    - name: short
      auth: {protocol: SHA-256, passphrase: short}
    - name: alone
      privacy: {protocol: aes, passphrase: 'long enough'}
  receivers:
    - address: nms.example.com
      community: public
    - address: 192.0.2.1
      version: v1
      community: public
      inform: true
    - address: 192.0.2.2
      user: osp
    - address: 192.0.2.3:0
      community: x
    - {address: 192.0.2.4, version: v4, community: x, inform: maybe}
  responder:
    communities:
      - name: public
        networks: [10.0.0.0/33]
  engine_id: 80
";
    let said = bad(text);
    let places: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  --> k.yaml:")).collect();
    let messages: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    let expected = [
        ("5:24", "there is no protocol `md5` here"),
        ("7:45", "a pass phrase has at least 8 characters (RFC 3414 section 11.2)"),
        ("9:16", "privacy needs `auth` too (RFC 3414 section 1.4.3)"),
        ("11:16", "expected an address as 192.0.2.1, 192.0.2.1:162 or [2001:db8::1]:162, found `nms.example.com`"),
        ("16:15", "SNMPv1 has no informs; use v2c or v3"),
        ("18:13", "there is no user `osp`"),
        ("19:16", "port 0 is none"),
        ("21:37", "expected v1, v2c or v3, found `v4`"),
        ("21:63", "expected true or false, found `maybe`"),
        ("2:19", "expected a number from 1 to 65536, found `0`"),
        ("2:31", "expected a time with its unit, as 500ms, 1s, 5m, 1h or 7d; found `1`"),
        ("23:5", "`listen` is missing here"),
        ("25:20", "expected a network as 192.0.2.0/24 or 2001:db8::/32, found `10.0.0.0/33`"),
        ("26:14", "expected 5 to 32 octets in hexadecimal, not all of them 00 or ff (RFC 3411 section 5)"),
    ];
    assert_eq!(places.into_iter().zip(messages).collect::<Vec<_>>(), expected);
    assert!(said.contains("hint: did you mean `ops`?"), "also a user that has a mistake of his own is known: {said}");
}

#[test]
fn what_is_not_yaml_is_told_with_its_place() {
    let said = bad("snmp:\n  users: [a, b\n  queue: {}\n");
    assert!(said.starts_with("error: this is not YAML: "), "{said}");
    assert!(said.contains("  --> k.yaml:3:"), "{said}");
    assert!(bad("snmp: {}\n---\nsnmp: {}\n").contains("only one document"));
    assert!(bad("snmp: !secret x\n").contains("k.yaml:1:"));
}

#[test]
fn a_key_given_twice_is_a_mistake_at_the_second() {
    let said = bad("snmp:\n  queue: {length: 1}\n  queue: {length: 2}\n");
    assert!(said.contains("`queue` is given twice\n  --> k.yaml:3:3\n"), "{said}");
}

#[test]
fn words_that_look_like_numbers_stay_as_they_are_written() {
    let snmp = good(
        "snmp:\n  receivers:\n    - {address: 192.0.2.1, community: 0x10}\n    - {address: 192.0.2.2, community: 007}\n    - {address: 192.0.2.3, community: 1e3}\n    - {address: 192.0.2.4, community: true}\n",
    );
    let communities: Vec<_> = snmp
        .receivers
        .iter()
        .map(|receiver| match &receiver.security {
            Security::V2c { community } => community.0.as_str(),
            _ => panic!("v2c"),
        })
        .collect();
    assert_eq!(communities, ["0x10", "007", "1e3", "true"]);
}

#[test]
fn times_and_addresses_are_read_in_their_units_and_with_their_ports() {
    for (word, ms) in [("500ms", 500), ("1s", 1000), ("5m", 300_000), ("1h", 3_600_000), ("7d", 604_800_000)] {
        assert_eq!(duration(word), Some(Duration::from_millis(ms)), "{word}");
    }
    for word in ["", "s", "1", "-1s", "1.5s", "1w", "99999999999999999999s"] {
        assert_eq!(duration(word), None, "{word}");
    }
    let listen = |word: &str| {
        let text = format!("snmp: {{responder: {{listen: ['{word}']}}}}");
        good(&text).responder.unwrap().listen[0].to_string()
    };
    for (word, address) in [
        ("0.0.0.0", "0.0.0.0:161"),
        ("127.0.0.1:1161", "127.0.0.1:1161"),
        ("::1", "[::1]:161"),
        ("[::1]", "[::1]:161"),
        ("[::1]:1161", "[::1]:1161"),
    ] {
        assert_eq!(listen(word), address);
    }
}

#[test]
fn aliases_that_multiply_and_deep_nesting_end_soon() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..12 {
        let before = vec![format!("*a{}", n - 1); 10].join(",");
        bomb += &format!("a{n}: &a{n} [{before}]\n");
    }
    assert!(bad(&bomb).starts_with("error: this is not YAML: "));
    assert!(bad(&"[".repeat(100_000)).starts_with("error: this is not YAML: "));
}

/// Names of files and what is in them.
struct Shelf(Vec<(&'static str, Vec<u8>, FileKind)>);

impl Files for Shelf {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let found = self.0.iter().find(|(name, ..)| *name == path).map(|(_, bytes, _)| bytes.clone());
        found.ok_or(std::io::ErrorKind::NotFound.into())
    }
    fn glob(&self, _: &str) -> Vec<String> {
        vec![]
    }
    fn canonicalize(&self, path: &str) -> std::io::Result<String> {
        Ok(path.to_owned())
    }
    fn stat(&self, path: &str) -> Option<super::super::files::Stat> {
        let kind = self.0.iter().find(|(name, ..)| *name == path).map(|(_, _, kind)| *kind)?;
        Some(super::super::files::Stat { kind, mode: 0o644, owner: 0, group: 0 })
    }
}

#[test]
fn the_file_stands_beside_the_configuration_unless_it_is_named() {
    let text = b"snmp: {queue: {length: 7}}".to_vec();
    let shelf =
        Shelf(vec![("/etc/k/keepwatch.yaml", text.clone(), FileKind::Regular), ("/x", text, FileKind::Regular)]);
    let length = |named, main| {
        let (settings, diagnostics) = load(named, main, &shelf, &mut Sources::default());
        (settings.snmp.queue.length, diagnostics.iter().map(|it| it.class).collect::<Vec<_>>())
    };
    assert_eq!(length(None, "/etc/k/keepalived.conf"), (7, vec![]));
    assert_eq!(length(Some("/x"), "/etc/other/keepalived.conf"), (7, vec![]));
    assert_eq!(length(None, "/etc/other/keepalived.conf"), (256, vec![]), "a default file need not be there");
    assert_eq!(length(Some("/y"), "/etc/k/keepalived.conf"), (256, vec![Class::MissingFile]));
}

#[test]
fn what_is_too_long_no_text_or_no_file_is_refused_whole() {
    let said = |bytes: Vec<u8>, kind| {
        let mut sources = Sources::default();
        let shelf = Shelf(vec![("/k.yaml", bytes, kind)]);
        let (settings, diagnostics) = load(Some("/k.yaml"), "/k.conf", &shelf, &mut sources);
        assert_eq!(settings, Settings::default());
        diagnostics.iter().map(|diagnostic| diagnostic.render(&sources)).collect::<String>()
    };
    let long = vec![b'#'; SIZE_MAX + 1];
    assert_eq!(said(long, FileKind::Regular), "error: /k.yaml is longer than 256 KiB\n  --> /k.yaml\n");
    assert!(said(vec![0xff], FileKind::Regular).contains("not UTF-8"));
    assert!(said(vec![], FileKind::Other).contains("is not a file"));
}

#[test]
fn a_file_with_secrets_that_everybody_may_read_is_worth_a_hint() {
    let text = b"snmp: {receivers: [{address: 192.0.2.1, community: x}]}".to_vec();
    let shelf = Shelf(vec![("/k.yaml", text, FileKind::Regular)]);
    let (settings, diagnostics) = load(Some("/k.yaml"), "/k.conf", &shelf, &mut Sources::default());
    assert_eq!(settings.snmp.receivers.len(), 1, "a hint is no mistake");
    assert_eq!(diagnostics.len(), 1);
    assert_eq!(super::super::diag::status(&diagnostics), 0);
}

proptest! {
    #[test]
    fn no_text_panics_and_every_mistake_has_a_place_in_it(text in "[ \\-:a-z0-9\\[\\]{}&*!'\"\n,#|>~?]{0,200}") {
        let (_, diagnostics) = read(&text, 0);
        for diagnostic in diagnostics {
            prop_assert!(usize::try_from(diagnostic.span.line).unwrap() <= text.lines().count() + 1);
        }
    }

    #[test]
    fn a_sample_with_a_character_changed_is_read_or_told(at in 0..whole_sample().len(), by in "[ -~\n]") {
        let mut text = whole_sample();
        text.replace_range(at..=at, &by);
        let (settings, diagnostics) = read(&text, 0);
        prop_assert!(diagnostics.is_empty() || settings == Settings::default());
    }
}
