use std::collections::BTreeSet;

use proptest::prelude::*;

use std::time::Duration;

use super::reader::duration;
use super::tree::Kind;
use super::*;
use crate::conf::model::{
    Access, AuthProtocol, Community, HttpSettings, MetricsSettings, PrivacyProtocol, QueueSettings, RealServerSeries,
    Responder, Retries, RrdProfile, RrdSettings, Secret, Textfile, UnixListener, UsmUser,
};

fn whole(text: &str) -> Settings {
    let (settings, diagnostics) = read(text, 0);
    assert_eq!(diagnostics, [], "{text}");
    settings
}

fn good(text: &str) -> SnmpSettings {
    whole(text).snmp
}

/// What is printed of a text with mistakes.
fn bad(text: &str) -> String {
    let mut sources = Sources::default();
    let file = sources.add(Source::of_text("k.yaml", text.to_owned()));
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
    assert_eq!(whole(SAMPLE), Settings::default());
}

#[test]
fn the_sample_is_good_and_sets_every_field_of_the_model() {
    let Settings { snmp, http, metrics, rrd } = whole(&whole_sample());
    let HttpSettings { unix, listen, web, connections, scrapes } = http;
    let path = Some("/run/keepwatch/metrics.sock".into());
    assert_eq!(unix, UnixListener { enabled: true, path, mode: 0o660, group: Some("prometheus".to_owned()) });
    assert_eq!(listen, ["127.0.0.1:9959".parse().unwrap(), "[::1]:9959".parse().unwrap()]);
    assert_eq!((web.map(|web| web.path), connections, scrapes), (Some("web.yml".into()), 100, 4));
    let textfile = "/var/lib/prometheus/node-exporter/keepwatch.prom";
    let textfile = Some(Textfile { path: textfile.into(), interval: Duration::from_secs(15) });
    assert_eq!(metrics, MetricsSettings { textfile, ..MetricsSettings::default() });
    let cached = Some("unix:/run/rrdcached.sock".to_owned());
    assert_eq!(rrd, Some(RrdSettings { cached, ..RrdSettings::default() }));
    let SnmpSettings { queue, users, receivers, responder, engine_id } = snmp;
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
    for text in [
        "",
        "\n\n",
        "# snmp:\n",
        "---\n",
        "snmp:\n",
        "snmp: {}\n",
        "snmp:\n  queue:\n  users: []\n",
        "http:\nmetrics:\nrrd:\n",
    ] {
        assert_eq!(whole(text), Settings::default(), "{text:?}");
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
    // What is missing at the end is behind the last line, which exists.
    assert!(bad("snmp: [a").contains("  --> k.yaml:1:"));
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
fn what_is_read_over_http_is_set_in_words_that_people_write() {
    let http = |text: &str| whole(&format!("http: {{{text}}}")).http;
    assert!(http("unix: true").unix.enabled && !http("unix: false").unix.enabled && !http("unix: off").unix.enabled);
    assert_eq!(http("unix: {mode: 0600}").unix.mode, 0o600);
    assert_eq!(http("unix: {mode: '666'}").unix.mode, 0o666);
    let listen = http("listen: [192.0.2.1, '192.0.2.1:80', '::']").listen;
    assert_eq!(
        listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.0.2.1:9959", "192.0.2.1:80", "[::]:9959"]
    );
    assert_eq!(whole("metrics: {real_servers: off}").metrics.real_servers, RealServerSeries::Off);
    let textfile = whole("metrics: {textfile: /x/k.prom}").metrics.textfile.unwrap();
    assert_eq!((textfile.path.to_str(), textfile.interval), (Some("/x/k.prom"), Duration::from_secs(15)));
    for text in ["rrd: true", "rrd: {}", "rrd: {real_servers: auto}"] {
        assert_eq!(whole(text).rrd, Some(RrdSettings::default()), "{text}");
    }
    assert_eq!(whole("rrd: false").rrd, None);
    let rrd = whole("rrd: {profile: collectd, real_servers: no, cached: '[::1]:42217'}").rrd.unwrap();
    assert_eq!(
        (rrd.profile, rrd.real_servers, rrd.cached.as_deref()),
        (RrdProfile::Collectd, Some(false), Some("[::1]:42217"))
    );
}

#[test]
fn every_mistake_in_the_sections_of_exporters_is_told_with_its_place() {
    let text = "\
http:
  unix: {path: metrics.sock, mode: 0888, group: ''}
  listen: [localhost, 127.0.0.1, '127.0.0.1:9959']
  web_config: [a]
  connections: 0
  scrapes: many
metrics:
  max_series: 99
  real_servers: ful
  details: false
  textfile: {path: /x/keepwatch.txt, interval: 0s}
rrd:
  directory: rrd
  profile: mrtg
  real_servers: maybe
  cached: 'somewhere'
";
    let said = bad(text);
    let places: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  --> k.yaml:")).collect();
    let messages: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    let expected = [
        ("3:12", "expected an address as 192.0.2.1, 192.0.2.1:9959 or [2001:db8::1]:9959, found `localhost`"),
        ("3:34", "127.0.0.1:9959 is listed twice"),
        ("4:15", "expected a single value"),
        ("5:16", "expected a number from 1 to 10000, found `0`"),
        ("6:12", "expected a number from 1 to 100, found `many`"),
        ("2:16", "expected a path from / on, found `metrics.sock`"),
        ("2:36", "expected permissions in octal, as 0660, found `0888`"),
        ("2:49", "a group's name has 1 to 32 octets"),
        ("10:3", "there is no setting `details` in metrics"),
        ("8:15", "expected a number from 100 to 10000000, found `99`"),
        ("9:17", "`ful` is not known here"),
        ("11:20", "node_exporter reads files whose names end in .prom"),
        ("11:48", "expected 1s to 1h, found `0s`"),
        ("13:14", "expected a path from / on, found `rrd`"),
        ("14:12", "`mrtg` is not known here"),
        ("15:17", "`maybe` is not known here"),
        ("16:11", "expected unix:/path, /path or host:port of rrdcached, found `somewhere`"),
    ];
    assert_eq!(places.into_iter().zip(messages).collect::<Vec<_>>(), expected);
    assert!(said.contains("hint: did you mean `detail`?") && said.contains("hint: did you mean `full`?"), "{said}");
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
        let Loaded { settings, diagnostics, .. } = load(named, main, &shelf, &mut Sources::default());
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
        let Loaded { settings, diagnostics, .. } = load(Some("/k.yaml"), "/k.conf", &shelf, &mut sources);
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
    let Loaded { settings, diagnostics, .. } = load(Some("/k.yaml"), "/k.conf", &shelf, &mut Sources::default());
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
